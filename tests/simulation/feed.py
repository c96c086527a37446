"""
A sender of HL7 v2 over MLLP that knows its trade: in order, and again until it is answered.

Each patient is admitted (A01), then changed twice (A08); the family name says by which message.
The second of three asks for an acceptance alone (MSH-15 AL, MSH-16 NE) and is content with CA.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.hl7v2.framing import Deframer, frame
from tests.simulation.evidence import Evidence, content_of
from tests.simulation.load import PAUSE_SECONDS

ANSWER_SECONDS_MAX: Final = 60.0
ANSWER_BYTES_MAX: Final = 1 << 16
READ_BYTES: Final = 1 << 16
MESSAGES_OF_A_PATIENT: Final = 3
ENHANCED: Final = 1
"""Which of the messages of a patient."""
SENT: Final = "20260102030405"


@dataclass(slots=True)
class Message:
    """One message; `answers` has a code for each time that it was sent, None when none came."""

    control_id: str
    patient: str
    event: str
    enhanced: bool = False
    answers: list[str | None] = field(default_factory=list)

    @property
    def family(self) -> str:
        """The name that it gives the patient."""
        return f"Named-{self.control_id}"

    @property
    def wanted(self) -> str:
        """The answer with which it is the server's."""
        return "CA" if self.enhanced else "AA"

    @property
    def content(self) -> bytes:
        """As it goes into a frame."""
        asked = "|||AL|NE" if self.enhanced else ""
        kind = f"ADT^{self.event}^ADT_A01|{self.control_id}|P|2.5.1{asked}"
        return "\r".join(
            [
                f"MSH|^~\\&|ADT|HOSPITAL|FHIR|SERVER|{SENT}||{kind}",
                f"EVN|{self.event}|{SENT}",
                f"PID|1||{self.patient}^^^HOSPITAL^MR||{self.family}^Erika||19700330|F",
                f"PV1|1|I|WARD^1^A|||||||||||||||||V-{self.patient}^^^HOSPITAL^VN",
                "",
            ]
        ).encode()


class Sender:
    """Sends over one connection at a time, which it opens again when it breaks."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._port = port
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._deframer = Deframer(ANSWER_BYTES_MAX)
        self.messages: list[Message] = []

    async def run(self, ended: asyncio.Event) -> None:
        """
        One message after the other until `ended`, and then until the last one is answered AA: what
        was answered CA before is stored by then.
        """
        try:
            while not ended.is_set() or self.messages[-1].enhanced:
                self.messages.append(self._next())
                await self.accepted(self.messages[-1])
        finally:
            self.hang_up()

    def _next(self) -> Message:
        patient, place = divmod(len(self.messages), MESSAGES_OF_A_PATIENT)
        return Message(
            control_id=f"{self._name}{len(self.messages)}",
            patient=f"{self._name}p{patient}",
            event="A01" if place == 0 else "A08",
            enhanced=place == ENHANCED,
        )

    async def accepted(self, message: Message) -> None:
        """Sends it until it is the server's."""
        while True:
            message.answers.append(await self._answer(message))
            if message.answers[-1] == message.wanted:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _answer(self, message: Message) -> str | None:
        """MSA-1 of the answer; None when none came."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                reader, writer = await self._connected()
                writer.write(frame(message.content))
                while True:
                    data = await reader.read(READ_BYTES)
                    if not data:
                        raise ConnectionResetError
                    for answer in self._deframer.feed(data):
                        return _code(answer, message.control_id)
        except (OSError, TimeoutError):
            self.hang_up()
            return None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._connection is None:
            self._connection = await asyncio.open_connection("127.0.0.1", self._port)
            self._deframer = Deframer(ANSWER_BYTES_MAX)
        return self._connection

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


def feed_flaws(messages: Sequence[Message], evidence: Evidence) -> Iterator[str]:
    """Each message that was accepted is stored, once, in the order of its sender."""
    keys = _keys_by_number(evidence)
    provenances = _provenances_by_target(evidence)
    by_patient: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_patient[message.patient].append(message)
    for number, some in by_patient.items():
        found = keys.get(number, [])
        if len(found) != 1:
            yield f"{number}: accepted, its Patients are {found}"
            continue
        [key] = found
        versions = evidence.versions[key]
        names = [content_of(version)["name"][0]["family"] for version in versions]
        if names != [message.family for message in some]:
            yield f"{number}: {key} was named {names} by {[message.control_id for message in some]}"
        if provenances[key] != len(some):
            yield f"{number}: {len(some)} messages accepted left {provenances[key]} Provenances"


def _keys_by_number(evidence: Evidence) -> dict[str, list[str]]:
    """The keys of Patients by the number in PID-3."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, versions in evidence.versions.items():
        if key.startswith("Patient/"):
            for identifier in content_of(versions[-1]).get("identifier", ()):
                found[identifier.get("value", "")].append(key)
    return found


def _provenances_by_target(evidence: Evidence) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, versions in evidence.versions.items():
        if key.startswith("Provenance/"):
            for version in versions:
                found.update(target["reference"] for target in content_of(version).get("target", ()))
    return found


def _code(answer: bytes, control_id: str) -> str | None:
    for segment in answer.decode().split("\r"):
        fields = segment.split("|")
        if fields[0] == "MSA" and fields[2] == control_id:
            return fields[1]
    return None
