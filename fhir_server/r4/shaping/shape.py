"""
What a client asks to be shown of each resource, understood.

`_elements` names elements at the root of a resource: `name`, or `Patient.name` where several
types are answered. A choice goes by any of its names (`value`, `value[x]`, `valueQuantity`).
`_summary` and `_elements` exclude each other, as nothing says what both would mean.

https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, cast, get_args

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid, TooCostly

Summary = Literal["true", "text", "data", "count", "false"]

GENERAL_PARAMETERS: Final = frozenset(("_elements", "_format", "_pretty", "_summary"))
"""What each interaction may say in its query: https://hl7.org/fhir/R4/http.html#parameters"""

ELEMENTS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Shape:
    """`elements` has `name` for each type that was asked for, and `Patient.name` for that type."""

    summary: Summary = "false"
    elements: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return self.summary in ("false", "count") and not self.elements

    @property
    def of_included(self) -> Shape:
        """
        The shape of what a search includes.

        The list of elements does not apply to it, but for those of a type that is named.
        """
        return Shape(self.summary, tuple(name for name in self.elements if "." in name))


WHOLE: Final = Shape()


def shape_of(given: Mapping[str, str], types: Collection[str]) -> Shape:
    """
    The shape that `given` parameters ask for, of resources of `types`; none are all.

    Raises Invalid for a `_summary` that R4 does not have and an element that no type has.
    """
    stated = given.get("_summary", "false")
    if stated not in get_args(Summary):
        raise Invalid("`_summary` is `true`, `text`, `data`, `count` or `false`")
    summary = cast("Summary", stated)
    if "_elements" not in given:
        return Shape(summary) if summary != "false" else WHOLE
    if summary not in ("false", "count"):
        raise Invalid("`_summary` and `_elements` exclude each other")
    return Shape(summary, _elements(given["_elements"], types))


def shape_of_one(
    parameters: Iterable[tuple[str, str]], resource_type: str, *, lenient: bool = False
) -> Shape:
    """
    The shape that the query of a read or write asks for.

    Raises Invalid for a parameter that is not one of all interactions; a lenient client's
    are left out.
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in GENERAL_PARAMETERS:
            if not lenient:
                raise Invalid(f"`{name[:64]}` is not a parameter of this interaction")
        elif name in given:
            raise Invalid(f"`{name}` is given more than once")
        else:
            given[name] = value
    try:
        return _of_one(shape_of(given, (resource_type,)))
    except Invalid:
        if lenient:
            return WHOLE
        raise


def _of_one(shape: Shape) -> Shape:
    if shape.summary == "count":
        raise Invalid("`_summary=count` is for searches")
    return shape


def _elements(text: str, types: Collection[str]) -> tuple[str, ...]:
    named = [name.strip() for name in text.split(",")]
    if len(named) > ELEMENTS_MAX:
        raise TooCostly(f"`_elements` has more than {ELEMENTS_MAX} names")
    return tuple(dict.fromkeys(_element(name, types) for name in named))


def _element(name: str, types: Collection[str]) -> str:
    """The element's own name, behind its type where that is given."""
    qualifier, dot, rest = name.rpartition(".")
    searched = (qualifier,) if dot else types or definitions().resource_types
    for type in searched:
        if type in definitions().resource_types and (found := _names(type).get(rest)) is not None:
            return f"{qualifier}.{found}" if dot else found
    raise Invalid(f"`_elements`: `{name[:64]}` is not an element at the root of what is asked for")


@cache
def _names(resource_type: str) -> Mapping[str, str]:
    """Each way to name an element of this type, with the element's own name."""
    names: dict[str, str] = {}
    for element in definitions().types[resource_type].elements.values():
        names[element.name] = element.name
        if element.is_choice:
            names[f"{element.name}[x]"] = element.name
            names |= {element.json_name(declared.code): element.name for declared in element.types}
    return names
