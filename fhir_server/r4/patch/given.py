"""
What a parameter of a FHIRPath Patch gives: a value with its type, a resource, or the parts of
an element that has no type name of its own; and how each is written as a JSON member.

A value may be given as the type of the element, or as one that it is derived from or that is
derived from it (`string` for a `code`), since what results is validated; in a choice the type
says which one, so it must be the very one. There is no value of type xhtml: it is a string.

https://hl7.org/fhir/R4/fhirpatch.html, https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhir_server.r4.definitions import ElementFacts
from fhir_server.r4.fhirpath.model import Alternative, alternatives, is_a, is_primitive
from fhir_server.r4.patch.faults import Misfit, Misstated
from fhir_server.r4.patch.places import elements
from fhir_server.r4.patch.repeated import Repeated, written
from fhir_server.r4.resource import Literal

# What a parameter may have beside its name and what it gives.
_IGNORED: Final = frozenset({"id", "extension", "name"})


@dataclass(frozen=True, slots=True)
class Value:
    """`valueDate` and, of a primitive, `_valueDate`."""

    type: str
    value: Any
    beside: Any = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A resource, for an element that holds one."""

    resource: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The elements of an element, by name."""

    parts: tuple[tuple[str, Given], ...]


Given = Value | Whole | Parts


class Entry(NamedTuple):
    """An element as it will stand in JSON: the member, its value, and what stands beside it."""

    member: Alternative
    value: Any
    beside: Any = None


def named_parts(parameter: object) -> tuple[tuple[str, Given], ...]:
    """The parts of a parameter, each with its name. Raises Misstated."""
    parts = parameter.get("part") if isinstance(parameter, dict) else None
    if not isinstance(parts, list):
        raise Misstated("has no parts")
    return tuple(_named(part) for part in parts)


def entry(given: Given, type: str, name: str) -> Entry:
    """What is given as the element `name` of a `type`. Raises Misfit when it cannot be that."""
    found = elements(type, name)
    match given:
        case Value():
            return _typed(given, type, found)
        case Whole(resource=resource):
            if found[0].type != "Resource":
                raise Misfit(f"gives a resource for `{name}` of {type}")
            return Entry(found[0], resource)
        case Parts():
            (member, *others) = found
            if others or is_primitive(member.type) or member.type == "Resource":
                raise Misfit(f"gives parts for `{name}` of {type}, which takes {_expected(found)}")
            return Entry(member, built(given, member.type))


def built(given: Parts, type: str) -> dict[str, Any]:
    """An element of `type` from its parts. Raises Misfit when they do not make one."""
    element: dict[str, Any] = {}
    for name, part in given.parts:
        attach(element, entry(part, type, name), type)
    return element


def attach(around: dict[str, Any], new: Entry, type: str) -> None:
    """Add the element to a JSON object of `type`, at the end where it repeats. Raises Misfit."""
    member, value, beside = new
    if repeats(member.element):
        column = Repeated(around, member)
        column.insert(len(column), value, beside)
        return
    element = member.element.name
    if any(name in around for each in alternatives(type, element) for name in written(each)):
        raise Misfit(f"adds `{element}` to {type}, where there is one already")
    put(around, new)


def put(around: dict[str, Any], new: Entry) -> None:
    """Write an element that does not repeat, instead of whatever the member was."""
    member, value, beside = new
    for name, content in zip(written(member), (value, beside), strict=False):
        if content is not None:
            around[name] = content
        else:
            around.pop(name, None)


def repeats(element: ElementFacts) -> bool:
    """Is it an array in JSON?"""
    return element.max != 1


def _named(part: object) -> tuple[str, Given]:
    name = part.get("name") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(name, str):
        raise Misstated("has a part without a name")
    return name, _given(part)


def _given(part: Mapping[str, Any]) -> Given:
    values = [name for name in part if name.removeprefix("_") in _value_types()]
    types = {_value_types()[name.removeprefix("_")] for name in values}
    others = part.keys() - set(values) - _IGNORED
    if len(types) == 1 and not others:
        return _value(part, *types)
    if not types and others == {"part"}:
        return Parts(named_parts(part))
    resource = part.get("resource")
    if not types and others == {"resource"} and isinstance(resource, dict):
        if not isinstance(resource.get("resourceType"), str):
            raise Misstated("has a part with a resource without a type")
        return Whole(resource)
    raise Misstated("has a part that is not one value, one resource or parts")


def _value(part: Mapping[str, Any], type: str) -> Value:
    member = "value" + type[:1].upper() + type[1:]
    found = Value(type, part.get(member), part.get(f"_{member}"))
    whole = (
        isinstance(found.value, str | bool | int | Literal | None)
        if is_primitive(type)
        else _is_element(found.value)
    )
    if not whole or not (found.beside is None or (is_primitive(type) and _is_element(found.beside))):
        raise Misstated(f"has a part whose value is not written as a {type}")
    return found


def _is_element(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


@functools.cache
def _value_types() -> Mapping[str, str]:
    """`valueDate` to `date`, for each type that a parameter may have."""
    return {found.member: found.type for found in alternatives("Parameters.parameter", "value")}


def _typed(given: Value, type: str, found: tuple[Alternative, ...]) -> Entry:
    for member in found:
        if member.type == given.type or (not member.element.is_choice and _is_written_as(given.type, member)):
            return Entry(member, given.value, given.beside)
    name = found[0].element.name
    raise Misfit(f"gives a {given.type} for `{name}` of {type}, which takes {_expected(found)}")


def _is_written_as(given: str, member: Alternative) -> bool:
    if member.element.structure is not None:
        return False
    related = is_a(given, member.type) or is_a(member.type, given)
    return related or (member.type == "xhtml" and given == "string")


def _expected(found: tuple[Alternative, ...]) -> str:
    if found[0].element.structure is not None:
        return "parts"
    if found[0].type == "Resource":
        return "a resource"
    return " or ".join(member.type for member in found)
