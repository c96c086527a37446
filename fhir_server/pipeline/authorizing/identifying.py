"""
Who logged in, told to the app that has their token: https://openid.net/specs/openid-connect-core-1_0.html#UserInfo

It is what their id_token says, and no more.
"""

from __future__ import annotations

from typing import Any

from fhir_server.pipeline.authorizing.bearing import standing, token_of
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.id_tokens import OPENID, fhir_user
from fhir_server.smart.refusals import OAuthRefused


async def identified(authorization: str | None, services: Services, contact: Contact) -> dict[str, Any]:
    """
    The claims of the user whose token the header has, recorded.

    Raises OAuthRefused, which is not recorded yet, and Unavailable.
    """
    try:
        caller = await standing(token_of(authorization), services)
    except Unauthenticated as refusal:
        raise OAuthRefused("invalid_token", str(refusal)) from refusal
    claims = _claims(caller, services.settings.base_url)
    who = Who(caller.client, caller.account, caller.user)
    await services.store.append(record("userinfo", 200, contact, services, who))
    return claims


def _claims(caller: Caller, base_url: str) -> dict[str, Any]:
    if OPENID not in caller.words or caller.account is None:
        refused = OAuthRefused("insufficient_scope", "The token was not given with `openid` by a user")
        refused.client = caller.client
        raise refused
    user = fhir_user(caller.user, caller.words, base_url)
    return {"sub": caller.account, **({} if user is None else {"fhirUser": user})}
