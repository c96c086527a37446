"""
`fhir-server hl7v2 send`: messages from files to an MLLP listener, this one or another.

One line for each answer: the file, the control id (MSH-10), and what the listener said (MSA-1).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from adapters.hl7v2.sender import NONE_DUE, Answer, SendError
from adapters.hl7v2.sender import send as answers_to
from fhir_server.commands.failure import FAILED, fail

GOOD: Final = ("AA", "CA")

hl7v2 = typer.Typer(help="HL7 v2 messages over MLLP.", no_args_is_help=True)


@hl7v2.callback()
def commands() -> None:
    """HL7 v2 messages over MLLP."""


@hl7v2.command()
def send(
    files: Annotated[list[Path], typer.Argument(help="Files of one or more messages each", exists=True)],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLLP listener")] = 2575,
    host: Annotated[str, typer.Option(help="Host of the MLLP listener")] = "127.0.0.1",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer that is due")] = 30.0,
) -> None:
    """
    Send HL7 v2 messages over MLLP, and show each answer.

    The exit code is 1 when an answer is not AA or CA, or does not come; a message that asks for none
    (NE in MSH-15 and MSH-16) needs none.

    Example: fhir-server hl7v2 send --port 2575 ADT-A01-01.hl7 ORU-R01-01.hl7
    """
    try:
        all_good = asyncio.run(_send(files, host, port, timeout))
    except SendError as error:
        fail(str(error))
    raise typer.Exit(0 if all_good else FAILED)


async def _send(files: list[Path], host: str, port: int, seconds_max: float) -> bool:
    all_good = True
    async for answer in answers_to(files, host, port, answer_seconds_max=seconds_max):
        typer.echo(_line(answer))
        all_good &= _is_good(answer)
    return all_good


def _is_good(answer: Answer) -> bool:
    return answer.code in GOOD or answer.text == NONE_DUE


def _line(answer: Answer) -> str:
    """An answer may be anybody's: nothing in it may steer the terminal."""
    said = "(no answer wanted)" if answer.text == NONE_DUE else answer.code or "(no answer)"
    why = "" if _is_good(answer) else answer.text
    line = "  ".join(part for part in (answer.file.name, answer.control_id, said, why) if part)
    return "".join(character if character.isprintable() else " " for character in line)
