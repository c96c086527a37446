"""
What is taken out of a resource before it leaves.

A Group is in the compartment of each of its members, but only as far as that member: a
confined caller sees the Group without the others, and can ask for none of them. An AuditEvent
about a patient quotes the query that found them, which may name others: it is left out.

https://hl7.org/fhir/R4/group.html, https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from fhir_server.policy.context import Right
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.r4.shaping import tagged
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.predicate import (
    AnyToken,
    AnyWord,
    Nothing,
    OfPatients,
    Or,
    Predicate,
    TokenPrefix,
    WordPrefix,
    rewritten,
)
from fhir_server.search.predicates.version import Version


def redacted(version: Version, right: Right) -> Version:
    """`version` with what this right does not reach taken out."""
    if not right.confined or version.body is None:
        return version
    match version.key.type:
        case "Group":
            visible = frozenset(f"Patient/{id}" for id in _patients(right.predicate))
            told = to_text(_group_of(from_text(version.body), visible))
            return replace(version, body=told, entry=_entry_of(version.entry, visible))
        case "AuditEvent":
            return replace(version, body=to_text(_without_query(from_text(version.body))))
        case _:
            return version


def asking_of_shown_members(predicate: Predicate, right: Right) -> Predicate:
    """
    `predicate`, asking of a Group's members only for those that this right shows, and for none of its
    words, which name them all.
    """
    if not right.confined:
        return predicate
    own = frozenset(f"{_MEMBER}|Patient/{id}" for id in _patients(right.predicate))
    return rewritten(predicate, lambda part: _asking(part, own))


def _asking(part: Predicate, own: frozenset[str]) -> Predicate | None:
    match part:
        case AnyToken(values=values):
            askable = frozenset(value for value in values if not value.startswith(_MEMBER) or value in own)
            return AnyToken(askable) if askable else Nothing()
        case TokenPrefix(prefix=prefix) if prefix.startswith(_MEMBER):
            return AnyToken(own) if own and prefix == f"{_MEMBER}|" else Nothing()
        case AnyWord(values=values):
            shown = frozenset(value for value in values if not value.startswith(_WORDS))
            return AnyWord(shown) if shown else Nothing()
        case WordPrefix(prefixes=prefixes):
            shown = frozenset(prefix for prefix in prefixes if not prefix.startswith(_WORDS))
            return WordPrefix(shown) if shown else Nothing()
        case _:
            return None


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
    tokens = tuple(token for token in entry.tokens if not token.startswith(f"{_MEMBER}|") or token in own)
    return replace(entry, tokens=tokens)


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
_WORDS: Final = ("Group|_text|", "Group|_content|")
"""Any of them may be the name of a member who is not shown."""
_OF_ALL_MEMBERS: Final = frozenset(("quantity", "text", "contained"))
