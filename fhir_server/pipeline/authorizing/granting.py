"""
A token: from a form to what it is worth, or to nothing; either way a record.

Who the client is comes before what it wants; a token is as old as the request for it, so that what is revoked
meanwhile takes it along. A code is redeemed once, a refresh token renewed once: whoever comes with one that
was used already may have stolen it, or been stolen from, so that all that came from the same grant holds no
more.

https://www.rfc-editor.org/rfc/rfc6749#section-3.2, https://www.rfc-editor.org/rfc/rfc9700#section-4.14
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final

from fhir_server.pipeline.authorizing.choosing import own_patient
from fhir_server.pipeline.authorizing.proving import proven
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.authorizing.revoking import revoke_grant
from fhir_server.pipeline.authorizing.sessions import is_alive, purpose_of
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.caller import Contact
from fhir_server.smart.clients import Client
from fhir_server.smart.flows.authorization_code import require_code
from fhir_server.smart.flows.client_credentials import granted_to
from fhir_server.smart.flows.refresh_token import require_refreshable, scope_within
from fhir_server.smart.grants import (
    REFRESH_LIFETIME,
    Granted,
    Presented,
    hash_of_secret,
    presented,
    token_text,
)
from fhir_server.smart.id_tokens import OPENID, Identity
from fhir_server.smart.rates import network_of
from fhir_server.smart.refusals import OAuthRefused, TooOften
from fhir_server.smart.scopes import words
from fhir_server.smart.tokens import Grant

REFRESH_SECRET_BYTES: Final = 32
GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True, slots=True)
class Issued:
    """
    https://www.rfc-editor.org/rfc/rfc6749#section-5.1

    `others` are the launch context, and more tokens.
    """

    client: str
    token: str
    scope: str
    expires_in: int
    others: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "access_token": self.token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
            **self.others,
        }


async def token_for(
    form: Mapping[str, str], authorization: str | None, services: Services, contact: Contact
) -> Issued:
    """What the form asks for, recorded. Raises OAuthRefused, which is not recorded yet, and Unavailable."""
    now = services.clock()
    asked = form.get("grant_type")
    if asked not in GRANT_TYPES:
        raise OAuthRefused("unsupported_grant_type", f"`grant_type` is one of {', '.join(GRANT_TYPES)}")
    told = presented(form.get("refresh_token" if asked == "refresh_token" else "code", ""))
    granted = (
        None if told is None or asked == "client_credentials" else await services.store.grants.get(told.grant)
    )
    implied = granted.client if granted is not None and asked == "refresh_token" else None
    client = await proven(form, authorization, services, implied=implied)
    _require_rate(client, services, contact)
    try:
        _require_grant_type(asked, client)
        if asked == "client_credentials":
            issued, who = _for_service(client, form, services, now), Who(client.id)
        else:
            give = _for_refresh if asked == "refresh_token" else _for_code
            issued, who = await give(granted, told, client, form, services, contact, now)
    except OAuthRefused as refused:
        refused.client = client.id
        raise
    await services.store.append(record("token", 200, contact, services, who, scope=issued.scope))
    return issued


def _require_rate(client: Client, services: Services, contact: Contact) -> None:
    """Raises TooOften; nothing that the form names is used up."""
    # A public client is whoever says so: from one address nobody uses up what it may elsewhere.
    proves_nothing = client.method == "none"
    key = (client.id, network_of(contact.address) if proves_nothing else "")
    if seconds := services.token_rates.seconds_to_wait(key):
        raise TooOften(client.id, seconds)


def _require_grant_type(asked: str, client: Client) -> None:
    if client.is_app == (asked == "client_credentials"):
        suited = "an app asks by `authorization_code`, a service by `client_credentials`"
        raise OAuthRefused("unauthorized_client", f"`grant_type`: {suited}")


def _for_service(client: Client, form: Mapping[str, str], services: Services, now: datetime) -> Issued:
    site = Site(services.settings.base_url, services.zone)
    grant = granted_to(client, form.get("scope", ""), definitions().resource_types, site)
    token = services.tokens.issue(grant, now=int(now.timestamp()), token_id=services.new_id())
    return Issued(client.id, token, grant.scope, grant.lifetime_seconds)


async def _for_code(
    granted: Granted | None,
    told: Presented | None,
    client: Client,
    form: Mapping[str, str],
    services: Services,
    contact: Contact,
    now: datetime,
) -> tuple[Issued, Who]:
    secret = "" if told is None else told.secret
    if granted is not None and granted.redeemed and compare_digest(secret, granted.code):
        raise await _used_again("code", granted, services)
    good = require_code(granted, secret, client, form, now)
    await _require_user(good, services, contact)
    refresh, hashed = _refresh(form["code"]) if _is_refreshable(good) else (None, None)
    if not await services.store.grants.redeem(good, hashed, now, _until(good, services, now)):
        raise await _used_again("code", good, services)
    return await _issued(good, good.scope, refresh, services, now)


async def _for_refresh(
    granted: Granted | None,
    told: Presented | None,
    client: Client,
    form: Mapping[str, str],
    services: Services,
    contact: Contact,
    now: datetime,
) -> tuple[Issued, Who]:
    good = require_refreshable(granted, client, now)
    assert told is not None, "there is a grant"
    assert good.refresh is not None, "it is refreshable"
    if not compare_digest(told.secret, good.refresh):
        raise await _used_again("refresh token", good, services)
    site = Site(services.settings.base_url, services.zone)
    scope = scope_within(form.get("scope"), good.scope, definitions().resource_types, site)
    await _require_user(good, services, contact)
    if good.session is not None and not await is_alive(good.session, services):
        raise OAuthRefused("invalid_grant", "The person is not online any more")
    refresh, hashed = _refresh(form["refresh_token"])
    if not await services.store.grants.renew(good, hashed, now, _until(good, services, now)):
        raise await _used_again("refresh token", good, services)
    return await _issued(good, scope, refresh, services, now)


async def _used_again(what: str, granted: Granted, services: Services) -> OAuthRefused:
    """The refusal to raise: by a thief, or by who was robbed, so that nothing of the grant holds any more."""
    await revoke_grant(granted.id, services)
    return OAuthRefused("invalid_grant", f"The {what} has been used: what was granted holds no more")


async def _require_user(granted: Granted, services: Services, contact: Contact) -> None:
    """
    Who granted it must still be somebody here, by the same password, the same one in FHIR, and speak for the
    same patient.
    """
    user = await services.store.users.get(granted.account)
    if user is None or user.disabled or user.fhir_user != granted.user:
        raise OAuthRefused("invalid_grant", "The user may not log in any more")
    if user.password_changed > granted.auth_time:
        raise OAuthRefused("invalid_grant", "The user has another password, and has to log in with it")
    try:
        own = await own_patient(user, granted.id, services, contact)
    except AuthorizationRefused as refusal:
        raise OAuthRefused("invalid_grant", str(refusal)) from refusal
    if None not in (own, granted.patient) and own != granted.patient:
        raise OAuthRefused("invalid_grant", "The user speaks for another patient by now")


def _is_refreshable(granted: Granted) -> bool:
    return not {"offline_access", "online_access"}.isdisjoint(words(granted.scope))


def _refresh(before: str) -> tuple[str, str]:
    """The refresh token that comes after `before`, a code or another one, and its secret's hash."""
    secret = secrets.token_urlsafe(REFRESH_SECRET_BYTES)
    return token_text(before.partition(".")[0], secret), hash_of_secret(secret)


