"""
The records of what an operator changes by a command: who may come in, as whom, and by which keys.

They stand in the ledger beside those of the server. Who ran the command is known by the name of their account
on that machine; what it was about by ids alone, never by a name that was typed, a password or a token.

docs/security-events.md
"""

from __future__ import annotations

import os
import pwd
import uuid
from typing import Final, Literal

from audit.record import Record, Target
from fhir_server.commands.deployment import utc_now
from fhir_server.store.store import Store

COMMANDS: Final = "fhir-server"
"""The client that commands are, in records."""

Command = Literal[
    "user add",
    "user password",
    "user second-factor",
    "user fhir-user",
    "user disable",
    "user enable",
    "user unlock",
    "user remove",
    "client register",
    "client remove",
    "keys rotate",
    "token",
    "revocation",
]


async def record_command(store: Store, command: Command, *about: str, fhir_user: str | None = None) -> None:
    """
    It has been done: `about` are the ids that it was about, `fhir_user` whom it concerns in the record.

    Raises Unavailable.
    """
    resource_type, _, id = (fhir_user or "").partition("/")
    await store.append(
        Record(
            time=utc_now(),
            interaction=command.replace(" ", "-"),
            outcome="success",
            status=200,
            request_id=uuid.uuid4().hex,
            address="",
            client=COMMANDS,
            subject=_operator(),
            targets=() if fhir_user is None or resource_type == "Patient" else (Target(fhir_user),),
            patients=(id,) if resource_type == "Patient" else (),
            query=" ".join((command, *about)),
        )
    )


def _operator() -> str:
    """Whose process this is; a container may have no name for them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
