"""
Who bears an access token, as a request says it and smart/bearers.py knows it.

https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Caller


def token_of(authorization: str | None) -> str:
    """The token in the header. Raises Unauthenticated when there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("An access token is needed: Authorization: Bearer")
    return token.strip()


async def verified(token: str, services: Services) -> Caller:
    """Its bearer, who is not looked up among what was revoked. Raises Unauthenticated and Unavailable."""
    return await services.bearers.caller_of(token, now=int(services.clock().timestamp()))


async def standing(token: str, services: Services) -> Caller:
    """Its bearer, if nobody has revoked it by now. Raises as `verified`."""
    caller = await verified(token, services)
    await services.consents.current(caller)
    return caller
