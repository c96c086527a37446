"""
Which characters the bytes of a message mean: MSH-18, and what to do when it is wrong.

Decoding never fails and never loses a byte: each result encodes back to the bytes received. A
message that does not keep to its declared character set is read as UTF-8 when it is that, else
as windows-1252, which is what such senders mostly mean; `Decoded.declared` tells that it was so.

HL7 v2.8, 2.14.9.18 and table 0211. Switching sets inside a field (`\\C..\\`, `\\M..\\`) is left as
it stands in the text.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

ASCII: Final = "ascii"
UTF_8: Final = "utf-8"
FALLBACKS: Final = (UTF_8, "cp1252", "latin-1")

CODECS: Final = {
    "ASCII": ASCII,
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO IR6": ASCII,
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "UNICODE": UTF_8,
    "UNICODE UTF-8": UTF_8,
}
"""Table 0211, but for CNS 11643-1992, UTF-16 and UTF-32, which Python or MLLP cannot carry."""

ALIASES: Final = {
    "": UTF_8,
    "US ASCII": ASCII,
    "ISO 8859 1": "latin-1",
    "ISO8859 1": "latin-1",
    "LATIN1": "latin-1",
    "ISO 8859 2": "iso8859-2",
    "ISO 8859 15": "iso8859-15",
    "UTF8": UTF_8,
    "UTF 8": UTF_8,
    "UNICODE UTF8": UTF_8,
    "WINDOWS 1252": "cp1252",
    "CP1252": "cp1252",
    "CP 1252": "cp1252",
    "ANSI": "cp1252",
    "WINDOWS 1250": "cp1250",
    "WINDOWS 1251": "cp1251",
    "GB18030": "gb18030",
    "BIG5": "big5",
}
"""What real senders write, folded: upper case, `-`, `_` and `/` as spaces. Without MSH-18 it is ASCII."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a message; `codec` is Python's name of what was used, `kept` whether that was declared."""

    text: str
    codec: str
    declared: str
    kept: bool


def decode(raw: bytes) -> Decoded:
    """The text of `raw`, a byte order mark included."""
    declared = _declared(raw)
    codec = codec_named(declared)
    candidates = FALLBACKS if codec is None else (codec, *FALLBACKS)
    for candidate in candidates:
        try:
            text = raw.decode(candidate)
            if text.encode(candidate) == raw:
                return Decoded(text, candidate, declared, kept=candidate == codec)
        except UnicodeError:
            continue
    raise AssertionError("latin-1 decodes everything")


def codec_named(name: str) -> str | None:
    """Python's codec for a value of MSH-18; None when we do not know it."""
    folded = re.sub(r"[-_/\s]+", " ", name.strip().upper())
    by_table = {re.sub(r"[-_/\s]+", " ", key): codec for key, codec in CODECS.items()}
    return by_table.get(folded, ALIASES.get(folded))


def _declared(raw: bytes) -> str:
    """The first repetition of MSH-18: its own characters are ASCII in every set allowed."""
    head = raw.removeprefix(codecs.BOM_UTF8).lstrip()
    if len(head) < 5 or not head.startswith(b"MSH"):
        return ""
    line = re.split(rb"[\r\n]", head, maxsplit=1)[0]
    fields = line.split(line[3:4])
    if len(fields) < 18:
        return ""
    repetition = fields[1][1:2]
    first = fields[17].split(repetition)[0] if repetition else fields[17]
    return first.decode("latin-1").strip()
