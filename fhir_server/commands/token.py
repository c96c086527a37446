"""
`fhir-server token`: an access token for an operator on this machine.

It works with the server running or stopped, and prints the token and nothing else. Who may read
the data folder may issue any token: the folder is the trust, as it is for the database in it.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from pathlib import Path
from typing import Annotated, Final

import typer

from fhir_server.commands.deployment import opened, utc_now
from fhir_server.commands.recording import record_command
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.settings import Settings, settings
from fhir_server.smart.keys import SecretMismatchError, load_or_create
from fhir_server.smart.scopes import parse
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import SERVED, Grant, Tokens
from fhir_server.store.database import Unsuitable
from fhir_server.store.embedded import CannotStart

_REFERENCE: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_PURPOSE: Final = re.compile(r"[A-Z][A-Z0-9-]{1,30}")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def token(
    scope: Annotated[str, typer.Option(help="SMART scopes, separated by spaces: 'system/*.cruds'.")],
    data_dir: Annotated[
        Path | None, typer.Option(help="The data folder of the server.", show_default="data")
    ] = None,
    mongodb_url: Annotated[
        str | None, typer.Option(help="The replica set, when the server has an external one.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The base URL it is for; default: the one served last.")
    ] = None,
    client: Annotated[str, typer.Option(help="The client_id it is issued to.")] = "operator",
    user: Annotated[str | None, typer.Option(help="The user's reference: Practitioner/7.")] = None,
    patient: Annotated[str | None, typer.Option(help="The id of the patient in context.")] = None,
    purpose: Annotated[str | None, typer.Option(help="A purpose of use: TREAT, HPAYMT, HOPERAT, ...")] = None,
    lifetime: Annotated[str, typer.Option(help="How long it holds: 3600, 90s, 30m, 8h, 7d.")] = "1h",
) -> None:
    """
    Print an access token.

    Example: fhir-server token --data-dir data --scope 'patient/*.rs' --patient 1 --lifetime 8h
    """
    told = settings({"data_dir": data_dir, "mongodb_url": mongodb_url})
    grant = _grant(scope, lifetime, client=client, user=user, patient=patient, purpose=purpose)
    try:
        typer.echo(asyncio.run(issue(told, grant, base_url)))
    except (CannotStart, Unsuitable, SecretMismatchError, FhirError, ValueError) as refusal:
        raise SystemExit(f"fhir-server token: {refusal}") from refusal


async def issue(told: Settings, grant: Grant, base_url: str | None) -> str:
    """A token for `grant`, signed with the keys of the deployment that the settings name."""
    async with opened(told, "token") as store:
        secret = wrapping_secret(told.data_dir, told.secret)
        keys = await load_or_create(store.state, secret, utc_now())
        served = await store.state.get(*SERVED)
        audience = base_url or (served["base_url"] if served else told.served_at(told.port))
        tokens = Tokens(keys, audience, definitions().resource_types)
        token_id = str(uuid.uuid4())
        token = tokens.issue(grant, now=int(time.time()), token_id=token_id)
        await record_command(store, "token", token_id, grant.client, fhir_user=grant.user)
        return token


def _grant(scope: str, lifetime: str, **stated: str | None) -> Grant:
    """What was asked for. Raises typer.BadParameter for what is written wrongly."""
    for word in scope.split(" "):
        if word and parse(word, definitions().resource_types) is None:
            typer.echo(f"fhir-server token: `{word}` is no scope that this server knows; left out", err=True)
    if (user := stated["user"]) is not None and not _REFERENCE.fullmatch(user):
        raise typer.BadParameter("--user is a reference such as Practitioner/7")
    patient = (stated["patient"] or "").removeprefix("Patient/") or None
    if patient is not None and not _ID.fullmatch(patient):
        raise typer.BadParameter("--patient is the id of a Patient")
    if (purpose := stated["purpose"]) is not None and not _PURPOSE.fullmatch(purpose):
        raise typer.BadParameter("--purpose is a code such as TREAT")
    return Grant(
        client=stated["client"] or "operator",
        scope=scope,
        lifetime_seconds=_seconds(lifetime),
        user=user,
        patient=patient,
        purpose=purpose,
    )


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None:
        raise typer.BadParameter("--lifetime is a number of seconds, or a number with s, m, h or d")
    return int(match[1]) * _UNITS.get(match[2], 1)
