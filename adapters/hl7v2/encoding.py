"""
How one message is written: its delimiters, from MSH-1 and MSH-2, and its character set.

HL7 v2.8, 2.5.4 (Message delimiters). MSH-2 may have a fifth character, for truncation, since
v2.7, and may leave out characters that the message does not need.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """A delimiter that the message does not have is empty. `codec` is Python's name of the charset."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    codec: str = "utf-8"

    @property
    def characters(self) -> str:
        """MSH-2 as it was written."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"


def encoding_of(header: str, codec: str) -> Encoding | None:
    """What the beginning of an MSH segment says; None when no message can be written so."""
    field = header[3:4]
    characters = header[4:].partition(field)[0] if field else ""
    delimiters = field + characters
    usable = (
        1 <= len(characters) <= 5
        and len(set(delimiters)) == len(delimiters)
        and not any(character.isalnum() or character.isspace() for character in delimiters)
    )
    if not usable:
        return None
    component, repetition, escape, subcomponent, truncation = [*characters, "", "", "", ""][:5]
    return Encoding(field, component, repetition, escape, subcomponent, truncation, codec)
