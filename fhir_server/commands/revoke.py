"""
`fhir-server revoke`: tokens that shall hold no more, though they have not expired.

It works with the server running or stopped. Each request that arrives after it has returned is refused, by
whichever process.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from fhir_server.commands.deployment import opened, utc_now
from fhir_server.commands.failure import fail
from fhir_server.commands.recording import record_command
from fhir_server.r4.errors import FhirError
from fhir_server.settings import Settings, settings
from fhir_server.smart.revocations import Revocation, of_client, of_token
from fhir_server.smart.tokens import LONGEST
from fhir_server.store.database import Unsuitable
from fhir_server.store.embedded import CannotStart


def revoke(
    token_id: Annotated[
        str | None, typer.Option(help="One token, by its jti, which the audit log has of each request.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(help="All tokens that this client was given until now, by its client_id.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The data folder of the server.", show_default="data")
    ] = None,
    mongodb_url: Annotated[
        str | None, typer.Option(help="The replica set, when the server has an external one.")
    ] = None,
) -> None:
    """
    Revoke a token, or all tokens of a client.

    Example: fhir-server revoke --data-dir data --client operator
    """
    now = utc_now()
    if token_id and not client:
        revocation = of_token(token_id, now, now + LONGEST)
    elif client and not token_id:
        revocation = of_client(client, now, now + LONGEST)
    else:
        raise typer.BadParameter("name one of --token-id and --client")
    try:
        asyncio.run(_revoke(settings({"data_dir": data_dir, "mongodb_url": mongodb_url}), revocation))
    except (CannotStart, Unsuitable, FhirError) as refusal:
        fail(str(refusal))


async def _revoke(told: Settings, revocation: Revocation) -> None:
    async with opened(told, "revoke") as store:
        await store.revocations.add(revocation)
        await record_command(store, "revocation", revocation.name)
