"""
AuditEvents, read and searched like any resource: a projection of the ledger.

A link is as many events as patients are concerned; a query finds the link, and each event is
judged by its own entry before it is shown.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from audit.chain import Link, record_of
from audit.index import entries_of
from audit.projection import Place, Server, event, place_of
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.matching import matches
from fhir_server.search.predicate import Predicate
from fhir_server.search.version import Version
from fhir_server.store.positions import Position
from fhir_server.store.shards import link_id

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINKS_AT_ONCE = 200
TOTAL_MAX = 100_000


EventPage = tuple[list[Version], Position | None]
"""Some events, and where the next page begins; None when there are no more."""


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
) -> EventPage:
    """
    Up to `count` events for which `predicate` is true, by time.

    A page may end within a link: `as_of` of its position then counts the events of the next
    link that were shown already.
    """
    shown: list[Version] = []
    skip = (after.as_of or 0) if after is not None else 0
    behind = after if after is not None and after.value is not None else None
    while True:
        page = await services.store.link_page(
            predicate, newest_first=newest_first, after=behind, count=min(count + 1, _LINKS_AT_ONCE)
        )
        for link in page.links:
            for n, version in enumerate(v for v in _events(link, services) if matches(predicate, v)):
                if n < skip:
                    continue
                if len(shown) == count:
                    return shown, _within(behind, n)
                shown.append(version)
            skip = 0
            behind = _position(link)
        if page.next is None:
            return shown, None


async def audit_total(predicate: Predicate, services: Services) -> int:
    """How many events there are for which `predicate` is true. Raises TooCostly beyond a limit."""
    total = 0
    after: Position | None = None
    while True:
        versions, onward = await audit_page(
            predicate, newest_first=False, after=after, count=_LINKS_AT_ONCE, services=services
        )
        total += len(versions)
        if total > TOTAL_MAX:
            raise TooCostly(
                f"More than {TOTAL_MAX} AuditEvents match; ask for a shorter time, or without _total"
            )
        if onward is None:
            return total
        after = onward


async def audit_history(
    id: str | None, predicate: Predicate, *, after: Position | None, count: int, services: Services
) -> EventPage:
    """An event never changes, so its history is the event; that of the type is the log, newest first."""
    if id is None:
        return await audit_page(predicate, newest_first=True, after=after, count=count, services=services)
    version = await audit_event(id, services)
    return [version] if version is not None and matches(predicate, version) else [], None


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


def _within(behind: Position | None, shown: int) -> Position:
    return Position(behind.value if behind else None, behind.tie if behind else "", shown)