def _until(granted: Granted, services: Services, now: datetime) -> datetime:
    if _is_refreshable(granted):
        return now + REFRESH_LIFETIME
    return now + timedelta(seconds=services.settings.access_token_seconds_max)


async def _issued(
    granted: Granted, scope: str, refresh: str | None, services: Services, now: datetime
) -> tuple[Issued, Who]:
    seconds = services.settings.access_token_seconds_max
    grant = Grant(
        client=granted.client,
        scope=scope,
        lifetime_seconds=seconds,
        user=granted.user,
        patient=granted.patient,
        purpose=purpose_of(granted.user),
        account=granted.account,
        grant=granted.id,
    )
    token = services.tokens.issue(grant, now=int(now.timestamp()), token_id=services.new_id())
    others: dict[str, Any] = {} if granted.patient is None else {"patient": granted.patient}
    others.update(granted.context)
    if refresh is not None:
        others["refresh_token"] = refresh
    if OPENID in words(scope):
        others["id_token"] = _id_token(granted, scope, services, now)
    who = Who(granted.client, granted.account, granted.user, granted.patient)
    return Issued(granted.client, token, scope, seconds, others), who


def _id_token(granted: Granted, scope: str, services: Services, now: datetime) -> str:
    told = Identity(
        granted.account,
        granted.client,
        frozenset(words(scope)),
        int(granted.auth_time.timestamp()),
        granted.user,
        granted.nonce,
    )
    return services.id_tokens.issue(told, int(now.timestamp()))
