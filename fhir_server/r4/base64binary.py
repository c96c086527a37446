"""
base64Binary: bytes in JSON, however many.

A megabyte is worked on at a time: whoever does this in a thread lets others have their turn.

https://hl7.org/fhir/R4/datatypes.html#base64Binary
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final

AT_ONCE: Final = 3 << 18
"""Bytes; as text a third more. Both are whole groups of three bytes and four characters."""

_CHARACTERS_AT_ONCE: Final = AT_ONCE // 3 * 4
_WHITESPACE: Final = (b" ", b"\t", b"\n", b"\r")


def is_base64(text: str) -> bool:
    """Is `text` base64 with padding? Whitespace may stand anywhere; nothing at all is not."""
    if not text.isascii():
        return False
    plain = compact(text.encode())
    if not plain or len(plain) % 4:
        return False
    try:
        for start in range(0, len(plain), _CHARACTERS_AT_ONCE):
            piece = plain[start : start + _CHARACTERS_AT_ONCE]
            found = binascii.a2b_base64(piece, strict_mode=True)
            if start + len(piece) < len(plain) and len(found) < len(piece) // 4 * 3:
                # Padding ends the text: it stands nowhere else.
                return False
    except binascii.Error:
        return False
    return True


def encoded(content: bytes) -> str:
    """`content` as text."""
    pieces = (content[start : start + AT_ONCE] for start in range(0, len(content), AT_ONCE))
    return "".join(binascii.b2a_base64(piece, newline=False).decode() for piece in pieces)


def compact(text: bytes) -> bytes:
    """`text` without whitespace."""
    if not any(space in text for space in _WHITESPACE):
        return text
    pieces = (text[start : start + AT_ONCE] for start in range(0, len(text), AT_ONCE))
    return b"".join(b"".join(piece.split()) for piece in pieces)


def length(plain: bytes) -> int:
    """How many bytes the compact `plain` means."""
    return len(plain) // 4 * 3 - plain[-2:].count(b"=")


def decoded(plain: bytes, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end` of what the compact `plain` means."""
    return b"".join(_decoded(plain, start, end))


def _decoded(plain: bytes, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        first = start // 3
        piece = binascii.a2b_base64(plain[first * 4 : first * 4 + _CHARACTERS_AT_ONCE])
        piece = piece[start - first * 3 : end - first * 3]
        yield piece
        start += len(piece)
