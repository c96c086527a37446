"""
What FHIRPath needs to know of R4: which JSON members an element has, and which type is which.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

from fhir_server.r4.definitions import ElementFacts, definitions


class Alternative(NamedTuple):
    """One JSON member in which an element may stand: `valueQuantity`, of type `Quantity`."""

    member: str
    type: str
    element: ElementFacts


@functools.cache
def alternatives(type: str, name: str) -> tuple[Alternative, ...]:
    """The members that `name` may be in JSON: one, or one per type of a choice; none if unknown."""
    facts = definitions().types.get(type)
    element = facts.elements.get(name) if facts else None
    if element is None:
        return ()
    if element.structure:
        return (Alternative(name, element.structure, element),)
    return tuple(
        Alternative(element.json_name(declared.code), declared.code, element) for declared in element.types
    )


@functools.cache
def is_a(type: str, ancestor: str) -> bool:
    """`type` is `ancestor` or derived from it: a canonical is a uri, a Patient is a Resource."""
    types = definitions().types
    current: str | None = type
    while current is not None:
        if current == ancestor:
            return True
        facts = types.get(current)
        current = facts.base if facts else None
    return False


def is_type(name: str) -> bool:
    """R4 has a type or structure of this name."""
    return name in definitions().types


def is_primitive(type: str) -> bool:
    """Values of `type` are JSON strings, numbers or booleans."""
    facts = definitions().types.get(type)
    return facts is not None and facts.kind == "primitive"


_SYSTEM: Final = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
}


def known_type(name: str) -> str | None:
    """FHIR's name of a type that an expression may write (`String` is `string`); None if there is none."""
    name = _SYSTEM.get(name, name)
    return name if is_type(name) else None
