"""Searches agree with plain Python, page by page, also while others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import cmp_to_key
from itertools import product
from random import Random

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.r4.errors import TooCostly
from fhir_server.r4.fhirpath.moments import MICROSECONDS_PER_DAY as DAY
from fhir_server.r4.resource import Key
from fhir_server.search.asking.ordering import Value, compare, sort_value
from fhir_server.search.asking.results import SortKey
from fhir_server.search.indexing.clinical_dates import earliest
from fhir_server.search.predicates.entry import Entry, Range
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    InRange,
    OfPatients,
    Predicate,
    WithId,
    WithKey,
    all_of,
    any_of,
    none_of,
    of_types,
    token,
)
from fhir_server.search.predicates.version import Version
from fhir_server.search.values.date import FUTURE, PAST
from fhir_server.store.documents import Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, a_unit, deleted, keys, put, stored

OBSERVATION = frozenset({"Observation"})
CREATED = (SortKey("sequence"),)
ORDERS = [
    CREATED,
    (SortKey("updated"),),
    (SortKey("updated", descending=True),),
    (SortKey("clinical_date", "date"),),
    (SortKey("clinical_date", "date", descending=True),),
    (SortKey("parameter", "status"),),
    (SortKey("parameter", "status", descending=True), SortKey("clinical_date", "date")),
    (SortKey("parameter", "_id", descending=True),),
]


def an_observation(n: int, patient: str | None, status: str, date: int | None) -> Entry:
    tokens = ["Observation", f"Observation|code|{n % 3}"]
    if status:
        tokens.append(f"Observation|status|{status}")
    if patient is not None:
        tokens += [f"Observation|{name}|Patient/{patient}" for name in ("subject", "patient")]
    # Of a third the date lasts for days; a few have none of its ends.
    low, high = (PAST, FUTURE) if n % 17 == 4 else (date or 0, (date or 0) + (9 if n % 3 else 3 * DAY))
    ranges = () if date is None else (Range("Observation|date", low, high),)
    dated = None if date is None else earliest(low, high)
    return Entry(tuple(tokens), ranges, () if patient is None else (patient,), dated)


async def load(store: Store, clock: Clock, count: int, seed: int = 1) -> list[Version]:
    """Observations of a few patients, some updated, some deleted; what is left."""
    random = Random(seed)
    left: dict[Key, Version] = {}
    for start in range(0, count, 10):
        clock.advance(milliseconds=random.randint(0, 3))
        entries = {
            Key("Observation", f"o{n}"): an_observation(
                n,
                random.choice(["p1", "p2", None]),
                random.choice(["final", "amended", ""]),
                random.choice([None, random.randrange(40), 7]),
            )
            for n in range(start, start + 10)
        }
        made = await store.commit(
            a_unit(*(put(key, a_change(entry=entry), fresh=True) for key, entry in entries.items()))
        )
        left.update({version.key: version for version in made})
    for key in random.sample(sorted(left, key=str), count // 5):
        clock.advance(milliseconds=1)
        left[key] = await stored(store, key, a_change("again", entry=left[key].entry))
    for key in random.sample(sorted(left, key=str), count // 10):
        await deleted(store, key)
        del left[key]
    return list(left.values())


async def pages(
    store: Store,
    predicate: Predicate,
    order: Sequence[SortKey],
    *,
    count: int = 7,
    types: frozenset[str] | None = OBSERVATION,
) -> AsyncIterator[Page]:
    """Each page, its position taken through its text as a link would."""
    after: Position | None = None
    while True:
        page = await store.page(predicate, types=types, order=order, after=after, count=count, tokens=True)
        yield page
        if page.next is None:
            return
        after = Position.from_text(page.next.to_text())


async def everything(
    store: Store, predicate: Predicate, order: Sequence[SortKey], *, count: int = 7
) -> list[Version]:
    return [v async for page in pages(store, predicate, order, count=count) for v in page.versions]


def values(found: Sequence[Version], order: Sequence[SortKey]) -> list[tuple[Value | None, ...]]:
    """What is compared: two lists of these are equal when the orders are, ties aside."""
    return [tuple(sort_value(version, key) for key in order) for version in found]


def in_order(found: Sequence[Version], order: Sequence[SortKey]) -> list[Version]:
    def comparing(left: Version, right: Version) -> int:
        return compare(left, right, order)

    return sorted(found, key=cmp_to_key(comparing))


@pytest_asyncio.fixture(loop_scope="session")
async def loaded(store: Store, clock: Clock) -> list[Version]:
    return await load(store, clock, 90)


PREDICATES: list[Predicate] = [
    Everything(),
    of_types(OBSERVATION),
    token("Observation|code|1"),
    all_of(of_types(OBSERVATION), token("Observation|patient|Patient/p1")),
    all_of(token("Observation|subject|Patient/p2"), token("Observation|status|final")),
    AnyToken(frozenset({"Observation|subject|Patient/p1", "Observation|subject|Patient/p2"})),
    all_of(OfPatients(frozenset({"p1"})), none_of(token("Observation|status|final"))),
    all_of(of_types(OBSERVATION), InRange("Observation|date", low_min=5, high_max=30)),
    all_of(
        token("Observation|code|0"),
        InRange("Observation|date", high_min=12),
        InRange("Observation|date", low_max=25),
    ),
    all_of(
        token("Observation|code|1"),
        any_of(InRange("Observation|date", low_min=7), InRange("Observation|date", high_min=2 * DAY)),
    ),
    all_of(OfPatients(frozenset({"p1", "p2"})), InRange("Observation|date", low_max=20)),
    WithId(frozenset({"o1", "o2", "nobody"})),
    WithKey(frozenset({"Observation/o1", "Observation/o3", "Patient/o2"})),
]


async def test_pages_are_full_and_give_each_match_once_in_order(store: Store, loaded: list[Version]) -> None:
    for order, predicate in product(ORDERS, PREDICATES):
        expected = [version for version in loaded if matches(predicate, version)]
        found = [page async for page in pages(store, predicate, order)]
        versions = [version for page in found for version in page.versions]
        assert sorted(map(str, keys(versions))) == sorted(map(str, keys(expected)))
        assert all(len(page.versions) == 7 for page in found[:-1])
        assert values(versions, order) == values(in_order(expected, order), order)
        assert await store.count(predicate, types=OBSERVATION) == len(expected)


async def test_turned_back_the_pages_are_those_that_came(store: Store, loaded: list[Version]) -> None:
    for order, predicate in product(ORDERS, PREDICATES):
        forward = [page async for page in pages(store, predicate, order)]
        page = forward[-1]
        back = [page]
        while page.previous is not None:
            after = Position.from_text(page.previous.to_text())
            page = await store.page(
                predicate, types=OBSERVATION, order=order, after=after, count=7, tokens=True
            )
            back.append(page)
        assert [found.versions for found in reversed(back)] == [found.versions for found in forward]
        # And forward again from the first one, which knows the second.
        assert page.next is None or len(forward) > 1
        if page.next is not None:
            again = await store.page(
                predicate, types=OBSERVATION, order=order, after=page.next, count=7, tokens=True
            )
            assert again.versions == forward[1].versions


async def test_a_search_over_all_types_finds_no_tombstone_and_nothing_of_the_stores_own(
    store: Store, loaded: list[Version]
) -> None:
    await stored(store, Key("Consent", "c"), a_change(type="Consent"))
    for order in ORDERS[:3]:
        found = [
            version
            async for page in pages(store, Everything(), order, types=None)
            for version in page.versions
        ]
        assert len(found) == len(loaded) + 1
    assert await store.count(Everything(), types=None) == len(loaded) + 1


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_who_turns_pages_while_others_write_meets_each_match_once(
    store: Store, clock: Clock, loaded: list[Version], order: Sequence[SortKey]
) -> None:
    """https://hl7.org/fhir/R4/http.html#paging"""
    random = Random(1)
    asked = token("Observation|code|1")
    at_first = {version.key for version in loaded if matches(asked, version)}
    gone: set[Key] = set()
    met: list[Key] = []
    new = 1000
    async for page in pages(store, asked, order, count=5):
        assert gone.isdisjoint(keys(page.versions)), "what was deleted or no longer matches is not shown"
        assert all(matches(asked, version) for version in page.versions)
        met += keys(page.versions)
        for key in random.sample(sorted(at_first - gone, key=str), 3):
            clock.advance(milliseconds=1)
            entry = an_observation(1, "p1", random.choice(["final", ""]), random.choice([None, 3, 99]))
            match random.randrange(4):
                case 0:
                    await deleted(store, key)
                    gone.add(key)
                case 1:
                    await stored(store, key, a_change(entry=an_observation(2, "p1", "final", 1)))
                    gone.add(key)
                case _:
                    await stored(store, key, a_change("moved", entry=entry))
            new += 1
            await stored(store, Key("Observation", f"o{new}"), a_change(entry=entry), fresh=True)
    assert len(met) == len(set(met)), "none comes twice"
    assert at_first - gone <= set(met), "none is missed"


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_who_turns_back_while_others_write_meets_each_match_once(
    store: Store, clock: Clock, loaded: list[Version], order: Sequence[SortKey]
) -> None:
    random = Random(2)
    asked = token("Observation|code|1")
    forward = [page async for page in pages(store, asked, order, count=5)]
    page, gone = forward[-1], set[Key]()
    met = keys(page.versions)
    shown_at_first = {version.key for found in forward for version in found.versions}
    while page.previous is not None:
        for key in random.sample(sorted(shown_at_first - gone, key=str), 2):
            clock.advance(milliseconds=1)
            if random.random() < 0.4:
                await deleted(store, key)
                gone.add(key)
            else:
                entry = an_observation(1, "p1", random.choice(["final", ""]), random.choice([None, 3, 99]))
                await stored(store, key, a_change("moved", entry=entry))
        page = await store.page(
            asked, types=OBSERVATION, order=order, after=page.previous, count=5, tokens=True
        )
        assert gone.isdisjoint(keys(page.versions))
        met += keys(page.versions)
    assert len(met) == len(set(met))
    assert shown_at_first - gone <= set(met)


