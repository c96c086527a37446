"""
What an evaluation passes from step to step: JSON values that still know their FHIR type.

The type is R4's: that of the element's definition, of the member's name where there is a
choice (`valueQuantity`), of `resourceType` for a resource; for a structure inside a type its
path (`Patient.contact`), for a result of FHIRPath itself the primitive it corresponds to.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from fhir_server.r4.definitions import definitions
from fhir_server.r4.fhirpath.model import alternatives, is_a, is_primitive


class EvaluationError(ValueError):
    """The expression asks for one item and the resource has several."""


class Node(NamedTuple):
    """
    A value with its type.

    `value` is JSON as it stands in the resource, None for a primitive that has only
    extensions; `companion` is what stands beside a primitive under `_name`.
    """

    type: str
    value: Any
    companion: Any = None


Collection = list[Node]
"""In document order. Steps share collections, so none may be changed once it is handed on."""


@dataclass(frozen=True, slots=True)
class Environment:
    """
    What an expression is evaluated in: `%resource`, `%rootResource` and `%context`.

    `resource` is the resource that the focus stands in, `root` the one that contains it (the
    same where it is not contained), `context` the item that the whole expression is asked of.
    `known` keeps what does not depend on `$this`, as long as the environment lives.
    """

    resource: Node
    root: Node
    context: Node
    known: dict[object, Collection] = field(default_factory=dict)


Evaluate = Callable[[Collection, Environment], Collection]
"""From `$this` (the focus) and the environment to a result."""

Truth = bool | None
"""FHIRPath's three truths: true, false and empty."""

TRUE: Final[Collection] = [Node("boolean", value=True)]
FALSE: Final[Collection] = [Node("boolean", value=False)]
NOTHING: Final[Collection] = []


def boolean(value: Truth) -> Collection:
    """A truth as a collection."""
    if value is None:
        return NOTHING
    return TRUE if value else FALSE


def truth(collection: Collection) -> Truth:
    """The collection as a condition: one item that is no boolean is true, none is None."""
    if not collection:
        return None
    if len(collection) > 1:
        raise EvaluationError("A condition has more than one item")
    value = collection[0].value
    return value if isinstance(value, bool) else True


def single(collection: Collection) -> Node | None:
    """The one item, None where there is none."""
    if len(collection) > 1:
        raise EvaluationError("More than one item where one is needed")
    return collection[0] if collection else None


def resource_node(resource: Any) -> Node:
    """A resource as a focus, `Resource` when its type is not one of R4."""
    type = resource.get("resourceType")
    # Anything can stand there before the structure is judged.
    known = isinstance(type, str) and type in definitions().resource_types
    return Node(type if known else "Resource", resource)


def environment(resource: Node) -> Environment:
    """That of an expression about a whole resource, which nothing contains."""
    return Environment(resource, resource, resource)


def child(name: str, only: str | None = None) -> Callable[[Collection], Collection]:
    """
    The step from items to their elements called `name`.

    `only` names the type that a choice must have, so that `value as Quantity` looks at
    `valueQuantity` alone.
    """
    members: dict[str, tuple[_Member, ...]] = {}

    def step(collection: Collection) -> Collection:
        found: Collection = []
        for type, value, companion in collection:
            known = members.get(type)
            if known is None:
                known = members[type] = _members(type, name, only)
            # The elements of a primitive (id, extension) stand in its companion.
            parent = value if isinstance(value, dict) else companion
            if not isinstance(parent, dict):
                continue
            if len(known) > _FEW:
                _collect_present(found, parent, _by_name(type, name, only))
            else:
                for member in known:
                    _collect(found, parent, member)
        return found

    return step


_FEW: Final = 8
"""Members of a choice up to which each is asked for; beyond (`fixed[x]` has 50), those present are."""


def children(collection: Collection) -> Collection:
    """All elements of the items, those of the companions of primitives too."""
    found: Collection = []
    for type, value, companion in collection:
        parent = value if isinstance(value, dict) else companion
        if isinstance(parent, dict):
            _collect_present(found, parent, _all_members(type))
    return found


def descendants(collection: Collection) -> Collection:
    """The children, their children, and so on."""
    found: Collection = []
    level = children(collection)
    while level:
        found.extend(level)
        level = children(level)
    return found


@functools.cache
def _all_members(type: str) -> Mapping[str, _Member]:
    """Each JSON member that an element of the type may have, also by the name of its companion."""
    facts = definitions().types.get(type)
    names = facts.elements if facts else ()
    return {key: member for name in names for key, member in _by_name(type, name, None).items()}


@functools.cache
def _by_name(type: str, name: str, only: str | None) -> Mapping[str, _Member]:
    members = {member.name: member for member in _members(type, name, only)}
    return members | {f"_{key}": member for key, member in members.items() if member.primitive}


class _Member(NamedTuple):
    name: str
    type: str
    primitive: bool
    resource: bool


def _members(type: str, name: str, only: str | None) -> tuple[_Member, ...]:
    return tuple(
        _Member(found.member, found.type, is_primitive(found.type), found.type == "Resource")
        for found in alternatives(type, name)
        if only is None or is_a(found.type, only)
    )


def _collect_present(found: Collection, parent: dict[str, Any], members: Mapping[str, _Member]) -> None:
    for name in parent:
        member = members.get(name)
        # `_birthDate` beside `birthDate` is not another element.
        if member is not None and not (name[0] == "_" and name[1:] in parent):
            _collect(found, parent, member)


def _collect(found: Collection, parent: dict[str, Any], member: _Member) -> None:
    name, type, primitive, resource = member
    value = parent.get(name)
    if primitive and (companion := parent.get("_" + name)) is not None:
        _collect_primitive(found, type, value, companion)
    elif value is None:
        return
    elif resource:
        found.extend(resource_node(item) for item in _items(value) if isinstance(item, dict))
    elif isinstance(value, list):
        found.extend([Node(type, item) for item in value if item is not None])
    else:
        found.append(Node(type, value))


def _collect_primitive(found: Collection, type: str, value: Any, companion: Any) -> None:
    values, companions = _items(value), _items(companion)
    for index in range(max(len(values), len(companions))):
        item = values[index] if index < len(values) else None
        beside = companions[index] if index < len(companions) else None
        if item is not None or beside is not None:
            found.append(Node(type, item, beside))


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
