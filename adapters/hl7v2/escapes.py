"""
Escape sequences of HL7 v2: what `\\T\\`, `\\X0D\\` and `\\.br\\` stand for.

A sequence that is not known is left as it stands, so that nothing a sender wrote disappears:
local ones (`\\Z..\\`), character set shifts (`\\C..\\`, `\\M..\\`), and text that merely holds the
escape character, such as a Windows path.

HL7 v2.8, 2.7 (Use of escape sequences in text fields).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from adapters.hl7v2.encoding import Encoding

_SPACES: Final = re.compile(r"\.(sp|sk)\s?\+?(\d{0,3})", re.ASCII)
_LAYOUT: Final = re.compile(r"H|N|\.(?:fi|nf)|\.(?:in|ti)\s?[+-]?\d{1,3}", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"X((?:[0-9A-Fa-f]{2})+)", re.ASCII)
_LOCAL: Final = re.compile(r"[CMZ][0-9A-Za-z]*", re.ASCII)


def unescape(text: str, encoding: Encoding) -> str:
    """`text` of one subcomponent as a person would read it. Line breaks become `\\n`."""
    mark = encoding.escape
    if not mark or mark not in text:
        return text
    pieces = text.split(mark)
    read = [pieces[0]]
    position = 1
    while position < len(pieces):
        if position == len(pieces) - 1:
            read += [mark, pieces[position]]
            break
        sequence = pieces[position]
        meaning = _meaning(sequence, encoding)
        if meaning is None and not _LOCAL.fullmatch(sequence):
            # Not a sequence: its end may be the beginning of one.
            read += [mark, sequence]
            position += 1
            continue
        read += [f"{mark}{sequence}{mark}" if meaning is None else meaning, pieces[position + 1]]
        position += 2
    return "".join(read)


def escape(text: str, encoding: Encoding) -> str:
    """`text` so that it can stand in a subcomponent. Line ends become `\\.br\\`."""
    special = _sequences(encoding)
    mark = encoding.escape
    if not mark:
        return "".join(" " if character in special else character for character in text)
    written = [
        f"{mark}{special[character]}{mark}" if character in special else character for character in text
    ]
    return re.sub(r"\r\n|\r|\n", lambda _: f"{mark}.br{mark}", "".join(written))


def _meaning(sequence: str, encoding: Encoding) -> str | None:
    characters = {name: character for character, name in _sequences(encoding).items()}
    if sequence in characters:
        return characters[sequence]
    if sequence in (".br", ".ce"):
        return "\n"
    if _LAYOUT.fullmatch(sequence):
        return ""
    if spaces := _SPACES.fullmatch(sequence):
        return ("\n" if spaces[1] == "sp" else " ") * int(spaces[2] or 1)
    if hexadecimal := _HEXADECIMAL.fullmatch(sequence):
        return _from_bytes(bytes.fromhex(hexadecimal[1]), encoding.codec)
    return None


def _from_bytes(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeError:
        return data.decode("latin-1")


@lru_cache(maxsize=64)
def _sequences(encoding: Encoding) -> dict[str, str]:
    named = {
        encoding.field: "F",
        encoding.component: "S",
        encoding.subcomponent: "T",
        encoding.repetition: "R",
        encoding.escape: "E",
        encoding.truncation: "P",
    }
    named.pop("", None)
    return named
