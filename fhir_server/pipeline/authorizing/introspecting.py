"""
What an access token is worth: told to other servers that are shown it.

They ask with a token of their own that has the scope `__introspect`, or prove by their key that they are a
client that was registered with it. A token that does not hold is inactive, and not a word more is said.

https://www.rfc-editor.org/rfc/rfc7662, https://hl7.org/fhir/smart-app-launch/token-introspection.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.pipeline.authorizing.bearing import standing, token_of
from fhir_server.pipeline.authorizing.proving import proven
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.authorizing.sessions import is_alive
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.grants import Granted, presented
from fhir_server.smart.id_tokens import fhir_user
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.scopes import INTROSPECT, words

_REFUSED: Final = f"To ask what a token is worth takes the scope `{INTROSPECT}`"


async def introspected(
    form: Mapping[str, str],
    authorization: str | None,
    services: Services,
    contact: Contact,
) -> dict[str, Any]:
    """
    What the token of the form is worth, recorded.

    Raises OAuthRefused, which is not recorded yet, and Unavailable.
    """
    asking = await _asking(form, authorization, services)
    if not form.get("token"):
        refused = OAuthRefused("invalid_request", "`token` is the token that is asked about")
        refused.client = asking
        raise refused
    told = await _worth(form["token"], services)
    who = Who(asking, patient=told.get("patient"))
    await services.store.append(record("introspection", 200, contact, services, who))
    return told


async def _asking(form: Mapping[str, str], authorization: str | None, services: Services) -> str:
    """
    The client that asks, if it may. Raises OAuthRefused, with 401 also for one that may not:
    https://www.rfc-editor.org/rfc/rfc7662#section-2.3
    """
    if (authorization or "").lower().startswith("bearer "):
        try:
            caller = await standing(token_of(authorization), services)
        except Unauthenticated as refusal:
            raise OAuthRefused("invalid_token", str(refusal)) from refusal
        client, may = caller.client, caller.words
        refused = OAuthRefused("insufficient_scope", _REFUSED, 401)
    else:
        registered = await proven(form, authorization, services)
        client, may = registered.id, frozenset(words(registered.scope))
        refused = OAuthRefused("unauthorized_client", _REFUSED, 401)
    if INTROSPECT not in may:
        refused.client = client
        raise refused
    return client


async def _worth(token: str, services: Services) -> dict[str, Any]:
    if (told := presented(token)) is not None:
        granted = await services.store.grants.get(told.grant)
        holds = granted is not None and await _is_live(granted, told.secret, services)
        return _of_refresh_token(granted, services) if granted is not None and holds else dict(_INACTIVE)
    try:
        caller = await standing(token, services)
    except Unauthenticated:
        return dict(_INACTIVE)
    return await _of_access_token(caller, services)


async def _is_live(granted: Granted, secret: str, services: Services) -> bool:
    if granted.refresh != secret or granted.revoked or granted.until <= services.clock():
        return False
    return granted.session is None or await is_alive(granted.session, services)


def _of_refresh_token(granted: Granted, services: Services) -> dict[str, Any]:
    told = {
        "active": True,
        "scope": granted.scope,
        "client_id": granted.client,
        "exp": int(granted.until.timestamp()),
        "iat": int(granted.used.timestamp()),
        "iss": services.settings.base_url,
        "sub": granted.account,
        "fhirUser": fhir_user(granted.user, frozenset(words(granted.scope)), services.settings.base_url),
        "patient": granted.patient,
    }
    return {**granted.context, **{name: value for name, value in told.items() if value is not None}}


async def _of_access_token(caller: Caller, services: Services) -> dict[str, Any]:
    base_url = services.settings.base_url
    granted = None if caller.grant is None else await services.store.grants.get(caller.grant)
    told = {
        "active": True,
        "scope": " ".join((*(scope.text for scope in caller.scopes), *sorted(caller.words))),
        "client_id": caller.client,
        "token_type": "Bearer",
        "exp": caller.expires,
        "iat": caller.issued,
        "iss": base_url,
        "aud": base_url,
        "sub": caller.subject,
        "fhirUser": fhir_user(caller.user, caller.words, base_url),
        "patient": caller.patient,
    }
    context = {} if granted is None else granted.context
    return {**context, **{name: value for name, value in told.items() if value is not None}}


_INACTIVE: Final = {"active": False}
