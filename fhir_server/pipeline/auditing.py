"""
AuditEvents, read and searched like any resource: a projection of the ledger.

A link is as many events as patients are concerned; a query finds the link, and each event is
judged by its own entry before it is shown.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from audit.alike import settled
from audit.chain import Link, record_of
from audit.index import entries_of
from audit.projection import Place, Server, event, place_of
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.pages import Page, page_of
from fhir_server.store.positions import Position
from fhir_server.store.shards import link_id

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINKS_AT_ONCE = 200
TOTAL_MAX = 100_000


async def audit_event(id: str, services: Services) -> Version | None:
    """The AuditEvent of that id, None when the ledger has no such place."""
    place = place_of(id)
    link = await services.store.link(place.shard, place.position) if place is not None else None
    if place is None or link is None:
        return None
    events = list(_events(link, services))
    return events[place.n] if place.n < len(events) else None


async def audit_page(
    predicate: Predicate, *, newest_first: bool, after: Position | None, count: int, services: Services
) -> Page:
    """
    Up to `count` events for which `predicate` is true, by time.

    A page may end within a link: `as_of` of its position then counts the events of the link before
    the gap; None is all of them.
    """
    read: list[tuple[Version, Position]] = []
    events_read = _read(predicate, after, count + 1, services, newest_first=newest_first)
    async with aclosing(events_read) as events:
        async for version, gap in events:
            if len(read) == count:
                back = after is not None and after.back
                return page_of(read, after, gap if back else read[-1][1] if read else None)
            read.append((version, gap))
    return page_of(read, after, None)


async def _read(
    predicate: Predicate, after: Position | None, count: int, services: Services, *, newest_first: bool
) -> AsyncGenerator[tuple[Version, Position]]:
    """What matches on from `after`, the way it says, each with the gap behind it."""
    predicate = settled(predicate, Server(services.settings.base_url))
    step = -1 if after is not None and after.back else 1
    beyond = None if after is None else replace(after, as_of=None, back=False)
    if after is not None and (after.back or after.as_of is not None):
        link = await _link_at(after.tie, services)
        events = _matching(link, predicate, services) if link is not None else []
        shown = after.as_of
        for version, gap, n in events[::step]:
            if shown is None or (n < shown) == after.back:
                yield version, gap
    while True:
        page = await services.store.link_page(
            predicate,
            newest_first=newest_first is (step > 0),
            after=beyond,
            count=min(count, _LINKS_AT_ONCE),
        )
        for link in page.links:
            for version, gap, _ in _matching(link, predicate, services)[::step]:
                yield version, gap
        if page.next is None:
            return
        beyond = page.next


async def _link_at(id: str, services: Services) -> Link | None:
    shard, _, position = id.partition(".")
    return await services.store.link(shard, int(position)) if position.isdecimal() else None


def _matching(link: Link, predicate: Predicate, services: Services) -> list[tuple[Version, Position, int]]:
    """The link's events that match, each with the gap behind it and its number among all."""
    behind = _position(link)
    events = list(_events(link, services))
    return [
        (event, behind if n + 1 == len(events) else replace(behind, as_of=n + 1), n)
        for n, event in enumerate(events)
        if matches(predicate, event)
    ]


async def audit_total(predicate: Predicate, services: Services, *, most: int | None) -> int:
    """
    How many events there are for which `predicate` is true; `most` when there are more.

    Raises TooCostly beyond a limit.
    """
    total = 0
    after: Position | None = None
    while True:
        page = await audit_page(
            predicate, newest_first=False, after=after, count=_LINKS_AT_ONCE, services=services
        )
        total += len(page.versions)
        if most is not None and total >= most:
            return most
        if total > TOTAL_MAX:
            raise TooCostly(
                f"More than {TOTAL_MAX} AuditEvents match; ask for a shorter time, or without _total"
            )
        if page.next is None:
            return total
        after = page.next


async def audit_history(
    id: str | None, predicate: Predicate, *, after: Position | None, count: int, services: Services
) -> Page:
    """An event never changes, so its history is the event; that of the type is the log, newest first."""
    if id is None:
        return await audit_page(predicate, newest_first=True, after=after, count=count, services=services)
    version = await audit_event(id, services)
    predicate = settled(predicate, Server(services.settings.base_url))
    return Page((version,) if version is not None and matches(predicate, version) else (), None)


def _events(link: Link, services: Services) -> Iterator[Version]:
    record = record_of(link.payload)
    server = Server(services.settings.base_url)
    for n, entry in enumerate(entries_of(record)):
        place = Place(link.shard, link.position, n)
        key = Key("AuditEvent", str(place))
        yield Version(key, 1, record.time, event(record, place, server), entry, str(place), "POST")


def _position(link: Link) -> Position:
    time = record_of(link.payload).time
    return Position((time - _EPOCH) // timedelta(milliseconds=1), link_id(link.shard, link.position))
