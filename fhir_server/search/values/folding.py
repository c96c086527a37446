"""
Text without what a string search does not look at: case, accents, surplus spaces.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import unicodedata
from typing import Final

STRING_CHARACTERS_MAX: Final = 200
"""Of a string that can be searched: what is longer is found by its beginning."""

_WITHOUT_ACCENT: Final = str.maketrans(
    # Letters that Unicode does not take apart, though readers do.
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)


def folded(text: str) -> str:
    """`text` in lower case, without accents, words one space apart; folding twice changes nothing."""
    text = text.lower() if text.isascii() else _without_accents(text)
    return " ".join(text.split())


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = "".join(character for character in apart if not unicodedata.combining(character))
    return letters.translate(_WITHOUT_ACCENT)
