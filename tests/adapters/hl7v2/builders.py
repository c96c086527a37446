"""Messages, readings and receivers, valid with the least said."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.fhir_json import Json
from adapters.hl7v2 import er7
from adapters.hl7v2.charsets import decode
from adapters.hl7v2.delivery import Delivery, Patience
from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.er7 import Message
from adapters.hl7v2.header import header_of, identity_of
from adapters.hl7v2.messages import TRANSLATORS
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.receiver import Receiver
from adapters.hl7v2.senders import Sender, Senders
from tests.adapters.hl7v2.memory_inbox import MemoryInbox
from tests.adapters.hl7v2.somebodys_server import SomebodysServer

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SYSTEMS = "http://fhir.example/r4"


def a_header(
    type: str = "ADT^A01^ADT_A01",
    *,
    control_id: str = "1",
    version: str = "2.5.1",
    accept: str = "",
    application: str = "",
    charset: str = "",
    sent: str = "20261121090000+0100",
) -> str:
    return (
        f"MSH|^~\\&|ADT1|GOODHEALTH|HUB|HERE|{sent}||{type}|{control_id}|P|{version}"
        f"|||{accept}|{application}||{charset}"
    )


def a_message(*segments: str, **header: Any) -> bytes:
    """An A01 of one patient, unless other segments or another type are said."""
    body = segments or ("PID|1||4711^^^GH^MR||Muster^Erika||19640812|F",)
    return ("\r".join((a_header(**header), *body)) + "\r").encode()


def an_oru(*segments: str, **header: Any) -> bytes:
    body = segments or (
        "PID|1||4711^^^GH^MR||Muster^Erika",
        "OBR|1|P1^HIS|F1^LAB|24323-8^Panel^LN|||20261120080000||||||||||||||20261120100000||CH|F",
        "OBX|1|NM|2345-7^Glucose^LN||1.50|mmol/L^^UCUM|1.0-2.0|N|||F|||20261120080000",
    )
    return a_message(*body, **{"type": "ORU^R01^ORU_R01", **header})


def parsed(raw: bytes) -> Message:
    decoded = decode(raw)
    return er7.parse(decoded.text, decoded.codec)


def a_reading(message: Message, sender: Sender | None = None, identity: str = "") -> Reading:
    header = header_of(message)
    told = identity or identity_of(str(message).encode(), header)
    return Reading(header, sender or Sender(), SYSTEMS, told)


def translated(raw: bytes, found: Found | None = None, sender: Sender | None = None) -> list[Draft]:
    message = parsed(raw)
    reading = a_reading(message, sender)
    return TRANSLATORS[reading.header.code, reading.header.event](message, reading, found or Found())


@dataclass
class RecordingLog:
    """What was logged, for tests to look at."""

    lines: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def info(self, event: str, /, **facts: Any) -> None:
        self.lines.append((event, facts))

    warning = error = info

    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


async def no_sleep(seconds: float) -> None:
    """Pauses are the delivery's to choose; tests do not wait them out."""
    assert seconds >= 0


@dataclass
class Hospital:
    """A receiver with all around it: inbox, FHIR server, log."""

    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    server: SomebodysServer = field(default_factory=SomebodysServer)
    log: RecordingLog = field(default_factory=RecordingLog)
    patience: Patience = field(default_factory=Patience)
    senders: Senders = field(default_factory=lambda: Senders(SYSTEMS))

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.receiver = Receiver(
            self.inbox,
            Delivery(self.server.client(), self.patience, lambda: 0.5, no_sleep),
            self.senders,
            lambda: NOW,
            lambda: f"ACK{next(numbers)}",
            self.log,
        )

    async def tell(self, raw: bytes) -> list[bytes]:
        return [answer async for answer in self.receiver.receive(raw, "127.0.0.1:1")]

    async def codes(self, raw: bytes) -> list[str]:
        return [parsed(answer)["MSA"][1][1] for answer in await self.tell(raw)]


def a_patient(**elements: Any) -> Json:
    return {"resourceType": "Patient", "id": "1", "meta": {"versionId": "1"}, **elements}
