"""`fhir-server brands`: is a Brand Bundle one that may be published?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fhir_server.commands.failure import fail
from fhir_server.smart.brands.bundle import InvalidBrands, brand_identifier, brands_in

brands = typer.Typer(help="User-access brands, by which people find their hospital.", no_args_is_help=True)


@brands.callback()
def commands() -> None:
    """User-access brands, by which people find their hospital."""


@brands.command()
def check(
    file: Annotated[Path, typer.Argument(help="The Brand Bundle, JSON.", exists=True, dir_okay=False)],
    identifier: Annotated[
        str | None, typer.Option(help="The identifier of the primary brand: 'system|value', or a value.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The base URL of the FHIR server that will publish it.")
    ] = None,
) -> None:
    """
    Say what keeps a Brand Bundle from being published, a line for each problem, with its element.

    Example: fhir-server brands check brands.json --identifier 'urn:ietf:rfc:3986|https://goodhealth.example.org'
    """
    told = None if identifier is None else brand_identifier(identifier)
    try:
        brands_in(file, told, base_url)
    except InvalidBrands as refusal:
        fail(str(refusal))
    typer.echo("nothing is wrong with it")
