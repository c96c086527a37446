"""
Building FHIR elements from what messages say: nothing empty, nothing FHIR's strings may not hold.

https://hl7.org/fhir/R4/datatypes.html#string
"""

from __future__ import annotations

import re
from typing import Any, Final

from adapters.fhir_json import Json

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff]")


def text(value: str) -> str:
    """Without control characters, which FHIR refuses, and without the spaces around it."""
    return _CONTROL.sub("", value).strip()


def element(**parts: Any) -> Json | None:
    """
    An element of these parts, leaving out what says nothing; None when nothing is left.

    Python's own words take an underscore (`class_`).
    """
    built = {}
    for name, part in parts.items():
        value = text(part) if isinstance(part, str) else part
        if value not in (None, "", [], {}):
            built[name.removesuffix("_")] = value
    return built or None


def extension(url: str, **value: Any) -> Json | None:
    """An extension with this value, None when there is none."""
    said = element(**value)
    return {"url": url, **said} if said else None


def listed(*entries: Json | None) -> list[Json]:
    """The entries that say something."""
    return [entry for entry in entries if entry]
