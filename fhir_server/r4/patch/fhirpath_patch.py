"""
FHIRPath Patch: a Parameters resource with one parameter for each operation.

In order, all or nothing. A path leads to exactly one element; for `insert` and `move` it names
the list. Only a delete may find nothing. A patch that is not written as it should be is Invalid,
one that does not fit this resource is Unprocessable; each says which operation it was. What is
replaced is replaced whole, with its id and extensions; what is left empty goes away.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.r4.errors import Invalid, TooLarge, Unprocessable
from fhir_server.r4.fhirpath.model import Alternative
from fhir_server.r4.patch.draft import OPERATIONS_MAX, Draft
from fhir_server.r4.patch.faults import Misfit, Misstated
from fhir_server.r4.patch.given import Entry, Given, Value, attach, entry, named_parts, put, repeats
from fhir_server.r4.patch.path import Child, Path, parsed
from fhir_server.r4.patch.places import Looks, Place, elements, one, one_or_none
from fhir_server.r4.patch.repeated import Repeated, written
from fhir_server.r4.resource import Resource


def fhirpath_patch(resource: Resource, parameters: Resource) -> dict[str, Any]:
    """
    What the operations in `parameters` make of `resource`, which stays as it is.

    Raises Invalid, Unprocessable, TooLarge, or TooCostly when its paths look at too much. Whether
    the result is a valid resource is not judged here.
    """
    if parameters.get("resourceType") != "Parameters":
        raise Invalid("A FHIRPath Patch is a Parameters resource", "resourceType")
    operations = parameters.get("parameter", [])
    if not isinstance(operations, list):
        raise Invalid("`Parameters.parameter` must be an array", "Parameters.parameter")
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge(f"The patch has more than {OPERATIONS_MAX} operations")
    patching = _Patching(resource)
    for index, parameter in enumerate(operations):
        where = f"Parameters.parameter[{index}]"
        try:
            _apply(parameter, patching)
        except Misstated as fault:
            raise Invalid(f"`{where}` {fault}", where) from fault
        except Misfit as fault:
            raise Unprocessable(f"`{where}` {fault}", where) from fault
    return patching.draft.result()


class _Patching:
    """The resource so far, and how much may still be looked at."""

    def __init__(self, resource: Resource) -> None:
        self.draft = Draft(resource)
        self.looks = Looks()

    def one(self, path: Path) -> Place:
        return one(self.draft.root, path, self.looks)

    def one_or_none(self, path: Path) -> Place | None:
        return one_or_none(self.draft.root, path, self.looks)


@dataclass(frozen=True, slots=True)
class _Operation:
    """The parts of one operation, by name: each is there once, and each that its type asks for."""

    parts: Mapping[str, Given]

    @property
    def path(self) -> Path:
        return parsed(self.text("path"))

    @property
    def value(self) -> Given:
        return self.parts["value"]

    def text(self, name: str) -> str:
        match self.parts.get(name):
            case Value(type="string" | "code", value=str() as text):
                return text
            case _:
                raise Misstated(f"has no `{name}` that is a string")

    def index(self, name: str) -> int:
        match self.parts.get(name):
            case Value(type="integer" | "unsignedInt" | "positiveInt", value=int() as index) if index >= 0:
                return int(index)
            case _:
                raise Misstated(f"has no `{name}` that is an integer, from 0")


def _apply(parameter: object, patching: _Patching) -> None:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise Misstated("must have the name `operation`")
    named = named_parts(parameter)
    operation = _Operation(dict(named))
    if len(operation.parts) != len(named):
        raise Misstated("has a part twice")
    type = operation.text("type")
    if type not in _OPERATIONS:
        raise Misstated(f"has no `type` that is one of {', '.join(_OPERATIONS)}")
    apply, wanted = _OPERATIONS[type]
    if operation.parts.keys() != {"type", *wanted}:
        raise Misstated(f"must have the parts type, {', '.join(wanted)}: it is {_article(type)}")
    apply(operation, patching)


def _article(type: str) -> str:
    return f"an {type}" if type in ("add", "insert") else f"a {type}"


def _add(operation: _Operation, patching: _Patching) -> None:
    place = patching.one(operation.path)
    new = entry(operation.value, place.type, operation.text("name"))
    attach(_holder(patching.draft, place), new, place.type)


def _insert(operation: _Operation, patching: _Patching) -> None:
    place, member = _list(operation.path, patching)
    _, value, beside = entry(operation.value, place.type, member.element.name)
    column = Repeated(_holder(patching.draft, place), member)
    index = operation.index("index")
    if index > len(column):
        raise Misfit(f"inserts beyond the end of a list of {len(column)}")
    column.insert(index, value, beside)


def _delete(operation: _Operation, patching: _Patching) -> None:
    place = patching.one_or_none(operation.path)
    if place is None:
        return
    parent, _ = _whose(place)
    _remove(patching.draft, place)
    _remove_empty(patching.draft, parent)


def _replace(operation: _Operation, patching: _Patching) -> None:
    place = patching.one(operation.path)
    parent, member = _whose(place)
    new = entry(operation.value, parent.type, member.element.name)
    around = patching.draft.writable(parent.inside)
    if place.index is None:
        _exchange(around, member, new)
    else:
        Repeated(around, member).replace(place.index, new.value, new.beside)


def _move(operation: _Operation, patching: _Patching) -> None:
    place, member = _list(operation.path, patching)
    column = Repeated(_holder(patching.draft, place), member)
    source, destination = operation.index("source"), operation.index("destination")
    if max(source, destination) >= len(column):
        raise Misfit(f"moves beyond the end of a list of {len(column)}")
    column.move(source, destination)


_OPERATIONS: Final[Mapping[str, tuple[Callable[[_Operation, _Patching], None], tuple[str, ...]]]] = {
    "add": (_add, ("path", "name", "value")),
    "insert": (_insert, ("path", "value", "index")),
    "delete": (_delete, ("path",)),
    "replace": (_replace, ("path", "value")),
    "move": (_move, ("path", "source", "destination")),
}
"""What each type does, and the parts that it has."""


def _whose(place: Place) -> tuple[Place, Alternative]:
    """The element around a place, and as which of its members it stands there."""
    if place.parent is None or place.member is None:
        raise Misfit("has a path that leads to the resource itself")
    return place.parent, place.member


def _list(path: Path, patching: _Patching) -> tuple[Place, Alternative]:
    """The element that has the list which a path names, and the list's member."""
    *around, last = path
    if not isinstance(last, Child):
        raise Misstated("has a path that does not end with the name of a list")
    place = patching.one(tuple(around))
    member, *others = elements(place.type, last.name)
    if others or not repeats(member.element):
        raise Misfit(f"has a path that ends with `{last.name}`, which is not a list")
    return place, member


