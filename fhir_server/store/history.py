"""
Histories: the versions of one resource, of a type or of all, newest first.

The current version is in `resources`, all others are in `history`. Current ones are read first:
a version only ever moves from there to the history, so none is missed, and one that is met twice
is shown once. Pages are keyed by time and creation sequence, which no two versions share.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from datetime import datetime

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.r4.errors import Invalid
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Collection, Database
from fhir_server.store.documents import Document, milliseconds, version
from fhir_server.store.faults import costly
from fhir_server.store.filters import between, to_history_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.pages import Page, beginning, fetched, page_of
from fhir_server.store.positions import Position, keyset
from fhir_server.store.resolving import resolving


class History:
    """Asks both collections."""

    def __init__(self, database: Database, *, limits: StoreLimits) -> None:
        self._database = database
        self._resources = database.resources
        self._history = database.history
        self._bodies = database.bodies
        self._limits = limits

    async def page(
        self,
        predicate: Predicate,
        *,
        type: str | None,
        id: str | None,
        since: datetime | None,
        at: tuple[datetime, datetime] | None,
        after: Position | None,
        count: int,
    ) -> Page:
        """
        Up to `count` versions for which `predicate` is true; a tombstone by what it deleted.

        `since` keeps those made at or after it, `at` those that were current at some time in
        [start, end). Raises TooCostly when it takes too long.
        """
        conditions = [{"t": {"$gte": 0}}, between("t", since, None)]
        ended: list[Document] = []
        if at is not None:
            conditions.append(between("t", None, at[1]))
            ended.append({"e": {"$gt": milliseconds(at[0])}})
        if after is not None:
            if after.value is None:
                raise Invalid("The page link is not one of a history")
            conditions.append(keyset("t", "seq", after, -1))
        current, superseded = _scopes(type, id)
        types = None if type is None else frozenset((type,))
        with costly():
            async with resolving(self._database, predicate, types, self._limits) as (asked, session):
                conditions.append(to_history_filter(asked))
                direction = 1 if after is not None and after.back else -1
                some = await self._found(
                    self._resources, [current, *conditions], count + 1, direction, session
                )
                older = await self._found(
                    self._history, [superseded, *conditions, *ended], count + 1, direction, session
                )
                together, cut = _together(some, older, direction=direction)
                # Of what is cut off the last one is left to the page beyond, which is known by it.
                most = min(count, len(together) - 1 if cut else count)
                shown = beginning(together[:most], self._limits.page_bytes_max)
                await put_back(self._bodies, shown, session)
        read = [(version(fields), _position(fields)) for fields in shown]
        onward = None
        if shown and len(together) > len(shown):
            onward = _position(together[len(shown) if direction > 0 else len(shown) - 1])
        return page_of(read, after, onward)

    async def _found(
        self,
        collection: Collection,
        where: list[Document],
        wanted: int,
        direction: int,
        session: AsyncClientSession | None,
    ) -> _Found:
        cursor = collection.find(
            {"$and": where},
            sort=[("t", direction), ("seq", direction)],
            limit=wanted,
            batch_size=wanted,
            max_time_ms=self._limits.search_milliseconds_max,
            session=session,
        )
        return await fetched(cursor, self._limits.page_bytes_max)


def _scopes(type: str | None, id: str | None) -> tuple[Document, Document]:
    """Whose versions, in either collection."""
    if id is not None:
        key = f"{type}/{id}"
        # `0` is the character behind `/`, and no id has either.
        return {"_id": key}, {"_id": {"$gt": f"{key}/", "$lt": f"{key}0"}}
    if type is not None:
        return {"ty": type}, {"ty": type}
    return {}, {}


def _together(*parts: _Found, direction: int) -> tuple[list[Document], bool]:
    """Both, newest first or last, each version once; only as far as both were read."""
    versions = {(fields["seq"], fields["n"]): fields for found, _ in parts for fields in found}
    together = sorted(versions.values(), key=_time, reverse=direction < 0)
    ends = [_time(found[-1]) for found, cut in parts if cut]
    if ends and direction < 0:
        together = [fields for fields in together if _time(fields) >= max(ends)]
    elif ends:
        together = [fields for fields in together if _time(fields) <= min(ends)]
    return together, bool(ends)


def _time(fields: Document) -> tuple[int, str]:
    return fields["t"], fields["seq"]


def _position(fields: Document) -> Position:
    """Behind this version."""
    return Position(int(fields["t"]), fields["seq"])


_Found = tuple[list[Document], bool]
