"""
Tokens given and taken back: from a form to an access token, or to none; either way a record.

The checks come in order, and who the client is comes before what it wants. An assertion is used up by the
first who presents it, before anything is granted: of two workers that get it at once one grants it.

https://www.rfc-editor.org/rfc/rfc6749#section-4.4,
https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from audit.record import Record
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Unauthenticated
from fhir_server.search.values.site import Site
from fhir_server.smart.assertions import Refused, Unverified, unverified, verified
from fhir_server.smart.caller import Contact
from fhir_server.smart.clients import Client
from fhir_server.smart.flows.client_credentials import granted_to
from fhir_server.smart.jwks import JwksError
from fhir_server.smart.refusals import TokenRefused
from fhir_server.smart.revocations import of_token

TOKEN_PATH: Final = "/auth/token"  # noqa: S105 - an address
REVOCATION_PATH: Final = "/auth/revoke"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_UNKNOWN: Final = "The client is not known, or its assertion does not hold"


@dataclass(frozen=True, slots=True)
class Issued:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5.1"""

    token: str
    scope: str
    expires_in: int

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "access_token": self.token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
        }


def token_url(base_url: str) -> str:
    """Where tokens are asked for, which is the audience of assertions too."""
    return _beside(base_url, TOKEN_PATH)


def revocation_url(base_url: str) -> str:
    """Where tokens are taken back."""
    return _beside(base_url, REVOCATION_PATH)


def _beside(base_url: str, path: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}{path}"


async def token_for(form: Mapping[str, str], services: Services, contact: Contact) -> Issued:
    """What the form asks for, recorded. Raises TokenRefused, which is not recorded yet, and Unavailable."""
    if form.get("grant_type") != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "`grant_type` is client_credentials")
    client = await _authenticated(form, services)
    try:
        issued = _issued(client, form, services)
    except TokenRefused as refused:
        refused.client = client.id
        raise
    await services.store.append(_record(200, contact, services, client.id, None))
    return issued


async def revoked_for(form: Mapping[str, str], services: Services, contact: Contact) -> None:
    """
    Takes back the token that the form names, if it is one of the client's: whether it was is not said.

    Raises as `token_for`. https://www.rfc-editor.org/rfc/rfc7009#section-2
    """
    if not form.get("token"):
        raise TokenRefused("invalid_request", "`token` is the token that shall hold no more")
    client = await _authenticated(form, services)
    now = services.clock()
    try:
        caller = services.tokens.verify(form["token"], now=int(now.timestamp()))
    except Unauthenticated:
        caller = None
    if caller is not None and caller.client == client.id:
        until = datetime.fromtimestamp(caller.expires, UTC)
        await services.store.revocations.add(of_token(caller.token_id, now, until))
    await services.store.append(_record(200, contact, services, client.id, None, "logout"))


async def record_refused_token(refused: TokenRefused, services: Services, contact: Contact) -> None:
    """Raises Unavailable."""
    reason = f"{refused.error}: {refused}"
    await services.store.append(_record(refused.status, contact, services, refused.client, reason))


async def _authenticated(form: Mapping[str, str], services: Services) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE or "client_secret" in form:
        raise TokenRefused("invalid_client", f"`client_assertion_type` is {ASSERTION_TYPE}, without a secret")
    try:
        told = unverified(form.get("client_assertion", ""))
        client = await _known(told, form, services)
        await _proven(client, told, services)
    except (Refused, JwksError) as refusal:
        raise TokenRefused("invalid_client", str(refusal)) from refusal
    return client


async def _known(told: Unverified, form: Mapping[str, str], services: Services) -> Client:
    client = await services.store.clients.get(told.client_id)
    if client is None:
        raise Refused(_UNKNOWN)
    if told.jku is not None and told.jku != client.jwks_uri:
        raise Refused("The header's `jku` is not the URL that was registered")
    if form.get("client_id", client.id) != client.id:
        raise Refused("`client_id` is not that of the assertion")
    return client


async def _proven(client: Client, told: Unverified, services: Services) -> None:
    key = await services.client_keys.key(client, told.kid, told.algorithm)
    if key is None:
        raise Refused(_UNKNOWN)
    now = int(services.clock().timestamp())
    proof = verified(told, key, audience=token_url(services.settings.base_url), now=now)
    until = datetime.fromtimestamp(proof.expires, UTC)
    if not await services.store.clients.once(client.id, proof.jti, until):
        raise Refused("The assertion has been used: `jti` is another one each time")


def _issued(client: Client, form: Mapping[str, str], services: Services) -> Issued:
    site = Site(services.settings.base_url, services.zone)
    grant = granted_to(client, form.get("scope", ""), definitions().resource_types, site)
    now = int(services.clock().timestamp())
    token = services.tokens.issue(grant, now=now, token_id=services.new_id())
    return Issued(token, grant.scope, grant.lifetime_seconds)


def _record(
    status: int,
    contact: Contact,
    services: Services,
    client: str | None,
    reason: str | None,
    interaction: str = "login",
) -> Record:
    return Record(
        time=services.clock(),
        interaction=interaction,
        outcome="success" if reason is None else "failed" if status >= 500 else "refused",
        status=status,
        request_id=contact.request_id,
        address=contact.address,
        client=client,
        reason=reason,
    )
