"""
Which messages are understood, and by what.

A new message is a module here and a line in `TRANSLATORS`, with a golden pair in its test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.er7 import Message
from adapters.hl7v2.messages import adt, oru_r01
from adapters.hl7v2.reading import Reading

Translator = Callable[[Message, Reading, Found], list[Draft]]
"""Raises Rejection when the message says too little, or contradicts what was found."""

TRANSLATORS: Final[dict[tuple[str, str], Translator]] = {
    ("ADT", "A01"): adt.translate,
    ("ADT", "A03"): adt.translate,
    ("ADT", "A04"): adt.translate,
    ("ADT", "A08"): adt.translate,
    ("ORU", "R01"): oru_r01.translate,
}

CODES: Final = frozenset(code for code, _ in TRANSLATORS)
