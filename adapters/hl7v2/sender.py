"""
Sending files of HL7 v2 messages to a listener, and what it answers.

One connection, one message after the other. A file may hold several messages, framed or not, in
a batch or not; they are sent with CR after each segment, as MLLP wants. Each message waits for
the answers it asks for (MSH-15 and MSH-16) and for no other: none for NE/NE. An answer counts
for the message whose control id it carries in MSA-2, so a late one is not taken for the next.

HL7 v2.8, 2.9.2 and 2.10.3 (Batch protocol).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.hl7v2.charsets import decode
from adapters.hl7v2.er7 import Unreadable, parse
from adapters.hl7v2.framing import Deframer, frame
from adapters.hl7v2.header import Asked, header_of

READ_BYTES: Final = 65_536
ANSWER_BYTES_MAX: Final = 1 << 20
PERHAPS_SECONDS: Final = 2.0
"""How long an answer is waited for that comes only if something went wrong, or well."""

NONE_DUE: Final = "No answer was asked for, or none was due"

COMMIT: Final = frozenset(("CA", "CE", "CR"))
APPLICATION: Final = frozenset(("AA", "AE", "AR"))
_BATCH: Final = re.compile(rb"(?:FHS|BHS|BTS|FTS)(?:\W|$)")


class SendError(Exception):
    """The messages cannot be sent: no connection, or a file that cannot be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What was said to one message.

    `code` is MSA-1, None when no answer came; `text` is what the answer says about an error, or
    why there is no answer (NONE_DUE when that is as it should be).
    """

    file: Path
    control_id: str
    code: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Outgoing:
    file: Path
    content: bytes
    control_id: str
    asked: Asked


async def send(
    files: Iterable[Path], host: str, port: int, *, answer_seconds_max: float = 30.0
) -> AsyncIterator[Answer]:
    """
    Send each message of each file; yields the answers as they come.

    A file without a message is said to be one, and the next is sent. Raises SendError when there
    is no connection any more, or a file cannot be read: what stands before it has been sent then.
    """
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise SendError(f"No connection to {host}:{port}: {error.strerror or error}") from error
    conversation = _Conversation(reader, writer, answer_seconds_max)
    try:
        for file in files:
            for message in _outgoing(file):
                if isinstance(message, Answer):
                    yield message
                    continue
                async for answer in conversation.exchange(message):
                    yield answer
    except ConnectionError as error:
        raise SendError(f"{host}:{port} closed the connection: {error}") from error
    finally:
        writer.close()


def messages_in(content: bytes) -> Iterator[bytes]:
    """The messages in a file, each with CR after its segments, without frames and batch segments."""
    lines: list[bytes] = []
    for line in re.split(rb"[\r\n\x0b\x1c]+", content.removeprefix(b"\xef\xbb\xbf")):
        if not line.strip() or _BATCH.match(line):
            continue
        if line.startswith(b"MSH") and lines:
            yield b"\r".join(lines) + b"\r"
            lines = []
        lines.append(line)
    if lines:
        yield b"\r".join(lines) + b"\r"


def _outgoing(file: Path) -> Iterator[_Outgoing | Answer]:
    try:
        contents = list(messages_in(file.read_bytes()))
    except OSError as error:
        raise SendError(f"{file} cannot be read: {error.strerror or error}") from error
    if not contents:
        yield Answer(file, "", None, "Not sent: the file holds no message")
    for content in contents:
        decoded = decode(content)
        try:
            header = header_of(parse(decoded.text, decoded.codec))
        except Unreadable as error:
            yield Answer(file, "", None, f"Not sent: {error}")
            continue
        yield _Outgoing(file, content, header.control_id, header.asked)


def _expected(asked: Asked) -> Iterator[tuple[str, frozenset[str]]]:
    """When an answer is due, and which codes it may have."""
    if not asked.enhanced:
        yield "AL", COMMIT | APPLICATION
        return
    for condition, codes in ((asked.accept, COMMIT), (asked.application, APPLICATION)):
        if condition != "NE":
            yield condition, codes


class _Conversation:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_seconds_max: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer_seconds_max = answer_seconds_max
        self._deframer = Deframer(ANSWER_BYTES_MAX)
        self._received: deque[bytes] = deque()

    async def exchange(self, message: _Outgoing) -> AsyncIterator[Answer]:
        """Send it; the answers it asks for. One at least, be it to say that there is none."""
        self._writer.write(frame(message.content))
        await self._writer.drain()
        early: list[Answer] = []
        silent = True
        for condition, codes in _expected(message.asked):
            perhaps = condition in ("ER", "SU")
            answer = await self._answer(message, codes, early, perhaps=perhaps)
            if answer is None and perhaps:
                continue
            silent = False
            waited = f"No answer within {self._answer_seconds_max:g} s"
            yield answer or Answer(message.file, message.control_id, None, waited)
            if answer is None or answer.code in ("CE", "CR"):
                return
        if silent:
            yield Answer(message.file, message.control_id, None, NONE_DUE)

    async def _answer(
        self, message: _Outgoing, codes: frozenset[str], early: list[Answer], *, perhaps: bool
    ) -> Answer | None:
        """
        The next answer with one of these codes; None when none comes in time. Those with others
        are kept in `early`: an application may be faster than the acceptance that never comes.
        """
        for answer in early:
            if answer.code in codes:
                return answer
        seconds = min(PERHAPS_SECONDS, self._answer_seconds_max) if perhaps else self._answer_seconds_max
        try:
            async with asyncio.timeout(seconds):
                while True:
                    received = _read(message, await self._next())
                    if received is None:
                        continue
                    if received.code in codes:
                        return received
                    early.append(received)
        except TimeoutError:
            return None

    async def _next(self) -> bytes:
        while not self._received:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("no more answers")
            self._received += self._deframer.feed(data)
            if self._deframer.fault is not None and not self._received:
                raise ConnectionResetError(str(self._deframer.fault))
        return self._received.popleft()


def _read(message: _Outgoing, answer: bytes) -> Answer | None:
    """None when this is an answer to another message, or none at all."""
    decoded = decode(answer)
    try:
        parsed = parse(decoded.text, decoded.codec)
    except Unreadable:
        return None
    msa = parsed.get("MSA")
    if msa is None or msa[2].whole.strip() not in (message.control_id, ""):
        return None
    errors = [
        " ".join(part for part in (err[2].text, err[3][1], err[8].whole or err[3][2], err[1].text) if part)
        for err in parsed.all("ERR")
    ]
    return Answer(message.file, message.control_id, msa[1][1], "; ".join(errors) or msa[3].whole)
