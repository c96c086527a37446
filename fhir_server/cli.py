"""
`fhir-server`: everything an operator does with this server, one file in commands/ for each command.

Standard output has what was asked for; progress and errors go to standard error. Exit codes: 0 done,
1 not or not wholly done, 2 asked wrongly, 130 interrupted.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Annotated, Final

import typer

from fhir_server.commands.brands import brands
from fhir_server.commands.client import client
from fhir_server.commands.generate import generate
from fhir_server.commands.hl7v2 import hl7v2
from fhir_server.commands.keys import keys
from fhir_server.commands.launch import launch
from fhir_server.commands.load.command import load
from fhir_server.commands.revoke import revoke
from fhir_server.commands.serve import serve
from fhir_server.commands.token import token
from fhir_server.commands.user import user
from fhir_server.logs import configure
from fhir_server.settings import SettingsRefused

app = typer.Typer(
    name="fhir-server",
    no_args_is_help=True,
    add_completion=False,
    # A traceback may show the values of variables, and those may be a patient's.
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(token)
app.command()(launch)
app.command()(revoke)
app.command()(load)
app.command()(generate)
app.add_typer(client, name="client")
app.add_typer(user, name="user")
app.add_typer(keys, name="keys")
app.add_typer(brands, name="brands")
app.add_typer(hl7v2, name="hl7v2")


def main() -> None:
    try:
        app()
    except SettingsRefused as refusal:
        typer.secho(f"error: {refusal}", err=True, fg=typer.colors.RED)
        raise SystemExit(_ASKED_WRONGLY) from None


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fhir-server {version('fhir-server')}")
        raise typer.Exit


@app.callback()
def fhir_server(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit"),
    ] = False,
) -> None:
    """A FHIR R4 server on MongoDB, and the tools to feed it."""
    # Standard output is for what was asked; what libraries and the store report goes to standard error.
    configure("fhir-server", level=logging.WARNING)


_ASKED_WRONGLY: Final = 2
