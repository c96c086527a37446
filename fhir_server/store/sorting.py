"""
Sorting in memory, for orders that no index keeps: the same as `fhir_server.search.ordering`.

Only what is compared is held, so that many matches are few bytes; what has no value comes last,
whichever way, and ties are broken by the creation sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.search.ordering import Value, sort_value
from fhir_server.search.results import SortKey
from fhir_server.store.documents import version


@dataclass(frozen=True, slots=True)
class Row:
    """A match, by what it is sorted by; `key` is `Type/id`."""

    values: tuple[Value | None, ...]
    sequence: str
    key: str


def row(fields: Mapping[str, Any], order: Sequence[SortKey]) -> Row:
    """The row of a document of either collection, which may lack its body."""
    found = version(fields)
    return Row(tuple(sort_value(found, key) for key in order), found.sequence, str(found.key))


def in_order(rows: Iterable[Row], order: Sequence[SortKey]) -> list[Row]:
    """All rows, the first one first."""
    ordered = sorted(rows, key=lambda row: row.sequence)
    # Sorts are stable: the least significant key first.
    for index in reversed(range(len(order))):
        ordered = _by(ordered, index, descending=order[index].descending)
    return ordered


def _by(rows: list[Row], index: int, *, descending: bool) -> list[Row]:
    present = [(row.values[index], row) for row in rows if row.values[index] is not None]
    missing = [row for row in rows if row.values[index] is None]
    # Types that share a parameter's name may not share its kind.
    text = any(isinstance(value, str) for value, _ in present)
    present.sort(key=lambda pair: str(pair[0]) if text else pair[0], reverse=descending)  # type: ignore[arg-type,return-value] # all of one kind, none is None
    return [row for _, row in present] + missing
