"""
`fhir-server generate`: a synthetic population, for demos, tests and benchmarks.

What comes out is decided by the arguments alone, to the byte. It is written while it is made, so a
million patients need no more memory than one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.console import Console

from fhir_server.commands.failure import fail
from fhir_server.population import AS_OF, population, resources
from fhir_server.r4.resource import to_text

STANDARD_OUTPUT: Final = Path("-")
PATIENTS_PER_FOLDER: Final = 1000

Made = Mapping[str, Any]


class Format(Enum):
    """What the population is written as."""

    BUNDLES = "bundles"
    NDJSON = "ndjson"


def generate(
    patients: Annotated[int, typer.Option(min=0, help="How many patients")],
    out: Annotated[Path, typer.Option(help="Folder, new or empty; - writes lines to standard output")],
    seed: Annotated[int, typer.Option(help="Another seed makes other patients")] = 1,
    format: Annotated[
        Format, typer.Option(help="A transaction Bundle for each patient, or resources as NDJSON by type")
    ] = Format.BUNDLES,
    as_of: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="Day on which the records end")
    ] = AS_OF.isoformat(),
    consents: Annotated[
        bool, typer.Option("--consents", help="One patient in ten has a Consent about the whole record")
    ] = False,
) -> None:
    """
    Write a synthetic population; the same arguments write the same bytes.

    Example: fhir-server generate --patients 100 --seed 7 --out population/

    Example: fhir-server generate --patients 100 --out - | fhir-server load --url URL --update -
    """
    make = population if format is Format.BUNDLES else resources
    made = make(seed, patients, _day(as_of), consents=consents)
    if out == STANDARD_OUTPUT:
        _write_lines(made, sys.stdout.buffer)
        return
    started = time.monotonic()
    try:
        _make_folder(out)
        with Console(stderr=True).status(f"{patients:,} patients"):
            count = _write_bundles(made, out) if format is Format.BUNDLES else _write_types(made, out)
    except OSError as error:
        fail(f"`{error.filename or out}` cannot be written: {error.strerror}")
    typer.echo(f"{patients:,} patients, {count:,} resources in {time.monotonic() - started:.1f} s", err=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        fail(f"`{text}` is not a day, such as {AS_OF.isoformat()}")


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        # What an earlier, larger population left there would be loaded along with this one.
        fail(f"`{folder}` is not empty")


def _write_lines(made: Iterable[Made], stream: BinaryIO) -> None:
    stream.writelines(to_text(resource) + b"\n" for resource in made)
    stream.flush()


def _write_bundles(bundles: Iterator[Made], folder: Path) -> int:
    """`directory.json`, which sorts first, and the Bundles of the patients in folders of a thousand."""
    count = 0
    for number, bundle in enumerate(bundles):
        file = folder / "directory.json"
        if number:
            first = (number - 1) // PATIENTS_PER_FOLDER * PATIENTS_PER_FOLDER + 1
            file = folder / f"patients-{first:07}" / f"patient-{number:07}.json"
            file.parent.mkdir(exist_ok=True)
        file.write_bytes(to_text(bundle))
        count += len(bundle["entry"])
    return count


def _write_types(made: Iterator[Made], folder: Path) -> int:
    """One file for each type, as a bulk export has them."""
    count = 0
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for resource in made:
            type = resource["resourceType"]
            if type not in files:
                files[type] = stack.enter_context((folder / f"{type}.ndjson").open("wb"))
            files[type].write(to_text(resource) + b"\n")
            count += 1
    return count
