"""
A token that shall hold no more, and a grant with all that came from it: https://www.rfc-editor.org/rfc/rfc7009
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from fhir_server.pipeline.authorizing.bearing import verified
from fhir_server.pipeline.authorizing.proving import proven
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Contact
from fhir_server.smart.clients import Client
from fhir_server.smart.grants import presented
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.revocations import of_grant, of_token

_LONGER_THAN_A_TOKEN: Final = timedelta(hours=2)


async def revoked_for(
    form: Mapping[str, str], authorization: str | None, services: Services, contact: Contact
) -> None:
    """
    Takes back the token that the form names, if it is one of the client's: whether it was is not said.

    A refresh token takes along what came from it. Raises OAuthRefused, which is not recorded yet, and
    Unavailable.
    """
    if not form.get("token"):
        raise OAuthRefused("invalid_request", "`token` is the token that shall hold no more")
    client = await proven(form, authorization, services)
    if (told := presented(form["token"])) is not None:
        granted = await services.store.grants.get(told.grant)
        if granted is not None and granted.client == client.id and told.secret == granted.refresh:
            await revoke_grant(granted.id, services)
    else:
        await _revoke_access_token(form["token"], client, services)
    await services.store.append(record("revocation", 200, contact, services, Who(client.id)))


async def revoke_grant(id: str, services: Services) -> None:
    """Nothing that this grant gave holds any more, in any process."""
    now = services.clock()
    # In this order: who dies in between leaves a grant that can be seen, and be revoked again.
    await services.store.revocations.add(of_grant(id, now, now + _LONGER_THAN_A_TOKEN))
    await services.store.grants.revoke(id)


async def _revoke_access_token(text: str, client: Client, services: Services) -> None:
    now = services.clock()
    try:
        caller = await verified(text, services)
    except Unauthenticated:
        return
    if caller.client == client.id:
        until = datetime.fromtimestamp(caller.expires, UTC)
        await services.store.revocations.add(of_token(caller.token_id, now, until))
