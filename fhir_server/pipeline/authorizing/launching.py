"""
An EHR launches an app: what the EHR knows becomes a launch, which the app brings along.

The EHR is a client that this was agreed on with: its token has the scope `__launch`. The patient and the
encounter that it names it must be able to read itself; what else it says is passed on as it is. A launch says
nothing to who sees it, is of one app, and is used once.

https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from fhir_server.interactions.answers import Found
from fhir_server.pipeline.authorizing.bearing import standing, token_of
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.perform import perform
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Forbidden, Gone, Invalid, NotFound, Unauthenticated
from fhir_server.r4.interaction import Read
from fhir_server.r4.resource import Key, from_text
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.launch_context import LaunchContext, launch_context
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.scopes import LAUNCH

SECRET_BYTES: Final = 32
LAUNCH_LIFETIME: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Launch:
    """`url` is where the EHR opens the app; None when the app has registered no such address."""

    launch: str
    url: str | None
    expires_in: int

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        return {"launch": self.launch, "launch_url": self.url, "expires_in": self.expires_in}


async def launched(body: bytes, authorization: str | None, services: Services, contact: Contact) -> Launch:
    """
    A launch of what `body` says, recorded.

    Raises OAuthRefused, which is not recorded yet, and Unavailable.
    """
    caller = await _ehr(authorization, services)
    try:
        told = launch_context(from_text(body))
        url = await _launch_uri(told, services)
        await _require_readable(told, caller, services, contact)
    except Invalid as refusal:
        refused = OAuthRefused("invalid_request", str(refusal))
        refused.client = caller.client
        raise refused from refusal
    secret, now = secrets.token_urlsafe(SECRET_BYTES), services.clock()
    await services.store.tickets.put("launch", secret, told.kept(), now + LAUNCH_LIFETIME)
    who = Who(caller.client, caller.account, caller.user, told.patient)
    await services.store.append(record("launch", 200, contact, services, who))
    query = urlencode({"iss": services.settings.base_url, "launch": secret})
    opened = None if url is None else f"{url}{'&' if '?' in url else '?'}{query}"
    return Launch(secret, opened, int(LAUNCH_LIFETIME.total_seconds()))


async def _ehr(authorization: str | None, services: Services) -> Caller:
    try:
        caller = await standing(token_of(authorization), services)
    except Unauthenticated as refusal:
        raise OAuthRefused("invalid_token", str(refusal)) from refusal
    if LAUNCH not in caller.words:
        refused = OAuthRefused("insufficient_scope", f"To launch apps takes the scope `{LAUNCH}`")
        refused.client = caller.client
        raise refused
    return caller


async def _launch_uri(told: LaunchContext, services: Services) -> str | None:
    client = await services.store.clients.get(told.client)
    if client is None or not client.is_app:
        raise Invalid("`client_id` is that of a registered app")
    if told.launch_uri is None:
        return client.launch_uris[0] if client.launch_uris else None
    if told.launch_uri not in client.launch_uris:
        raise Invalid("`launch_uri` is one that the app has registered")
    return told.launch_uri


async def _require_readable(
    told: LaunchContext, caller: Caller, services: Services, contact: Contact
) -> None:
    if told.patient is None:
        return
    try:
        await perform(Read(Key("Patient", told.patient)), caller, contact, services)
        if told.encounter is None:
            return
        found = await perform(Read(Key("Encounter", told.encounter)), caller, contact, services)
    except (Forbidden, NotFound, Gone) as refusal:
        raise Invalid("`patient` and `encounter` are ids of resources that this token may read") from refusal
    assert isinstance(found, Found), "nothing was asked about what is known already"
    assert found.version.body is not None, "what is deleted is Gone"
    if from_text(found.version.body).get("subject", {}).get("reference") != f"Patient/{told.patient}":
        raise Invalid("`encounter` is one of the patient")
