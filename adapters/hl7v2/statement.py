"""
What a message says about a resource, and how that changes what is there.

An HL7 v2 message is a statement, not a state: an empty field says nothing, `""` says delete, a
value says what is true now. So a mapping makes a `Statement`, in which an element that the
message does not speak of is not a key, and `applied` puts it onto the resource as it stands.

* a value              the element is this now
* DELETED              the element is gone
* Parts(...)           these parts of the element, the others stay
* Listed(...)          these entries of the list, in place of those that `replaces` says
* Otherwise(value)     only where there is nothing yet: what FHIR requires and the message leaves out

HL7 v2.8, 2.5.3.1 and 2.14.1: repetitions of a field are sent whole, so a valued field replaces
what the field said before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.fhir_json import Json, Resource

Statement = dict[str, Any]

DELETED: Final = None


@dataclass(frozen=True, slots=True)
class Parts:
    """A statement about the parts of one element, such as Encounter.period."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Listed:
    """Entries of a repeating element; those present for which `replaces` is true make way."""

    entries: Sequence[Json]
    replaces: Callable[[Resource], bool]


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What stands here if nothing did."""

    value: Any


def applied(statement: Statement, present: Resource | None) -> Json:
    """The resource, or element, after the statement. `present` is left as it is."""
    after: Json = dict(present) if present is not None else {}
    for name, said in statement.items():
        value = _after(said, after.get(name))
        if value is None or value in ({}, []):
            after.pop(name, None)
        else:
            after[name] = value
    return after


def _after(said: Any, present: Any) -> Any:
    match said:
        case Otherwise(value=value):
            return value if present is None else present
        case Parts(statement=statement):
            return applied(statement, present if isinstance(present, Mapping) else None)
        case Listed(entries=entries, replaces=replaces):
            stated = _distinct(entries)
            kept = [entry for entry in present or () if not replaces(entry) and entry not in stated]
            return [*stated, *kept]
        case _:
            return said


def _distinct(entries: Sequence[Json]) -> list[Json]:
    distinct: list[Json] = []
    for entry in entries:
        if entry not in distinct:
            distinct.append(entry)
    return distinct
