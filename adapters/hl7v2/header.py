"""
The MSH segment: who sent the message, what it is, and which answers it asks for.

HL7 v2.8, 2.14.9 (MSH) and 2.9.2 (Message acknowledgment, original and enhanced mode).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from adapters.hl7v2.er7 import Message

VERSIONS: Final = frozenset(
    ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Which acknowledgements the sender wants.

    `accept` and `application` are MSH-15 and MSH-16: AL always, NE never, ER on error, SU on
    success. Neither valued is the original mode, in which there is one answer, always.
    """

    enhanced: bool
    accept: str
    application: str

    def wants_accept(self, *, success: bool) -> bool:
        return self.enhanced and _wanted(self.accept, success=success)

    def wants_application(self, *, success: bool) -> bool:
        return not self.enhanced or _wanted(self.application, success=success)


@dataclass(frozen=True, slots=True)
class Header:
    """What MSH says, as text; empty where it says nothing."""

    application: str
    facility: str
    sent: str
    code: str
    event: str
    control_id: str
    version: str
    asked: Asked

    @property
    def type(self) -> str:
        """`ADT^A01`."""
        return f"{self.code}^{self.event}" if self.event else self.code

    @property
    def place(self) -> str:
        """The sending facility by the best name there is, for what belongs to the sender alone."""
        return self.facility or self.application or "unknown"


def header_of(message: Message) -> Header:
    msh = message["MSH"]
    code, event = msh[9][1], msh[9][2]
    return Header(
        application=msh[3][1] or msh[3][2],
        facility=msh[4][1] or msh[4][2],
        sent=msh[7][1],
        code=code,
        event=event,
        control_id=msh[10].whole.strip(),
        version=msh[12][1].strip(),
        asked=_asked(msh[15].whole.strip().upper(), msh[16].whole.strip().upper()),
    )


def identity_of(raw: bytes, header: Header | None) -> str:
    """
    What makes two arrivals one message: sender, MSH-10, MSH-7 and the content.

    Never MSH-10 alone, which real senders repeat. Line ends do not count: the same message by
    another route is the same message.
    """
    content = b"\r".join(line for line in re.split(rb"[\r\n]+", raw.strip()) if line)
    named = (
        ["", "", "", ""]
        if header is None
        else [header.application, header.facility, header.control_id, header.sent]
    )
    text = json.dumps(["hl7v2", *named, hashlib.sha256(content).hexdigest()])
    return hashlib.sha256(text.encode()).hexdigest()


def _asked(accept: str, application: str) -> Asked:
    enhanced = bool(accept or application)
    return Asked(enhanced, accept or "NE", application or "NE") if enhanced else Asked(enhanced, "NE", "AL")


def _wanted(condition: str, *, success: bool) -> bool:
    match condition:
        case "NE":
            return False
        case "ER":
            return not success
        case "SU":
            return success
        case _:
            # A value that is not in table 0155 is taken as AL: an answer too many harms less than none.
            return True
