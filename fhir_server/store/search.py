"""
Searches, page by page.

A page begins behind a key, never at an offset. In the order of creation, which never changes, that
is all. In an order that can change while pages are turned (last update, clinical date, any other
parameter), later pages are of the state at the time T of the first: what is current and has not
been changed since T, and what was superseded after T, as it was at T, shown in its present version
if that still matches. So each resource that matched at the first page and still matches when it
is reached comes once, none twice, and a deleted or hidden one never. T is read from this process's
clock: a write that commits while the first page is read may fall on either side.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.r4.errors import TooCostly
from fhir_server.search.asking.results import SortKey
from fhir_server.search.asking.window import Window, window_of
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Collection, Database
from fhir_server.store.documents import WITHOUT_TOKENS, Document, key_of, milliseconds, version
from fhir_server.store.faults import costly
from fhir_server.store.filters import any_of, to_filter, to_superseded_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.narrowing import narrowed
from fhir_server.store.orders import IndexedOrder, indexed_order
from fhir_server.store.pages import Page, beginning, fetched, page_of
from fhir_server.store.positions import Position
from fhir_server.store.resolving import resolved, resolving
from fhir_server.store.routes import hint_for, within
from fhir_server.store.sorting import Ends, Row, in_order, row
from fhir_server.store.watermark import Watermark

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Question:
    """
    Filters for the current versions that match, and for superseded ones that did; in what snapshot.

    `window` and `hint` say where to look for the current ones (routes.py).
    """

    current: Document
    superseded: Document
    session: AsyncClientSession | None
    window: Window | None
    hint: list[tuple[str, int]] | None


class Search:
    """Asks `resources`, and `history` where an order can change."""

    def __init__(
        self, database: Database, *, limits: StoreLimits, clock: Clock, watermark: Watermark
    ) -> None:
        self._database = database
        self._resources = database.resources
        self._history = database.history
        self._bodies = database.bodies
        self._limits = limits
        self._clock = clock
        self._watermark = watermark
        self._milliseconds_max = limits.search_milliseconds_max

    async def page(
        self,
        predicate: Predicate,
        *,
        types: frozenset[str] | None,
        order: Sequence[SortKey],
        after: Position | None,
        count: int,
        tokens: bool,
        before: Predicate | None = None,
    ) -> Page:
        """
        Up to `count` living resources of `types` for which `predicate` is true, behind `after`.

        `before` is true of whatever `predicate` may have been true of when an earlier page was read:
        superseded versions are looked for by it. Without `tokens` their entries have only the patients.
        Raises TooCostly when it takes too long, or when more matches than `sort_matches_max` are to be
        sorted in memory.
        """
        indexed = indexed_order(order)
        projection = None if tokens else WITHOUT_TOKENS
        changes = indexed is None or indexed.changes

        async def read(as_of: int | None, *, then: bool) -> Page:
            async with self._asked(predicate, types, indexed, count, before) as question:
                if indexed is None:
                    return await self._sorted_page(
                        question, order, after, as_of, count, projection, then=then
                    )
                return await self._indexed_page(question, indexed, after, as_of, count, projection, then=then)

        with costly():
            if after is not None and not after.tie:
                as_of, after = after.as_of, None
                return await read(as_of, then=changes)
            if after is not None or not changes:
                return await read(after.as_of if after is not None else None, then=changes)
            return await self._first_page(read)

    async def _first_page(self, read: Callable[..., Awaitable[Page]]) -> Page:
        """
        Of an order that can change, as it is now.

        When there are more pages, they are of a time at which nothing was being written.
        """
        now = milliseconds(self._clock())
        page: Page = await read(now, then=False)
        if page.next is None or await self._watermark.was_at_rest(now):
            return page
        now = max(
            now, milliseconds(self._clock()), *(milliseconds(one.last_updated) for one in page.versions)
        )
        if await self._watermark.is_past(now, seconds=self._limits.settling_seconds_max):
            return await read(now, then=True)
        return page

    async def count(
        self, predicate: Predicate, *, types: frozenset[str] | None, most: int | None = None
    ) -> int:
        """How many living resources of `types` it is true of, exactly; `most` when there are more."""
        with costly():
            async with self._asked(predicate, types, None, 1) as question:
                options: Document = {} if question.hint is None else {"hint": question.hint}
                if most is not None:
                    options["limit"] = most
                return await self._resources.count_documents(
                    within(question.window, [question.current]),
                    maxTimeMS=self._milliseconds_max,
                    session=question.session,
                    **options,
                )

    @asynccontextmanager
    async def _asked(
        self,
        predicate: Predicate,
        types: frozenset[str] | None,
        order: IndexedOrder | None,
        wanted: int,
        before: Predicate | None = None,
    ) -> AsyncIterator[_Question]:
        asked, of_types = narrowed(predicate, types)
        async with resolving(self._database, asked, of_types, self._limits) as (found, session):
            current = to_filter(found, types=of_types)
            superseded = found
            if before is not None:
                asked, _ = narrowed(before, types)
                superseded = await resolved(self._database, asked, of_types, session, self._limits)
            if order is not None and order.field == "t" and types is not None:
                # The index by time begins with the type, as a scalar.
                current = {"$and": [any_of("ty", types), current]}
            hint = hint_for(found, of_types, wanted)
            # In another order another index is read, which a window would lead away from.
            windowed = hint is None and (order is None or order.field == "d")
            window = window_of(found, of_types) if windowed else None
            yield _Question(current, to_superseded_filter(superseded, types=of_types), session, window, hint)

    async def _indexed_page(
        self,
        question: _Question,
        order: IndexedOrder,
        after: Position | None,
        as_of: int | None,
        count: int,
        projection: Document | None,
        *,
        then: bool,
    ) -> Page:
        """With `then`, of the state at `as_of`."""
        found: list[Document] = []
        cut = False
        reading = order.backwards if after is not None and after.back else order
        for part in order.parts(after, dated=question.hint is None and question.window is None):
            wanted = count + 1 - len(found)
            if as_of is None or not then:
                some, cut = await self._current(question, [part], reading, wanted, projection)
            else:
                some, cut = await self._as_of(question, part, reading, as_of, wanted, projection)
            found += some
            if cut or len(found) > count:
                break
        # Of what is cut off the last one is left to the page beyond, which is known by it.
        most = min(count, len(found) - 1 if cut else count)
        present = await self._present(question, found[:most], projection)
        shown = beginning(present, self._limits.page_bytes_max)
        gaps = [order.position(fields, as_of) for fields in found]
        onward = None
        if len(found) > len(shown):
            onward = gaps[len(shown) if reading is not order else len(shown) - 1] if shown else None
        return page_of(await self._read(shown, gaps, question, projection), after, onward)

    async def _current(
        self,
        question: _Question,
        where: Sequence[Document],
        order: IndexedOrder,
        wanted: int,
        projection: Document | None,
    ) -> tuple[list[Document], bool]:
        """Up to `wanted` documents; fewer, and True, when they would weigh too much."""
        cursor = self._resources.find(
            within(question.window, [question.current, *where]),
            projection,
            sort=order.sort,
            hint=question.hint,
            limit=wanted,
            batch_size=wanted,
            max_time_ms=self._milliseconds_max,
            session=question.session,
        )
        return await fetched(cursor, self._limits.page_bytes_max)

    async def _as_of(
        self,
        question: _Question,
        part: Document,
        order: IndexedOrder,
        as_of: int,
        wanted: int,
        projection: Document | None,
    ) -> tuple[list[Document], bool]:
        """The state at `as_of`: what is current since, and what was superseded after."""
        # The current ones first: a version only ever moves from there to the history.
        where = [part, {"t": {"$lte": as_of}}]
        current, cut = await self._current(question, where, order, wanted, projection)
        known = {fields["seq"] for fields in current}
        superseded = await self._history.find(
            {"$and": [question.superseded, part, *_superseded_after(as_of)]},
            {"d": 1, "t": 1, "seq": 1},
            sort=order.sort,
            limit=wanted,
            max_time_ms=self._milliseconds_max,
            session=question.session,
        ).to_list()
        together = current + [fields for fields in superseded if fields["seq"] not in known]
        together.sort(key=order.precedes)
        if cut:
            # What lies behind the last document that was fetched is for the next page.
            together = together[: together.index(current[-1]) + 1]
        return together[:wanted], cut

    async def _present(
        self, question: _Question, found: Sequence[Document], projection: Document | None
    ) -> list[Document | None]:
        """The documents to be shown, superseded ones as they are now, or not at all."""
        old = [key_of(fields) for fields in found if "n" not in fields]
        now = await self._matching(question, old, projection) if old else {}
        return [fields if "n" in fields else now.get(key_of(fields)) for fields in found]

    async def _read(
        self,
        shown: Sequence[Document | None],
        gaps: Sequence[Position],
        question: _Question,
        projection: Document | None,
    ) -> list[tuple[Version, Position]]:
        found = [(fields, gap) for fields, gap in zip(shown, gaps, strict=False) if fields is not None]
        await put_back(
            self._bodies, [fields for fields, _ in found], question.session, tokens=projection is None
        )
        return [(version(fields), gap) for fields, gap in found]

    async def _sorted_page(
        self,
        question: _Question,
        order: Sequence[SortKey],
        after: Position | None,
        as_of: int | None,
        count: int,
        projection: Document | None,
        *,
        then: bool,
    ) -> Page:
        """With `then`, of the state at `as_of`."""
        rows = await self._rows(question, order, as_of if then else None)
        start = _behind(rows, after)
        back = after is not None and after.back
        places = range(start, len(rows))[:count] if not back else range(start)[::-1][:count]
        shown: list[Document | None] = []
        for first in range(0, len(places), _CHUNK):
            keys = [rows[place].key for place in places[first : first + _CHUNK]]
            now = await self._matching(question, keys, projection)
            wanted = len(shown) + len(keys)
            shown = beginning([*shown, *map(now.get, keys)], self._limits.page_bytes_max)
            if len(shown) < wanted:
                break
        gaps = [Position(place + 1, rows[place].sequence, as_of) for place in places]
        onward = None
        end = start - len(shown) if back else start + len(shown)
        if shown and 0 < end < len(rows):
            onward = Position(end, rows[end - 1].sequence, as_of)
        return page_of(await self._read(shown, gaps, question, projection), after, onward)

    async def _rows(self, question: _Question, order: Sequence[SortKey], as_of: int | None) -> list[Row]:
        """Everything that matches, sorted; with `as_of`, what matched then. Raises TooCostly."""
        rows: dict[str, Row] = {}
        now = [question.current] if as_of is None else [question.current, {"t": {"$lte": as_of}}]
        asked: list[tuple[Collection, Document]] = [(self._resources, within(question.window, now))]
        if as_of is not None:
            asked.append((self._history, within(None, [question.superseded, *_superseded_after(as_of)])))
        most = self._limits.sort_matches_max
        for collection, where in asked:
            cursor = collection.find(
                where,
                {"body": 0},
                limit=most + 1,
                batch_size=_CHUNK,
                max_time_ms=self._milliseconds_max,
                session=question.session,
            )
            async with cursor:
                async for fields in cursor:
                    rows.setdefault(fields["seq"], row(fields, order))
            if len(rows) > most:
                raise TooCostly(
                    f"More than {most} resources match, too many to be sorted by this parameter; "
                    "narrow the search, or sort by `_lastUpdated`"
                )
        ends = Ends(self._database, question.session, self._limits)
        return in_order(await ends.known(list(rows.values()), order), order)

    async def _matching(
        self, question: _Question, keys: Sequence[str], projection: Document | None
    ) -> dict[str, Document]:
        """Those of `keys` that match now."""
        where = {"$and": [{"_id": {"$in": list(keys)}}, question.current]}
        found = await self._resources.find(
            where, projection, max_time_ms=self._milliseconds_max, session=question.session
        ).to_list()
        return {fields["_id"]: fields for fields in found}


def _superseded_after(as_of: int) -> list[Document]:
    return [{"e": {"$gt": as_of}}, {"t": {"$lte": as_of}}]


def _behind(rows: Sequence[Row], after: Position | None) -> int:
    """Where the page begins: behind the row that `after` names, or as many rows as there were."""
    if after is None:
        return 0
    for index, found in enumerate(rows):
        if found.sequence == after.tie:
            return index + 1
    return min(max(0, after.value or 0), len(rows))


_CHUNK: Final = 100
