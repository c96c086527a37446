"""
How one message is read: by which agreement, in which zone; and what could not be used.

A mapping asks for fields and states elements. `state` keeps the three things apart that a field
can say (nothing, delete, a value), and remembers the fields that said something nobody could use,
so that no value is dropped in silence: `unmapped` lists them, by name, never by content.

HL7 v2.8, 2.A.22 (DTM): a time without a zone is in the zone of MSH-7, or of the sender.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapters.hl7v2.er7 import Field, Message
from adapters.hl7v2.header import Header
from adapters.hl7v2.senders import Sender
from adapters.hl7v2.statement import DELETED, Statement

_OFFSET: Final = re.compile(r"[+-]\d{4}$", re.ASCII)

COUNTERS: Final = frozenset(
    f"{name}-1" for name in ("PID", "NK1", "PV1", "AL1", "DG1", "OBR", "OBX", "NTE", "SPM")
)
"""Set ids: they number the segments, which their order does already."""


class Rejection(Exception):
    """
    This message cannot be stored as it is.

    `code` is of table 0357, `location` a segment, its place and a field (`PID^1^3`). The text
    goes back to the sender: it names elements, never values.
    """

    def __init__(self, code: str, location: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.location = location


@dataclass(frozen=True, slots=True)
class Reading:
    """
    `base` is what our own identifier systems begin with; `identity` tells this message from any
    other. `unusable` fills while the message is read.
    """

    header: Header
    sender: Sender
    base: str
    identity: str
    unusable: set[str] = field(default_factory=set)

    def state(self, statement: Statement, element: str, said: Field, value: Any) -> None:
        """What `said` says about `element`, of which `value` is the translation."""
        if said.null:
            statement[element] = DELETED
        elif value not in (None, "", [], {}):
            statement[element] = value
        else:
            self.expect_nothing(said)

    def expect_nothing(self, said: Field) -> None:
        """Remember `said` when it is valued: there was no use for it."""
        if said.valued:
            self.unusable.add(said.name)

    def offset_at(self, moment: datetime) -> str:
        """The zone of a local time that states none, as `+02:00`."""
        stated = _OFFSET.search(self.header.sent)
        offset = stated[0] if stated else f"{moment.replace(tzinfo=self.sender.zone):%z}"
        return f"{offset[:3]}:{offset[3:5]}"


def unmapped(message: Message, reading: Reading) -> list[str]:
    """The segments nobody read, and the valued fields of others that nobody asked for or could use."""
    return sorted({*_unread(message), *reading.unusable})


def _unread(message: Message) -> Iterable[str]:
    for segment in message.segments:
        if segment.name == "MSH":
            continue  # It says how the message travels, not what it tells.
        if not segment.asked:
            yield segment.name
            continue
        for number, content in enumerate(segment.fields, start=1):
            if number not in segment.asked and content.name not in COUNTERS and content.valued:
                yield content.name
