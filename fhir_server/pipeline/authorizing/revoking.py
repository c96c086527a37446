"""
A token that shall hold no more: https://www.rfc-editor.org/rfc/rfc7009
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fhir_server.pipeline.authorizing.proving import proven
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Contact
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.revocations import of_token


async def revoked_for(
    form: Mapping[str, str], authorization: str | None, services: Services, contact: Contact
) -> None:
    """
    Takes back the token that the form names, if it is one of the client's: whether it was is not said.

    Raises OAuthRefused, which is not recorded yet, and Unavailable.
    """
    if not form.get("token"):
        raise OAuthRefused("invalid_request", "`token` is the token that shall hold no more")
    client = await proven(form, authorization, services)
    now = services.clock()
    try:
        caller = services.tokens.verify(form["token"], now=int(now.timestamp()))
    except Unauthenticated:
        caller = None
    if caller is not None and caller.client == client.id:
        until = datetime.fromtimestamp(caller.expires, UTC)
        await services.store.revocations.add(of_token(caller.token_id, now, until))
    await services.store.append(record(200, contact, services, Who(client.id), interaction="logout"))
