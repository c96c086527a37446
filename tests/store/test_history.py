"""Histories of one resource, a type and all: complete, in order, each version once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random

import pytest
import pytest_asyncio

from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    Everything,
    OfPatients,
    Predicate,
    all_of,
    any_of,
    none_of,
    of_types,
    token,
)
from fhir_server.search.predicates.version import Version
from fhir_server.store.limits import StoreLimits
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position
from fhir_server.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.versions import MORNING, Clock, a_change, an_entry, deleted, stored

At = tuple[datetime, datetime]


async def history(
    store: Store,
    predicate: Predicate | None = None,
    *,
    type: str | None = None,
    id: str | None = None,
    since: datetime | None = None,
    at: At | None = None,
    count: int = 4,
) -> list[Version]:
    """All pages; each is full but the last."""
    return [
        version
        async for page in _pages(store, predicate or Everything(), type, id, since, at, count)
        for version in page
    ]


async def _pages(
    store: Store,
    predicate: Predicate,
    type: str | None,
    id: str | None,
    since: datetime | None,
    at: At | None,
    count: int,
) -> AsyncIterator[tuple[Version, ...]]:
    after: Position | None = None
    while True:
        page = await store.history(predicate, type=type, id=id, since=since, at=at, after=after, count=count)
        assert page.next is None or len(page.versions) == count
        yield page.versions
        if page.next is None:
            return
        after = Position.from_text(page.next.to_text())


def newest_first(versions: list[Version]) -> list[Version]:
    return sorted(versions, key=lambda v: (v.last_updated, v.sequence), reverse=True)


@pytest_asyncio.fixture(loop_scope="session")
async def made(store: Store, clock: Clock) -> list[Version]:
    """Every version there ever was of some resources of two types, some deleted and made again."""
    random = Random(3)
    versions: list[Version] = []
    newest: dict[Key, Version] = {}
    for _ in range(80):
        clock.advance(milliseconds=random.choice([0, 0, 1, 5]))
        key = Key(random.choice(["Observation", "Patient"]), f"{random.randrange(6)}")
        before = newest.get(key)
        if before is not None and not before.deleted and random.random() < 0.3:
            version = await deleted(store, key)
        else:
            entry = an_entry(
                key.type, f"{key.type}|code|{random.randrange(2)}", patients=random.choice([["p"], ["q"], []])
            )
            version = await stored(store, key, a_change(entry=entry))
        newest[key] = version
        versions.append(version)
    return versions


async def test_a_history_has_every_version_newest_first(store: Store, made: list[Version]) -> None:
    assert await history(store) == newest_first(made)
    for type in ("Observation", "Patient"):
        assert await history(store, type=type) == newest_first([v for v in made if v.key.type == type])
        for id in ("0", "3"):
            own = [v for v in made if v.key == Key(type, id)]
            assert await history(store, type=type, id=id, count=2) == newest_first(own)
    assert await history(store, type="Patient", id="1" * 64) == []


async def test_since_keeps_what_was_made_at_or_after_it(store: Store, made: list[Version]) -> None:
    for version in made[::9]:
        for since in (version.last_updated, version.last_updated + timedelta(microseconds=1)):
            expected = newest_first([v for v in made if v.last_updated >= since])
            assert await history(store, since=since) == expected


async def test_at_keeps_what_was_current_at_some_time_within(store: Store, made: list[Version]) -> None:
    def was_current(version: Version, start: datetime, end: datetime) -> bool:
        later = [v.last_updated for v in made if v.key == version.key and v.number == version.number + 1]
        return version.last_updated < end and all(ended > start for ended in later)

    for n, milliseconds in enumerate(range(0, 120, 17)):
        start = MORNING + timedelta(milliseconds=milliseconds)
        end = start + timedelta(microseconds=[1, 1000, 20_000][n % 3])
        expected = newest_first([v for v in made if was_current(v, start, end)])
        assert await history(store, at=(start, end)) == expected


async def test_a_history_shows_what_a_predicate_allows_and_tombstones_by_what_they_deleted(
    store: Store, made: list[Version]
) -> None:
    predicates: list[Predicate] = [
        OfPatients(frozenset({"p"})),
        all_of(of_types(frozenset({"Patient"})), none_of(OfPatients(frozenset({"q"})))),
        any_of(token("Observation|code|1"), token("Patient|code|0")),
    ]
    for predicate in predicates:
        expected = newest_first([v for v in made if matches(predicate, v)])
        assert any(v.deleted for v in expected)
        assert await history(store, predicate) == expected


async def test_a_history_that_is_read_while_versions_move_misses_none_and_repeats_none(
    open_store: OpenStore, clock: Clock
) -> None:
    stores = [await open_store(), await open_store()]
    first = []
    for n in range(30):
        clock.advance(milliseconds=1)
        first.append(await stored(stores[0], Key("Patient", str(n % 10)), a_change(type="Patient")))

    async def write() -> None:
        for n in range(60):
            clock.advance(milliseconds=1)
            await stored(stores[n % 2], Key("Patient", str(n % 13)), a_change(str(n), type="Patient"))

    writing = asyncio.create_task(write())
    for _ in range(5):
        found = await history(stores[0], type="Patient", count=3)
        names = [(v.key, v.number) for v in found]
        assert len(names) == len(set(names))
        assert {(v.key, v.number) for v in first} <= set(names)
    await writing


async def test_a_page_of_history_ends_early_rather_than_weigh_too_much(
    open_store: OpenStore, clock: Clock
) -> None:
    store = await open_store(StoreLimits(page_bytes_max=2_500))
    for n in range(12):
        clock.advance(milliseconds=1)
        await stored(store, Key("Patient", str(n % 3)), a_change("x" * 900, type="Patient"))
    found: list[Version] = []
    after: Position | None = None
    while True:
        page = await store.history(
            Everything(), type=None, id=None, since=None, at=None, after=after, count=10
        )
        assert 0 < len(page.versions) < 10
        found += page.versions
        if page.next is None:
            break
        after = page.next
    assert len(found) == len({(v.key, v.number) for v in found}) == 12
    back = list(page.versions)
    while page.previous is not None:
        page = await store.history(
            Everything(), type=None, id=None, since=None, at=None, after=page.previous, count=10
        )
        back = [*page.versions, *back]
    assert back == found


async def test_turned_back_the_pages_are_those_that_came(store: Store, clock: Clock) -> None:
    for n in range(30):
        clock.advance(milliseconds=n % 2)
        await stored(store, Key("Patient", str(n % 7)), a_change(type="Patient"))

    async def page_at(after: Position | None) -> Page:
        return await store.history(
            Everything(), type="Patient", id=None, since=None, at=None, after=after, count=4
        )

    page = await page_at(None)
    forward = [page.versions]
    while page.next is not None:
        page = await page_at(page.next)
        forward.append(page.versions)
    back = [page.versions]
    while page.previous is not None:
        page = await page_at(page.previous)
        back.append(page.versions)
    assert back[::-1] == forward
    assert len(forward) == 8


async def test_a_position_of_something_else_is_refused(store: Store) -> None:
    with pytest.raises(Invalid):
        await store.history(
            Everything(), type=None, id=None, since=None, at=None, after=Position(None, "x"), count=1
        )
