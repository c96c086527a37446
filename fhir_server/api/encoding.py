"""
gzip, in and out: a request's body is unpacked piece by piece within limits, an answer's is packed.

What is unpacked is counted while it comes: beyond the limit of a body it is refused, and so is
what grows suspiciously, long before that limit. So a bomb costs a few megabytes and milliseconds.
A body may have several members, one after the other, as RFC 1952 has it.

https://www.rfc-editor.org/rfc/rfc9110#name-content-codings, https://www.rfc-editor.org/rfc/rfc1952
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from fhir_server.r4.errors import Invalid, TooLarge

PIECE_BYTES_MAX: Final = 256 << 10
"""What is unpacked at once: half a millisecond."""

RATIO_MAX: Final = 200
"""Bundles shrink to a tenth or a fortieth; a megabyte of nothing to a thousandth."""

RATIO_JUDGED_FROM_BYTES: Final = 1 << 20
MEMBERS_MAX: Final = 4_096
LEVEL: Final = 3
"""Packs JSON at 200 MB/s to an eighth; the default level takes twice as long for a seventh less."""

_GZIP: Final = 31
"""zlib's word for a gzip header with the largest window, and nothing else."""


class Inflating:
    """A gzip body on its way in; `feed` what comes, `finish` at its end."""

    def __init__(self, body_bytes_max: int) -> None:
        self._bytes_max = body_bytes_max
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._taken = 0
        self._given = 0

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """
        What `packed` adds to the body, in pieces of at most PIECE_BYTES_MAX.

        Raises TooLarge when the body outgrows its limits, Invalid when it is not gzip.
        """
        self._taken += len(packed)
        while True:
            if self._member.eof and packed:
                self._next_member()
            try:
                piece = self._member.decompress(packed, PIECE_BYTES_MAX)
            except zlib.error as error:
                raise Invalid("The body is not gzip, as its Content-Encoding says") from error
            self._count(len(piece))
            if piece:
                yield piece
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not packed and (self._member.eof or len(piece) < PIECE_BYTES_MAX):
                return

    def finish(self) -> None:
        """Raises Invalid when the body ended too early; nothing at all is a body without anything."""
        if self._taken and not self._member.eof:
            raise Invalid("The gzip body ends too early")

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MEMBERS_MAX:
            raise TooLarge(f"The gzip body has more than {MEMBERS_MAX} members")
        self._member = zlib.decompressobj(_GZIP)

    def _count(self, size: int) -> None:
        self._given += size
        if self._given > self._bytes_max:
            raise TooLarge(f"The body has more than {self._bytes_max} bytes when it is unpacked")
        if self._given > RATIO_JUDGED_FROM_BYTES and self._given > RATIO_MAX * self._taken:
            raise TooLarge(f"The body is packed more than {RATIO_MAX} times: send it as it is")


def packed(body: bytes) -> bytes:
    """`body` as gzip; the same bytes each time."""
    return zlib.compress(body, LEVEL, _GZIP)


def prefers_gzip(accept_encoding: str) -> bool:
    """
    Is gzip wanted at least as much as the body as it is?

    https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding
    """
    weights: dict[str, float] = {}
    for choice in accept_encoding.split(","):
        coding, *parameters = (part.strip().lower() for part in choice.split(";"))
        weights.setdefault(_SAME.get(coding, coding), _weight(parameters))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    """The q-value; what is not written as the RFC says is no wish."""
    stated = next((text for text in parameters if text.startswith("q=")), "q=1")[2:]
    try:
        weight = float(stated)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


_SAME: Final = {"x-gzip": "gzip"}
