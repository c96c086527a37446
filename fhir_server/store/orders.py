"""
The orders that an index keeps: creation, last update, clinical date.

A page begins behind the key of the last entry before it. What has no clinical date comes last,
whichever way, so such an order may be read in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.search.asking.results import SortKey
from fhir_server.store.documents import Document
from fhir_server.store.positions import Position, behind, keyset


@dataclass(frozen=True, slots=True)
class IndexedOrder:
    """
    By `field`, then by the creation sequence; directions are 1 and -1.

    `changes`: a resource may move in this order while somebody turns pages.
    """

    field: str
    direction: int = 1
    tie_direction: int = 1
    changes: bool = True

    @property
    def sort(self) -> list[tuple[str, int]]:
        if self.field == "seq":
            return [("seq", self.direction)]
        return [(self.field, self.direction), ("seq", self.tie_direction)]

    @property
    def backwards(self) -> IndexedOrder:
        """The same order, read from its end."""
        return IndexedOrder(self.field, -self.direction, -self.tie_direction, self.changes)

    def parts(self, after: Position | None, *, dated: bool) -> list[Document]:
        """
        Filters whose results, one after the other as they are read, are the page from `after`.

        `dated`: the index by clinical date has nothing without one, so that is asked for by itself.
        """
        if after is not None:
            return self._parts_from(after)
        if self.field == "d" and (dated or self.direction > 0):
            # MongoDB sorts what is missing first.
            return [{"d": {"$exists": True}}, {"d": None}]
        return [{}]

    def _parts_from(self, after: Position) -> list[Document]:
        tie_direction = -self.tie_direction if after.back else self.tie_direction
        if self.field == "seq":
            return [{"seq": behind(after, tie_direction)}]
        if after.value is None:
            missing = {self.field: None, "seq": behind(after, tie_direction)}
            return [missing, {self.field: {"$exists": True}}] if after.back else [missing]
        present = keyset(self.field, "seq", after, self.direction, self.tie_direction)
        return [present, {self.field: None}] if self.field == "d" and not after.back else [present]

    def precedes(self, fields: Mapping[str, Any]) -> tuple[int, Any]:
        """A key for sorting documents of one part in Python as the index does."""
        value = fields.get(self.field) if self.field != "seq" else None
        sequence = tuple(map(ord, fields["seq"]))
        tie = sequence if self.tie_direction > 0 else tuple(-code for code in sequence)
        return ((value or 0) * self.direction, tie)

    def position(self, fields: Mapping[str, Any], as_of: int | None) -> Position:
        """Behind this document."""
        value = None if self.field == "seq" else fields.get(self.field)
        return Position(None if value is None else int(value), fields["seq"], as_of)


def indexed_order(order: Sequence[SortKey]) -> IndexedOrder | None:
    """The order that an index keeps for these keys; None when it is to be sorted in memory."""
    if len(order) != 1:
        return None if order else _CREATION
    key = order[0]
    direction = -1 if key.descending else 1
    match key.kind:
        case "sequence":
            return None if key.descending else _CREATION
        case "updated":
            return IndexedOrder("t", direction, direction)
        case "clinical_date":
            # The index has the latest first; read backwards, ties come in reverse too.
            return IndexedOrder("d", direction, -direction)
        case "parameter" | "chained":
            return None


_CREATION = IndexedOrder("seq", changes=False)
