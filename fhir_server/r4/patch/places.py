"""
Where in a resource's JSON a path leads: which object, which member, which place in its array.

A primitive's value and what stands beside it (`birthDate`, `_birthDate`) are one element, at
one place; its id and extensions are in what stands beside.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.fhirpath import EvaluationError, Node, environment, resource_node, truth
from fhir_server.r4.fhirpath.model import Alternative, alternatives, is_a, is_primitive
from fhir_server.r4.patch.draft import Step
from fhir_server.r4.patch.faults import Misfit
from fhir_server.r4.patch.path import At, Child, Last, OfType, Path, Start, Where
from fhir_server.r4.resource import Resource
from fhir_server.r4.validation.scope import is_showable

LOOKS_MAX: Final = 10_000_000
"""How often all operations of a patch may look at an element to find theirs: a few seconds' work."""

_CHARACTERS_A_LOOK: Final = 64


@dataclass(frozen=True, slots=True)
class Place:
    """
    One element, as it stands: the one called `member` of `parent`, at `index` where it repeats.

    The resource itself has neither. `type` is its FHIR type, `beside` what stands beside a
    primitive.
    """

    type: str
    value: Any
    beside: Any = None
    parent: Place | None = None
    member: Alternative | None = None
    index: int | None = None

    @property
    def is_primitive(self) -> bool:
        return is_primitive(self.type)

    @property
    def holder(self) -> Any:
        """The JSON object that has its elements; None when there is none (yet)."""
        holder = self.beside if self.is_primitive else self.value
        return holder if isinstance(holder, dict) else None

    @property
    def inside(self) -> tuple[Step, ...]:
        """Leads to `holder`."""
        if self.parent is None or self.member is None:
            return ()
        name = beside_name(self.member) if self.is_primitive else self.member.member
        found = (*self.parent.inside, name)
        return found if self.index is None else (*found, self.index)


def beside_name(member: Alternative) -> str:
    """The JSON member for the id and extensions of a primitive."""
    return f"_{member.member}"


class Looks:
    """How many are left."""

    def __init__(self) -> None:
        self._left = LOOKS_MAX

    def spend(self, looks: int) -> None:
        self._left -= looks
        if self._left < 0:
            raise TooCostly("To find the places of this patch takes too long: name them by index")


def places(resource: Resource, steps: Path, looks: Looks) -> Iterator[Place]:
    """
    The places that a path leads to, in order, as they are asked for.

    Raises Misfit when the path starts at another type, or names what R4 does not define.
    """
    root = resource_node(resource)
    found: Iterator[Place] = iter((Place(root.type, resource),))
    for step in steps:
        match step:
            case Start(type=type):
                found = _started(found, type)
            case Child(name=name):
                found = _children(found, name, looks)
            case At(index=index):
                found = islice(found, index, index + 1)
            case Last():
                found = _last(found)
            case OfType(type=type):
                found = _of_type(found, type)
            case Where():
                found = _where(found, step, root, looks)
    return found


def one(resource: Resource, steps: Path, looks: Looks) -> Place:
    """The one place. Raises Misfit when there is none, or more than one."""
    place = one_or_none(resource, steps, looks)
    if place is None:
        raise Misfit("has a path that leads to no element")
    return place


def one_or_none(resource: Resource, steps: Path, looks: Looks) -> Place | None:
    """The one place, if there is one. Raises Misfit when there are more."""
    found = list(islice(places(resource, steps, looks), 2))
    if len(found) > 1:
        raise Misfit("has a path that leads to more than one element")
    return found[0] if found else None


def elements(type: str, name: str) -> tuple[Alternative, ...]:
    """The members that an element may stand in. Raises Misfit when `type` has no such element."""
    found = alternatives(type, name)
    if found:
        return found
    if not is_showable(name):
        raise Misfit("names something that is no element")
    facts = definitions().types.get(type)
    for element in facts.elements.values() if facts else ():
        if element.is_choice and any(element.json_name(each.code) == name for each in element.types):
            raise Misfit(f"names `{name}`: in FHIRPath that is `{element.name}`")
    raise Misfit(f"names `{name}`, which is not an element of {type}")


def _started(found: Iterator[Place], type: str) -> Iterator[Place]:
    for place in found:
        if not is_a(place.type, type):
            raise Misfit(f"has a path that does not start with {place.type}")
        yield place


def _children(found: Iterator[Place], name: str, looks: Looks) -> Iterator[Place]:
    parents = 0
    known = False
    type = ""
    for parent in found:
        parents += 1
        type = parent.type
        members = alternatives(type, name)
        known = known or bool(members)
        holder = parent.holder
        if holder is not None:
            for member in members:
                yield from _standing(parent, holder, member, looks)
    if parents and not known:
        elements(type, name)


def _standing(parent: Place, holder: dict[str, Any], member: Alternative, looks: Looks) -> Iterator[Place]:
    value = holder.get(member.member)
    beside = holder.get(beside_name(member)) if is_primitive(member.type) else None
    if isinstance(value, list) or isinstance(beside, list):
        values, besides = _items(value), _items(beside)
        for index in range(max(len(values), len(besides))):
            looks.spend(1)
            item = values[index] if index < len(values) else None
            next_to = besides[index] if index < len(besides) else None
            if item is not None or next_to is not None:
                yield Place(_type(member.type, item), item, next_to, parent, member, index)
    elif value is not None or beside is not None:
        looks.spend(1)
        yield Place(_type(member.type, value), value, beside, parent, member)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(declared: str, value: Any) -> str:
    """A resource within a resource says its own type."""
    return resource_node(value).type if declared == "Resource" and isinstance(value, dict) else declared


def _last(found: Iterator[Place]) -> Iterator[Place]:
    last = None
    for place in found:
        last = place
    if last is not None:
        yield last


def _of_type(found: Iterator[Place], type: str) -> Iterator[Place]:
    return (place for place in found if is_a(place.type, type))


def _where(found: Iterator[Place], step: Where, root: Node, looks: Looks) -> Iterator[Place]:
    around = environment(root)
    for place in found:
        looks.spend(step.terms * _size(place.value, place.beside))
        try:
            fits = truth(step.condition([Node(place.type, place.value, place.beside)], around))
        except EvaluationError as error:
            raise Misfit("has a condition that wants one element where there are several") from error
        if fits:
            yield place


def _size(*values: Any) -> int:
    """How much there is for a condition to look at."""
    size = 0
    within: list[Any] = list(values)
    while within:
        value = within.pop()
        size += 1
        if isinstance(value, str):
            size += len(value) // _CHARACTERS_A_LOOK
        elif isinstance(value, dict | list):
            inner: Iterable[Any] = value.values() if isinstance(value, dict) else value
            within.extend(inner)
    return size
