"""
What is taken out of a resource before it leaves.

A Group is in the compartment of each of its members, but only as far as that member: a
confined caller sees the Group without the others, and can ask for none of them. An AuditEvent
about a patient quotes the query that found them, which may name others: it is left out.

https://hl7.org/fhir/R4/group.html, https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from fhir_server.policy.context import Right
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.r4.shaping import tagged
from fhir_server.search.declared.parameters import r4_parameters_of
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.predicate import (
    AnyToken,
    AnyWord,
    Coded,
    Containing,
    Elsewhere,
    InRange,
    Nothing,
    OfPatients,
    Or,
    Predicate,
    RangePrefix,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    WordPrefix,
    all_of,
    none_of,
    of_types,
)
from fhir_server.search.predicates.rewriting import rewritten
from fhir_server.search.predicates.version import Version

NO_GROUP: Final = none_of(of_types(frozenset(("Group",))))
"""True of what is no Group."""


def redacted(version: Version, right: Right) -> Version:
    """`version` with what this right does not reach taken out."""
    if not right.confined or version.body is None:
        return version
    match version.key.type:
        case "Group":
            visible = frozenset(f"Patient/{id}" for id in _patients(right.reach))
            told = to_text(_group_of(from_text(version.body), visible))
            return replace(version, body=told, entry=_entry_of(version.entry, visible))
        case "AuditEvent":
            return replace(version, body=to_text(_without_query(from_text(version.body))))
        case _:
            return version


def asking_of_shown_members(predicate: Predicate, right: Right) -> Predicate:
    """
    `predicate`, asking of a Group's members only for those that this right shows, and for nothing else
    that tells of them.
    """
    if not right.confined:
        return predicate
    own = frozenset(f"{_MEMBER}|Patient/{id}" for id in _patients(right.reach))
    return rewritten(predicate, lambda part: _asking(part, own))


def _asking(part: Predicate, own: frozenset[str]) -> Predicate | None:
    match part:
        case AnyToken(values=values):
            askable = frozenset(value for value in values if value in own or not tells_of_members(value))
            return AnyToken(askable) if askable else Nothing()
        case TokenPrefix(prefix=prefix) if prefix == f"{_MEMBER}|":
            return AnyToken(own) if own else Nothing()
        case AnyWord(values=values):
            shown = frozenset(value for value in values if not tells_of_members(value))
            return AnyWord(shown) if shown else Nothing()
        case WordPrefix(prefixes=prefixes):
            shown = frozenset(prefix for prefix in prefixes if not tells_of_members(prefix))
            return WordPrefix(shown) if shown else Nothing()
        case (
            TokenPrefix(prefix=start)
            | TokenBetween(low=start)
            | TokenContaining(start=start)
            | InRange(parameter=start)
            | RangePrefix(prefix=start)
        ) if tells_of_members(start):
            return Nothing()
        case Elsewhere(question=Coded(name=name)) if tells_of_members(name):
            return Nothing()
        case Containing():
            # What a Group contains is not shown.
            return all_of(part, NO_GROUP)
        case _:
            return None


def tells_of_members(start: str) -> bool:
    """
    Does what stands under this name (`Type|param`, whatever follows) depend on a Group's members?

    Its words name them all, and a search parameter that somebody has declared may be about anything.
    """
    type, _, rest = start.partition("|")
    code = rest.partition("|")[0].partition(":")[0]
    return type == "Group" and bool(code) and f"Group|{code}" not in _of_the_group_itself()


@functools.cache
def _of_the_group_itself() -> frozenset[str]:
    return frozenset(
        name
        for code, parameter in r4_parameters_of("Group").items()
        if code not in _OF_MEMBERS
        for name in parameter.found_as
    )


def _without_query(event: Resource) -> Resource:
    entities = [entity for entity in event.get("entity", ()) if "query" not in entity]
    if len(entities) == len(event.get("entity", ())):
        return event
    return _subsetted({**event, "entity": entities})


def _group_of(group: Resource, visible: frozenset[str]) -> Resource:
    told: dict[str, Any] = {name: value for name, value in group.items() if name not in _OF_ALL_MEMBERS}
    members = [
        member for member in group.get("member", ()) if member.get("entity", {}).get("reference") in visible
    ]
    told.pop("member", None)
    if members:
        told["member"] = members
    return _subsetted(told)


def _entry_of(entry: Entry, visible: frozenset[str]) -> Entry:
    """What the text no longer names is not followed from the Group either."""
    own = frozenset(f"{_MEMBER}|{reference}" for reference in visible)
    tokens = tuple(token for token in entry.tokens if token in own or not tells_of_members(token))
    return replace(entry, tokens=tokens, contained=())


def _subsetted(resource: Resource) -> Resource:
    return {**resource, "meta": tagged(resource["meta"])}


def _patients(predicate: Predicate) -> Iterator[str]:
    match predicate:
        case OfPatients(ids=ids):
            yield from ids
        case Or(parts=parts):
            for part in parts:
                yield from _patients(part)
        case _:
            return


_MEMBER: Final = "Group|member"
_OF_MEMBERS: Final = frozenset(("member", "_text", "_content"))
"""R4's search parameters that depend on members: any word may be the name of one."""
_OF_ALL_MEMBERS: Final = frozenset(("quantity", "text", "contained"))
