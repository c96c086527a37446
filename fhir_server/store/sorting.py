"""
Sorting in memory, for orders that no index keeps: the same as `fhir_server.search.asking.ordering`.

Only what is compared is held, so that many matches are few bytes; what has no value comes last,
whichever way, and ties are broken by the creation sequence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.r4.errors import TooCostly
from fhir_server.search.asking.ordering import Value, sort_value
from fhir_server.search.asking.results import End, SortKey
from fhir_server.search.predicates.version import Version
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, version
from fhir_server.store.filters import to_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import MARKER_PREFIX
from fhir_server.store.resolving import resolved, resolving


@dataclass(frozen=True, slots=True)
class Row:
    """
    A match, by what it is sorted by; `key` is `Type/id`.

    `ends` are the keys of what it refers to, for each chained key of the order; their values come later.
    """

    values: tuple[Value | None, ...]
    sequence: str
    key: str
    ends: tuple[frozenset[str], ...] = ()


def row(fields: Mapping[str, Any], order: Sequence[SortKey]) -> Row:
    """The row of a document of either collection, which may lack its body."""
    found = version(fields)
    values = (sort_value(found, key) if key.end is None else None for key in order)
    ends = [_ends(fields, found, key.end) for key in order if key.end is not None]
    return Row(tuple(values), found.sequence, str(found.key), tuple(ends))


class Ends:
    """Looks up what rows refer to, in the snapshot that they are of, within what may be looked at."""

    def __init__(self, database: Database, session: AsyncClientSession | None, limits: StoreLimits) -> None:
        self._database = database
        self._session = session
        self._limits = limits

    async def known(self, rows: Sequence[Row], order: Sequence[SortKey]) -> list[Row]:
        """The same rows with the values of their chained keys."""
        chained = [index for index, key in enumerate(order) if key.end is not None]
        for place, index in enumerate(chained):
            end = order[index].end
            assert end is not None, "it is chained"
            values = await self._values({one for row in rows for one in row.ends[place]}, end)
            rows = [_valued(row, index, place, values, order[index]) for row in rows]
        return list(rows)

    async def _values(self, keys: Iterable[str], end: End) -> dict[str, Value]:
        """By key, what those of `keys` that there are have under the key of their own."""
        wanted = sorted(keys)
        found: list[Row] = []
        async with self._asked(end) as (where, session):
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                cursor = self._database.resources.find(
                    {"$and": [{"_id": {"$in": some}}, where]},
                    {"body": 0},
                    max_time_ms=self._limits.search_milliseconds_max,
                    session=session,
                )
                found += [row(fields, (end.key,)) for fields in await cursor.to_list()]
        known = await self.known(found, (end.key,))
        return {one.key: value for one in known if (value := one.values[0]) is not None}

    @asynccontextmanager
    async def _asked(self, end: End) -> AsyncIterator[tuple[Document, AsyncClientSession | None]]:
        """The filter for what may be looked at, and the snapshot to ask it of."""
        if self._session is not None:
            found = await resolved(self._database, end.of, end.types, self._session, self._limits)
            yield to_filter(found, types=end.types), self._session
            return
        async with resolving(self._database, end.of, end.types, self._limits) as (found, session):
            yield to_filter(found, types=end.types), session


def _ends(fields: Mapping[str, Any], found: Version, end: End) -> frozenset[str]:
    if "more" in fields and any(token.startswith(MARKER_PREFIX) for token in found.entry.tokens):
        raise TooCostly("A resource refers to too many others to be sorted by them")
    starts = tuple(f"{name}|" for name in end.names)
    referred = (token.split("|", 2)[2] for token in found.entry.tokens if token.startswith(starts))
    return frozenset(key for key in referred if key.partition("/")[0] in end.types)


def _valued(row: Row, index: int, place: int, values: Mapping[str, Value], key: SortKey) -> Row:
    """The row with the value of one chained key: of several the least, descending the greatest."""
    of_ends = [values[end] for end in row.ends[place] if end in values]
    value = (max if key.descending else min)(of_ends, default=None)
    return replace(row, values=(*row.values[:index], value, *row.values[index + 1 :]))


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


_AT_ONCE: Final = 1_000