def _holder(draft: Draft, place: Place) -> dict[str, Any]:
    """The JSON object with the elements of `place`, to write to; made where a primitive has none yet."""
    if place.holder is None:
        if not place.is_primitive:
            raise Misfit("has a path that leads to an element that is not a JSON object")
        _put_beside(draft, place, {})
    holder: dict[str, Any] = draft.writable(place.inside)
    return holder


def _put_beside(draft: Draft, place: Place, beside: dict[str, Any] | None) -> None:
    parent, member = _whose(place)
    around = draft.writable(parent.inside)
    if place.index is None:
        put(around, Entry(member, place.value, beside))
    else:
        Repeated(around, member).replace(place.index, place.value, beside)


def _remove(draft: Draft, place: Place) -> None:
    parent, member = _whose(place)
    around = draft.writable(parent.inside)
    if place.index is None:
        put(around, Entry(member, None))
    else:
        Repeated(around, member).remove(place.index)


def _remove_empty(draft: Draft, place: Place) -> None:
    """Remove what a removal has left without content: FHIR has no empty objects and arrays."""
    while place.parent is not None and not draft.writable(place.inside):
        if place.is_primitive and place.value is not None:
            _put_beside(draft, place, None)
            return
        _remove(draft, place)
        place = place.parent


def _exchange(around: dict[str, Any], old: Alternative, new: Entry) -> None:
    """Write an element where it stood, though a choice may call it another name now."""
    if old.member == new.member.member:
        put(around, new)
        return
    members = list(around.items())
    around.clear()
    for name, content in members:
        if name in written(old):
            put(around, new)
        else:
            around[name] = content
