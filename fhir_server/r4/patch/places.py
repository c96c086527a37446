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
    skipped = 0
    for step, following in zip(steps, (*steps[1:], None), strict=False):
        match step:
            case Start(type=type):
                found = _started(found, type)
            case Child(name=name):
                # `member[99999]` is at its place at once, without a look at those before it.
                skipped = following.index if isinstance(following, At) else 0
                found = _children(found, name, looks, skipped)
            case At(index=index):
                found = islice(found, index - skipped, index - skipped + 1)
                skipped = 0
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


def _children(found: Iterator[Place], name: str, looks: Looks, skip: int) -> Iterator[Place]:
    """The elements called `name`, without the first `skip`."""
    known: bool | None = None
    type = ""
    for parent in found:
        type = parent.type
        members = alternatives(type, name)
        known = known or bool(members)
        for member in members:
            standing = _Standing(parent, member)
            start = min(skip, len(standing))
            skip -= start
            for index in range(start, len(standing)):
                looks.spend(1)
                if (place := standing.place(index)) is not None:
                    yield place
    if known is False:
        elements(type, name)


class _Standing:
    """What stands in one member of a JSON object: one value or an array, and what is beside it."""

    def __init__(self, parent: Place, member: Alternative) -> None:
        self._parent, self._member = parent, member
        holder = parent.holder or {}
        value = holder.get(member.member)
        beside = holder.get(beside_name(member)) if is_primitive(member.type) else None
        self._repeats = isinstance(value, list) or isinstance(beside, list)
        self._values, self._besides = _items(value), _items(beside)

    def __len__(self) -> int:
        return max(len(self._values), len(self._besides))

    def place(self, index: int) -> Place | None:
        """None where nothing stands, though an array has a place for it."""
        value = self._values[index] if index < len(self._values) else None
        beside = self._besides[index] if index < len(self._besides) else None
        if value is None and beside is None:
            return None
        type = _type(self._member.type, value)
        return Place(type, value, beside, self._parent, self._member, index if self._repeats else None)


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


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
