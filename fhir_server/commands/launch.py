"""
`fhir-server launch`: what an EHR does to open an app, for an operator on this machine.

The server must be running: the launch is made through its door, with a token for nothing else, and is
recorded. Who may read the data folder may make any: the folder is the trust, as for `fhir-server token`.

https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Annotated, Any, Final

import httpx
import typer

from fhir_server.commands.deployment import DataDir, MongodbUrl, opened
from fhir_server.commands.failure import fail
from fhir_server.commands.token import issue
from fhir_server.pipeline.authorizing.addresses import LAUNCH_PATH, beside
from fhir_server.r4.errors import FhirError
from fhir_server.settings import Settings, settings
from fhir_server.smart.keys import SecretMismatchError
from fhir_server.smart.scopes import LAUNCH
from fhir_server.smart.tokens import SERVED, Grant
from fhir_server.store.database import Unsuitable
from fhir_server.store.embedded import CannotStart

TOKEN_SECONDS: Final = 60
ANSWER_SECONDS_MAX: Final = 30.0
SCOPE: Final = f"{LAUNCH} system/Patient.r system/Encounter.r"
"""The right to launch, and to read whom it is for, which is looked at."""


def launch(
    client: Annotated[str, typer.Option(help="The client_id of the app.")],
    patient: Annotated[str | None, typer.Option(help="The id of the patient on the screen.")] = None,
    encounter: Annotated[str | None, typer.Option(help="The id of an encounter of theirs.")] = None,
    launch_uri: Annotated[
        str | None, typer.Option(help="Where the app is opened, if it has registered more than one address.")
    ] = None,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
    base_url: Annotated[
        str | None, typer.Option(help="The server's base URL; default: the one served last.")
    ] = None,
) -> None:
    """
    Print the address at which an EHR would open an app now; it holds for five minutes, once.

    Example: fhir-server launch --client demo-app --patient 1 --encounter 7
    """
    told = settings({"data_dir": data_dir, "mongodb_url": mongodb_url})
    stated = {"patient": patient, "encounter": encounter, "launch_uri": launch_uri}
    body = {"client_id": client, **{name: value for name, value in stated.items() if value is not None}}
    try:
        made = asyncio.run(_launched(told, body, base_url))
    except (CannotStart, Unsuitable, SecretMismatchError, FhirError) as refusal:
        fail(str(refusal))
    if made["launch_url"] is None:
        fail(
            f"{client} has registered no address to be launched at: fhir-server client register --launch-uri"
        )
    typer.echo(made["launch_url"])


async def _launched(told: Settings, body: dict[str, str], base_url: str | None) -> dict[str, Any]:
    served = base_url or await _served_last(told)
    token = await issue(told, Grant("operator", SCOPE, TOKEN_SECONDS), served)
    url, headers = beside(served, LAUNCH_PATH), {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, verify=_trusting(told)) as http:
            answer = await http.post(url, json=body, headers=headers)
    except httpx.TransportError as error:
        fail(f"No server answers at {served}: it makes the launch, so it must be running ({error})")
    if answer.status_code == httpx.codes.NOT_FOUND:
        fail(f"The server at {served} launches no apps: a provider outside issues its tokens")
    if not answer.headers.get("content-type", "").startswith("application/json"):
        fail(f"No FHIR server of ours answers at {served} ({answer.status_code})")
    made: dict[str, Any] = answer.json()
    if answer.status_code != httpx.codes.OK:
        fail(str(made.get("error_description", f"The server answers {answer.status_code}")))
    return made


async def _served_last(told: Settings) -> str:
    async with opened(told, "launch") as store:
        served = await store.state.get(*SERVED)
    if served is None:
        fail("This deployment has not been served yet: fhir-server serve")
    return str(served["base_url"])


def _trusting(told: Settings) -> ssl.SSLContext:
    """Who the machine trusts, and our own certificate where the environment names it."""
    context = ssl.create_default_context()
    if told.tls_cert is not None:
        context.load_verify_locations(told.tls_cert)
    return context
