"""
An app asks a person for something: /auth/authorize.

What is asked for is kept under a secret that goes from page to page, until the person has decided. A launch
of an EHR is used up here.

https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-authorization-code
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.authorizing.sessions import Session
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.smart.authorization_request import (
    AuthorizationRefused,
    AuthorizationRequest,
    ReturnAddress,
    Unredirectable,
    authorization_request,
    return_address,
)
from fhir_server.smart.caller import Contact
from fhir_server.smart.clients import Client

SECRET_BYTES: Final = 32
REQUEST_LIFETIME: Final = timedelta(minutes=15)
"""Time for a person to log in, to look for a patient, and to decide."""
CLIENT_ID_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A request that waits for a person.

    `launched` is what the EHR said, None in a standalone launch; `account` is the user who answers it, and
    `user` whom FHIR knows them as, once there is one; `patient` is an id, once one is chosen.
    """

    secret: str
    client: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    nonce: str | None
    prompt_login: bool
    prompt_consent: bool
    seconds_max: int | None
    launched: Mapping[str, Any] | None
    made: datetime
    account: str | None
    user: str | None
    patient: str | None

    @property
    def address(self) -> ReturnAddress:
        return ReturnAddress(self.redirect_uri, self.state)

    def needs_login(self, session: Session | None) -> bool:
        """Has the person to prove who they are, or to prove it again?"""
        if session is None:
            return True
        age = (self.made - session.auth_time).total_seconds()
        return age > 0 and (self.prompt_login or (self.seconds_max is not None and age > self.seconds_max))


async def asked(
    told: Sequence[tuple[str, str]], session: Session | None, services: Services, contact: Contact
) -> Asked:
    """
    The request that these parameters make; it waits from now on.

    Raises Unredirectable, Refused, and Unavailable; refusals are recorded.
    """
    client = await _client_of(told, services)
    try:
        address = return_address(told, client)
        assert client is not None, "there is no address without one"
    except Unredirectable as refusal:
        who = Who(None if client is None else client.id)
        await services.store.append(record("authorize", 400, contact, services, who, str(refusal)))
        raise
    try:
        return await _kept(told, client, session, services)
    except AuthorizationRefused as refusal:
        raise await refused(refusal, address, Who(client.id), services, contact) from refusal


class Refused(Exception):
    """The app is told no: the browser is sent to `url`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


async def refused(
    refusal: AuthorizationRefused, address: ReturnAddress, who: Who, services: Services, contact: Contact
) -> Refused:
    """The refusal to raise, recorded. Raises Unavailable."""
    reason = f"{refusal.error}: {refusal}"
    await services.store.append(record("authorize", 403, contact, services, who, reason))
    told = {"error": refusal.error, "error_description": str(refusal)}
    return Refused(address.with_told(told, services.settings.base_url))


async def request_of(secret: str | None, services: Services) -> Asked | None:
    """
    What waits under this secret; None when nothing does, or not any more.

    Nor does what an app asked that has been removed since, or registered anew: there may be nobody any more
    at the address that was its.
    """
    if not secret:
        return None
    value = await services.store.tickets.get("request", secret, services.clock())
    if value is None:
        return None
    waiting = Asked(secret=secret, **value)
    client = await services.store.clients.get(waiting.client)
    if client is None or client.registered > waiting.made or waiting.redirect_uri not in client.redirect_uris:
        return None
    return waiting


async def _client_of(told: Sequence[tuple[str, str]], services: Services) -> Client | None:
    ids = [value for name, value in told if name == "client_id"]
    if len(ids) != 1 or len(ids[0]) > CLIENT_ID_CHARACTERS_MAX:
        return None
    return await services.store.clients.get(ids[0])


async def _kept(
    told: Sequence[tuple[str, str]], client: Client, session: Session | None, services: Services
) -> Asked:
    site = Site(services.settings.base_url, services.zone)
    request = authorization_request(told, client, definitions().resource_types, site)
    if "none" in request.prompt:
        # People decide each time what an app may see: without them there is nothing to answer.
        if session is None or session.pending:
            raise AuthorizationRefused("login_required", "Nobody is logged in")
        raise AuthorizationRefused("consent_required", "The person has to decide")
    now = services.clock()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    waiting = Asked(
        secret,
        client.id,
        request.redirect_uri,
        request.state,
        request.scope,
        request.challenge,
        request.nonce,
        "login" in request.prompt,
        "consent" in request.prompt,
        request.seconds_max,
        await _launched(request, services),
        now,
        None,
        None,
        None,
    )
    value = {field.name: getattr(waiting, field.name) for field in fields(waiting) if field.name != "secret"}
    await services.store.tickets.put("request", secret, value, now + REQUEST_LIFETIME)
    return waiting


async def _launched(request: AuthorizationRequest, services: Services) -> Mapping[str, Any] | None:
    """What the EHR said of the launch, which is used up."""
    if request.launch is None:
        return None
    launched = await services.store.tickets.take("launch", request.launch, services.clock())
    if launched is None or launched["client"] != request.client:
        raise AuthorizationRefused(
            "invalid_request", "`launch` is not one that was made for this app, or is over"
        )
    return launched
