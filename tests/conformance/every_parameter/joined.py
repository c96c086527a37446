"""
The cases of composites: the parts of one element are found together, those of two are not.

The twin has both values, each beside another one: where the element repeats, in two elements.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fhir_server.r4.definitions import SearchComponent, SearchParameter, definitions
from tests.conformance.every_parameter.oracle import plainly, selected
from tests.conformance.every_parameter.paths import Selection, selections_of
from tests.conformance.every_parameter.resources import put, without
from tests.conformance.every_parameter.values import Search, pair, searches

ELEMENTS_MAX: Final = 2
"""Of those that are joined, in one resource that is stored here."""

_OF_KIND: Final = {"code": "token", "Reference": "reference"}
"""Whatever the component's definition says: those of DocumentReference's `relationship` name each other's."""

_NOT_A_TOKEN: Final = frozenset(("Quantity", "Range", "Reference"))


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a composite, in one of the elements and types that it selects."""

    holder: str
    expression: str
    search_type: str
    one: Selection

    def at(self, index: int) -> str:
        """Its expression in one of the elements that are joined."""
        holder = self.holder if self.holder == self.one.type else f"{self.holder}[{index}]"
        return f"{holder}.{self.expression}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two parts of one element, and the values that they have in the one that is looked for."""

    first: Part
    second: Part
    values: tuple[Any, Any]

    def are_in(self, resource: dict[str, Any]) -> bool:
        """What fhirpathpy says."""
        return any(
            all(
                plainly(value) in selected(part.one.type, part.at(index), resource)
                for part, value in zip((self.first, self.second), self.values, strict=True)
            )
            for index in range(ELEMENTS_MAX)
        )

    @property
    def searches(self) -> list[str]:
        parts = [
            [text for modifier, text in _searches(part, value) if not modifier and "," not in text]
            for part, value in zip((self.first, self.second), self.values, strict=True)
        ]
        return ["$".join(both) for both in itertools.product(*parts)]


def pairs_of_parts(type: str, parameter: SearchParameter) -> Iterator[tuple[Part, Part]]:
    """A composite of two parts, in each element and with each type that it selects."""
    first, second = parameter.components
    for holder in (parameter.expression or "").split(" | "):
        yield from itertools.product(_parts(type, holder, first), _parts(type, holder, second))


def stored(both: tuple[Part, Part], n: int) -> tuple[Joined, dict[str, Any], dict[str, Any]]:
    """What is looked for, a resource that has it, and the twin."""
    first, second = both
    (one, other), (value, another) = (_values(part, n) for part in both)
    wanted = _with(both, (one, value), f"has-{n}")
    twin = _with(both, (one, another), f"twin-{n}")
    steps = first.one.steps[:-1]
    if steps:
        [name] = [step.name for step in steps]
        twin[name] += _with(both, (other, value), "")[name]
    return Joined(first, second, (one, value)), wanted, twin


def _parts(type: str, holder: str, component: SearchComponent) -> list[Part]:
    declared = _types()[component.definition]
    return [
        Part(holder.strip(), expression, search_type, one)
        for expression in component.expression.replace("(DateTime)", "(dateTime)").split(" | ")
        for one in selections_of(type, f"{holder.strip()}.{expression}", declared)
        for search_type in [_OF_KIND.get(one.kind, declared)]
        if not (declared == "token" and one.kind in _NOT_A_TOKEN and holder.strip() == "Group.characteristic")
    ]


def _values(part: Part, n: int) -> tuple[Any, Any]:
    first, second = pair(part.one, n)
    assert second is not None, f"{part.one} can have but one value"
    return first, second


def _with(both: tuple[Part, Part], values: tuple[Any, Any], id: str) -> dict[str, Any]:
    resource = without(both[0].one.type, id)
    for part, value in zip(both, values, strict=True):
        put(resource, part.one, value)
    return resource


def _searches(part: Part, value: Any) -> list[Search]:
    return searches(part.search_type, part.one, value)


@cache
def _types() -> dict[str, str]:
    """The type of each search parameter, by its url."""
    return {
        parameter.url: parameter.type
        for of_type in definitions().search_parameters.values()
        for parameter in of_type.values()
    }