async def test_concurrent_writers_do_not_disturb_pages_in_the_order_of_creation(
    open_store: OpenStore,
) -> None:
    stores = [await open_store(), await open_store()]
    entry = an_observation(1, "p1", "final", 1)
    first = [Key("Observation", f"o{n}") for n in range(40)]
    for key in first:
        await stored(stores[0], key, a_change(entry=entry), fresh=True)

    async def write() -> None:
        for n in range(60):
            store = stores[n % 2]
            key = Key("Observation", f"n{n}") if n % 3 else first[n // 2]
            await stored(store, key, a_change(str(n), entry=entry), fresh=n % 3 != 0)

    writing = asyncio.create_task(write())
    found = [v.key async for page in pages(stores[0], Everything(), CREATED, count=3) for v in page.versions]
    await writing
    assert len(found) == len(set(found))
    assert set(first) <= set(found)


async def test_more_matches_than_can_be_sorted_in_memory_are_too_costly(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(sort_matches_max=5))
    for n in range(6):
        entry = an_observation(n % 2, None, "final", None)
        await stored(store, Key("Observation", str(n)), a_change(entry=entry), fresh=True)
    by_status = (SortKey("parameter", "status"),)
    with pytest.raises(TooCostly, match="More than 5 resources match"):
        await everything(store, Everything(), by_status)
    assert len(await everything(store, token("Observation|code|1"), by_status)) == 3


async def test_a_page_ends_early_rather_than_weigh_too_much(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(page_bytes_max=2_000))
    entry = an_observation(1, "p1", "final", 1)
    for n in range(9):
        await stored(store, Key("Observation", str(n)), a_change("x" * 900, entry=entry), fresh=True)
    for order in ORDERS:
        found = [page async for page in pages(store, Everything(), order, count=8)]
        assert sorted(v.key.id for page in found for v in page.versions) == [str(n) for n in range(9)]
        if order[0].kind != "parameter":
            assert all(len(page.versions) <= 3 for page in found)
        page, back = found[-1], list(found[-1].versions)
        while page.previous is not None:
            page = await store.page(
                Everything(), types=OBSERVATION, order=order, after=page.previous, count=8, tokens=True
            )
            back = [*page.versions, *back]
        assert back == [version for page in found for version in page.versions]


async def test_a_query_that_takes_too_long_is_too_costly(
    open_store: OpenStore, client: AsyncMongoClient[Document]
) -> None:
    store = await open_store(StoreLimits(search_seconds_max=0.001))
    many = [{"_id": f"Observation/{n}", "tok": ["Observation", str(n)]} for n in range(20_000)]
    await client[DATABASE]["resources"].insert_many(many)
    with pytest.raises(TooCostly, match="longer than this server allows"):
        await store.count(none_of(token("x")), types=OBSERVATION)
