"""
Which properties of a type stay, from R4's own facts: those of a summary, and those asked for.

An element stays in a summary when R4 marks it so, and always when it is mandatory or changes the
meaning of the rest (a modifier). What is mandatory stays so that what is shown is valid.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.isSummary
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Final

from fhir_server.r4.definitions import ElementFacts, definitions
from fhir_server.r4.primitives import PRIMITIVES

RESOURCE: Final = "Resource"
"""Stands for a nested resource, whose own type says what stays."""

_WHOLE: Final = frozenset((*PRIMITIVES, "Extension", "Narrative"))
_IDENTITY: Final = frozenset(("resourceType", "id", "meta"))


@cache
def summary_properties(type: str) -> Mapping[str, str | None]:
    """
    The JSON properties that a summary has of this type or backbone.

    Each with the type whose summary is taken of its content; None when that stays whole.
    """
    kept: dict[str, str | None] = {"resourceType": None}
    for element in definitions().types[type].elements.values():
        if not (element.is_summary or element.is_modifier or element.min > 0):
            continue
        for name, content in _written(element):
            kept[name] = content
            if content is None:
                kept[f"_{name}"] = None
    return kept


@cache
def text_properties(type: str) -> frozenset[str]:
    """Narrative, identity and what is mandatory at the root."""
    elements = definitions().types[type].elements.values()
    return _IDENTITY | _json_names(
        element for element in elements if element.min > 0 or element.name == "text"
    )


@lru_cache(maxsize=1024)
def asked_properties(type: str, names: frozenset[str]) -> frozenset[str]:
    """Elements asked for, and those that go with any: identity, mandatory and modifier elements."""
    elements = definitions().types[type].elements.values()
    return _IDENTITY | _json_names(
        element for element in elements if element.name in names or element.is_modifier or element.min > 0
    )


def _json_names(elements: Iterable[ElementFacts]) -> frozenset[str]:
    names = [name for element in elements for name, _ in _written(element)]
    return frozenset((*names, *(f"_{name}" for name in names)))


def _written(element: ElementFacts) -> list[tuple[str, str | None]]:
    """The properties that can hold this element, each with the type of its content."""
    if element.structure is not None:
        return [(element.name, element.structure)]
    return [
        (element.json_name(declared.code), None if declared.code in _WHOLE else declared.code)
        for declared in element.types
    ]
