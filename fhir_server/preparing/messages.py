"""
What a worker and the process that prepares for it say to each other, as frames of MessagePack.

A frame is its length (4 bytes, big-endian) and one message. Only the text of a Bundle comes without
a frame, behind the message that says its length. Long lists come in pieces, the last one marked, so
that neither side has to read or write much at a time.

https://msgpack.org
"""

from __future__ import annotations

from typing import Final

import msgspec

from fhir_server.interactions.entries import Asked
from fhir_server.interactions.submission import Item, Kind, Order, Refused, Rules
from fhir_server.r4.media import Format
from fhir_server.search.declared.catalogue import Declared

HEAD_BYTES: Final = 4
PIECE_BYTES: Final = 128 << 10
"""About so many are written at once: read in half a millisecond."""
PIECE_ITEMS: Final = 500


class Start(msgspec.Struct, frozen=True, tag=True):
    """To the process, first of all: `parent` is the pid of the worker, without which it ends."""

    rules: Rules
    parent: int
    memory_bytes_max: int


class Read(msgspec.Struct, frozen=True, tag=True):
    """To the process: a Bundle of so many bytes, which follow. Answered with Entries or NotRead."""

    size: int
    format: Format


class InForce(msgspec.Struct, frozen=True):
    """What entries are made of beside R4's own search parameters."""

    indexed: int
    declared: tuple[Declared, ...]


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """
    To the process: orders for what was read; after the last piece it answers with Items.

    With the last one it is told the search parameters that are in force, if they are others than
    it was told before.
    """

    orders: list[Order]
    others: dict[str, str] | None = None
    last: bool = True
    in_force: InForce | None = None


class Forget(msgspec.Struct, frozen=True, tag=True):
    """To the process: what was read is not needed any more. There is no answer."""


class Entries(msgspec.Struct, frozen=True, tag=True):
    """From the process: what the Bundle is, and a piece of what its entries ask for."""

    kind: Kind
    asked: list[Asked]
    last: bool


class Items(msgspec.Struct, frozen=True, tag=True):
    """From the process: a piece of what became of the orders."""

    items: list[Item]
    last: bool


class NotRead(msgspec.Struct, frozen=True, tag=True):
    """From the process: the Bundle as a whole is refused."""

    refused: Refused


class OutOfMemory(msgspec.Struct, frozen=True, tag=True):
    """From the process, which ends: the Bundle takes more memory than it may have."""


class Broken(msgspec.Struct, frozen=True, tag=True):
    """From the process, which ends: it has a bug, an exception of this type."""

    reason: str


Question = Start | Read | Prepare | Forget
Answer = Entries | Items | NotRead | OutOfMemory | Broken


def frame(message: Question | Answer) -> bytes:
    """`message` as it is sent."""
    text = _encode(message)
    return len(text).to_bytes(HEAD_BYTES) + text


def length_of(head: bytes) -> int:
    """How many bytes follow the head of a frame."""
    return int.from_bytes(head)


def question(text: bytes) -> Question:
    """What stands in a frame that goes to the process."""
    found: Question = _question.decode(text)
    return found


def answer(text: bytes) -> Answer:
    """What stands in a frame that comes from it."""
    found: Answer = _answer.decode(text)
    return found


_encode: Final = msgspec.msgpack.Encoder().encode
_question: Final = msgspec.msgpack.Decoder(Question)
_answer: Final = msgspec.msgpack.Decoder(Answer)
