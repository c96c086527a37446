"""
`fhir-server client`: the apps and back-end services that may get tokens.

It works with the server running or stopped; what is registered is known to all processes at once.
"""

from __future__ import annotations

import json
import secrets
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fhir_server.commands.deployment import DataDir, MongodbUrl, utc_now, with_store
from fhir_server.commands.failure import fail
from fhir_server.commands.recording import record_command
from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, InvalidClient, accepted, hash_of
from fhir_server.smart.revocations import of_client
from fhir_server.smart.tokens import LONGEST
from fhir_server.store.store import Store

JWKS_BYTES_MAX: Final = 100_000
SECRET_BYTES: Final = 32

client = typer.Typer(help="Apps and back-end services that may get tokens.", no_args_is_help=True)


@client.callback()
def commands() -> None:
    """Apps and back-end services that may get tokens."""


@client.command()
def register(
    name: Annotated[str, typer.Option(help="What people call it.")],
    scope: Annotated[str, typer.Option(help="What it may be granted at most: 'system/Observation.rs'.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="An app: where people come back to. Any number of them.")
    ] = None,
    launch_uri: Annotated[list[str] | None, typer.Option(help="Where an EHR launches the app.")] = None,
    secret: Annotated[bool, typer.Option("--secret", help="An app that keeps a secret: make one.")] = False,
    jwks: Annotated[
        Path | None, typer.Option(help="A file with its public keys, a JWK Set.", exists=True, dir_okay=False)
    ] = None,
    jwks_url: Annotated[str | None, typer.Option(help="Where it publishes its public keys.")] = None,
    state_code: Annotated[
        list[str] | None,
        typer.Option(help="A code that it keeps app state under: '[read:|global:]system|code'."),
    ] = None,
    decided_for_clinicians: Annotated[
        bool,
        typer.Option("--decided-for-clinicians", help="An EHR's launch asks no clinician for consent."),
    ] = False,
    client_id: Annotated[str | None, typer.Option(help="Its client_id; without it, one is made.")] = None,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Register an app or a back-end service, and print its client_id (and its secret, once).

    Example: fhir-server client register --name Warehouse --scope 'system/*.rs' --jwks warehouse.jwks.json

    Example: fhir-server client register --name Growth --scope 'openid fhirUser launch patient/*.rs'
    --redirect-uri https://growth.example.org/ --launch-uri https://growth.example.org/launch.html
    """
    made = secrets.token_urlsafe(SECRET_BYTES) if secret else None
    try:
        told = Client(
            client_id or str(uuid.uuid4()),
            name,
            scope,
            None if jwks is None else _read(jwks),
            jwks_url,
            utc_now(),
            tuple(redirect_uri or ()),
            tuple(launch_uri or ()),
            None if made is None else hash_of(made),
            tuple(state_code or ()),
            decided_for_clinicians,
        )
        accepted(told, definitions().resource_types)
    except InvalidClient as refusal:
        fail(str(refusal))
    _register(told, data_dir, mongodb_url)
    typer.echo(told.id)
    if made is not None:
        typer.echo(made)


def _register(told: Client, data_dir: Path | None, mongodb_url: str | None) -> None:
    if not with_store("client", data_dir, mongodb_url, lambda store: registered(store, told)):
        fail(f"{told.id} is registered already")


@client.command("list")
def list_clients(data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Show who is registered, a line each: client_id, name, how it proves itself, scopes, redirect URIs.

    Example: fhir-server client list --data-dir data
    """

    async def do(store: Store) -> list[Client]:
        return await store.clients.all()

    for found in with_store("client", data_dir, mongodb_url, do):
        typer.echo("  ".join((found.id, found.name, found.method, found.scope, *found.redirect_uris)))


@client.command()
def remove(
    client_id: Annotated[str, typer.Argument(help="Its client_id.")],
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Give it no tokens any more, and revoke those that it has and what people granted it.

    Example: fhir-server client remove 2f1c...
    """

    async def do(store: Store) -> bool:
        removed = await store.clients.remove(client_id)
        if removed:
            now = utc_now()
            await store.revocations.add(of_client(client_id, now, now + LONGEST))
            await store.grants.revoke_all_of_client(client_id)
            await record_command(store, "client remove", client_id)
        return removed

    if not with_store("client", data_dir, mongodb_url, do):
        fail("There is no client of this id")


async def registered(store: Store, told: Client) -> bool:
    """Make it known, recorded; False when the id is taken."""
    if not await store.clients.register(told):
        return False
    await record_command(store, "client register", told.id)
    return True


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > JWKS_BYTES_MAX:
        fail(f"{path} has more than {JWKS_BYTES_MAX} bytes")
    try:
        told = json.loads(path.read_bytes())
    except ValueError:
        fail(f"{path} is no JSON")
    if not isinstance(told, dict):
        fail(f"{path} is no JWK Set")
    return told
