"""
The way to the answer, where the database would choose a longer one.

MongoDB tries plans on a first handful of results and remembers the winner. It does not see that both ends
of a date lie within one window of an index, nor that the records of a page's patients are few beside all
resources of a type. Neither changes what is found.

https://www.mongodb.com/docs/manual/core/query-plans/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING

from fhir_server.r4.compartments import single_patient_types
from fhir_server.search.asking.window import Window
from fhir_server.search.predicates.predicate import And, OfPatients, Predicate, WithId, WithKey
from fhir_server.store.documents import Document

DATED: Final[Document] = {"d": {"$exists": True}}
"""What has a clinical date: nothing else is in the index by it, so that no other question is led there."""

LASTING: Final[Document] = {"dx": {"$exists": True}}
"""What has a clinical date that is more than a moment."""

OF_PATIENT: Final = (("pt", ASCENDING), ("tok", ASCENDING), ("d", DESCENDING), ("seq", ASCENDING))
"""The index of what is in a patient's record."""


def within(window: Window | None, where: Sequence[Document]) -> Document:
    """
    All of `where`, of what can be within `window`.

    The choice stands outermost, the rest within each branch: so each is answered by an index, in order.
    """
    together: Document = {"$and": list(where)} if where else {}
    if window is None:
        return together
    bounds: dict[str, Any] = {}
    if window.start is not None:
        bounds["$gte"] = window.start
    if window.end is not None:
        bounds["$lte"] = window.end
    return {"$or": [{"$and": [{"d": bounds}, *where]}, {"$and": [LASTING, *where]}]}


def hint_among(predicate: Predicate) -> list[tuple[str, int]] | None:
    """
    The index to take for some of a few that are named; None where the database may choose.

    Named ones that are the first of their type look just as near by the type, until the rest is scanned.
    """
    parts = predicate.parts if isinstance(predicate, And) else (predicate,)
    return [("_id", ASCENDING)] if any(isinstance(part, WithKey) for part in parts) else None


def hint_for(predicate: Predicate, types: frozenset[str], wanted: int) -> list[tuple[str, int]] | None:
    """
    The index to take for `wanted` resources of `types`; None where the database may choose.

    Of no more patients than resources are wanted the whole records are looked at rather than the type.
    """
    parts = predicate.parts if isinstance(predicate, And) else (predicate,)
    if not types <= single_patient_types() or any(isinstance(part, WithId | WithKey) for part in parts):
        return None
    if any(isinstance(part, OfPatients) and 0 < len(part.ids) <= wanted for part in parts):
        return list(OF_PATIENT)
    return None
