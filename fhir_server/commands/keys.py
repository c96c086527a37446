"""`fhir-server keys`: the keys that sign access tokens and id_tokens."""

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
from fhir_server.smart.keys import SecretMismatchError, TooManyKeysError
from fhir_server.smart.keys import rotate as to_a_new_one
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import LONGEST
from fhir_server.store.database import Unsuitable
from fhir_server.store.embedded import CannotStart

keys = typer.Typer(help="The keys that sign access tokens and id_tokens.", no_args_is_help=True)


@keys.callback()
def commands() -> None:
    """The keys that sign access tokens and id_tokens."""


@keys.command()
def rotate(
    data_dir: Annotated[
        Path | None, typer.Option(help="The data folder of the server.", show_default="data")
    ] = None,
    mongodb_url: Annotated[
        str | None, typer.Option(help="The replica set, when the server has an external one.")
    ] = None,
) -> None:
    """
    Sign with new keys from now on, and print the id of the one that signs access tokens.

    Servers that run take it up within ten seconds. Tokens and links that were signed before hold until they
    expire: a key is forgotten 30 days after it signed last.

    Example: fhir-server keys rotate --data-dir data
    """
    told = settings({"data_dir": data_dir, "mongodb_url": mongodb_url})
    try:
        typer.echo(asyncio.run(_rotated(told)))
    except (CannotStart, Unsuitable, SecretMismatchError, TooManyKeysError, FhirError) as refusal:
        fail(str(refusal))


async def _rotated(told: Settings) -> str:
    async with opened(told, "keys") as store:
        secret = wrapping_secret(told.data_dir, told.secret)
        kid = await to_a_new_one(store.state, secret, utc_now(), kept=LONGEST)
        await record_command(store, "keys rotate", kid)
        return kid
