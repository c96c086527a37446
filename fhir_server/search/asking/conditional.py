"""
The criteria of conditional interactions: a search without result parameters, and its locks.

Two conditional writes may decide on each other's result: both find nothing, both create what the
other one looked for. They must then have a lock in common (store/conditions.py). What a write
locks is the anchor of its criteria, and whatever anchor somebody else's criteria could have that
anything it writes would match: identifiers, and the patient. Criteria without an anchor share one
lock of their type. Two writes that could create each other's match have a lock in common then;
docs/storage.md has the argument.

https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Final

from fhir_server.r4.errors import Invalid, TooCostly, Unsupported
from fhir_server.r4.interaction import Criteria, Search
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import Query, parse
from fhir_server.search.asking.results import RESULT_PARAMETERS
from fhir_server.search.asking.text import asks_for_words
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.predicate import And, AnyToken, Predicate
from fhir_server.search.predicates.rewriting import asks_elsewhere

LOCKS_MAX: Final = 200
"""Of one resource: identifiers are few."""

_ANCHORS: Final = ("identifier", "patient", "subject")
_NEGATIVE: Final = frozenset(("not", "missing", "not-in"))


def query_of(criteria: Criteria, *, limits: SearchLimits, base_url: str, zone: tzinfo) -> Query:
    """
    The search that the criteria come to.

    Raises Invalid when nothing positive is asked for: criteria that anything matches are a mistake;
    Unsupported for words of a text, by which nothing is identified.
    """
    for name, _ in criteria.parameters:
        if asks_for_words(name):
            raise Unsupported(f"`{name[:64]}` says too little for a criterion of a conditional interaction")
        if name.partition(":")[0] in RESULT_PARAMETERS:
            raise Invalid(f"`{name[:64]}` shapes results and is no criterion of a conditional interaction")
    if all(name.partition(":")[2] in _NEGATIVE for name, _ in criteria.parameters):
        raise Invalid(f"The criteria of a conditional interaction must say what a {criteria.type} has")
    search = Search(criteria.type, criteria.parameters)
    query = parse(search, limits=limits, base_url=base_url, zone=zone)
    if asks_elsewhere(query.predicate):
        # What other resources say could not be asked again where the write commits.
        raise Unsupported(
            "Chains, `_has`, `_list`, `:in`, `:not-in`, `:above` and `:below` of codes "
            "are not criteria of a conditional interaction"
        )
    return query


def anchor_of(resource_type: str, wanted: Predicate) -> frozenset[str]:
    """The tokens, one of which whatever is `wanted` has; else the type itself."""
    parts = wanted.parts if isinstance(wanted, And) else (wanted,)
    for parameter in _ANCHORS:
        start = f"{resource_type}|{parameter}|"
        for part in parts:
            if isinstance(part, AnyToken) and all(value.startswith(start) for value in part.values):
                return part.values
    return frozenset((resource_type,))


def anchors_in(content: Iterable[Entry]) -> frozenset[str]:
    """
    Each token of what is written that could be an anchor.

    Raises TooCostly when a resource has more than LOCKS_MAX.
    """
    names: set[str] = set()
    for entry in content:
        resource_type = entry.tokens[0]
        starts = tuple(f"{resource_type}|{parameter}|" for parameter in _ANCHORS)
        own = [token for token in entry.tokens if token.startswith(starts)]
        if len(own) > LOCKS_MAX:
            raise TooCostly(f"The {resource_type} has too many identifiers to be written on a condition")
        names.update(own)
    return frozenset(names)
