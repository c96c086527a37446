"""
Text without what a string search does not look at: case, accents, punctuation, surplus spaces.

Apostrophes and full stops are left out, so O'Brien is OBrien and P.O. is PO; other punctuation parts words
as a space does, so Anne-Marie is Anne Marie. A point or comma between two digits stays: 1.5 is not 15. What
Unicode calls a symbol (`+`, `<`, `$`, `|`) is none.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from typing import Final

STRING_CHARACTERS_MAX: Final = 200
"""Of a string that can be searched: what is longer is found by its beginning."""

_WITHOUT_ACCENT: Final = str.maketrans(
    # Letters that Unicode does not take apart, though readers do.
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)

_APOSTROPHES: Final = "'`\u02b9-\u02bf\u02c8\u2018-\u201b\u2032\u05f3\u05f4"
"""Typed or set for each other; also the marks of names in other scripts: Hawaiʻi, ʿAlī."""

_INSIDE_WORDS: Final = "\u00ad\u00b7\u200b-\u200f\u2060\ufeff"
"""What is seen between letters, or not at all, and parts no words: soft hyphens, the dot of Gal·la."""

_LEFT_OUT: Final = re.compile(f"[{_APOSTROPHES}{_INSIDE_WORDS}]")
_POINT: Final = re.compile(r"(?<!\d)\.|\.(?!\d)")
_COMMA: Final = re.compile(r"(?<!\d),|,(?!\d)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ]*")


def folded(text: str) -> str:
    """
    `text` as strings are compared; folding twice changes nothing.

    What a text begins with, or has in it, is in it folded too.
    """
    if not _PLAIN.fullmatch(text):
        # An acute accent that stands alone is taken apart into a space: before that it is an apostrophe.
        text = unaccented(text.replace("\u00b4", "'"))
        text = _POINT.sub("", _LEFT_OUT.sub("", text))
        text = _parting(ascii=text.isascii()).sub(" ", _COMMA.sub(" ", text))
    return " ".join(text.lower().split())


def unaccented(text: str) -> str:
    """`text` in lower case and without accents, with its punctuation; words are one space apart."""
    return " ".join((text.lower() if text.isascii() else _without_accents(text)).split())


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = "".join(character for character in apart if not unicodedata.combining(character))
    return letters.translate(_WITHOUT_ACCENT)


@functools.cache
def _parting(*, ascii: bool) -> re.Pattern[str]:
    """A character of punctuation, but the two that may stand in a number."""
    among = range(0x80 if ascii else sys.maxunicode + 1)
    marks = (chr(code) for code in among if unicodedata.category(chr(code)).startswith("P"))
    return re.compile(f"[{''.join(re.escape(mark) for mark in marks if mark not in '.,')}]")
