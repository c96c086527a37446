"""A large text lies beside its version, and nobody who reads it can tell."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.asking.results import SortKey
from fhir_server.search.predicates.predicate import Everything, of_types
from fhir_server.search.predicates.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, deleted, stored

TYPES = frozenset({"Observation"})
ORDERS = [SortKey("sequence"), SortKey("updated", descending=True), SortKey("parameter", "_id")]


@pytest_asyncio.fixture(loop_scope="session", params=[100_000, 400], ids=["one part", "parts"])
async def made(
    request: pytest.FixtureRequest, open_store: OpenStore, clock: Clock
) -> tuple[Store, list[Version]]:
    """Small and large versions in turn, of three resources; the last one is deleted."""
    store = await open_store(StoreLimits(inline_bytes_max=500, body_part_bytes_max=request.param))
    versions = []
    for n in range(9):
        clock.advance(milliseconds=1)
        key = Key("Observation", str(n % 3))
        versions.append(await stored(store, key, a_change("x" * (n % 2 * 1_000))))
    clock.advance(milliseconds=1)
    versions.append(await deleted(store, Key("Observation", "2")))
    return store, versions


async def test_a_large_text_is_a_document_of_its_own_and_stays_where_it_is(
    made: tuple[Store, list[Version]], client: AsyncMongoClient[Document]
) -> None:
    database = client[DATABASE]
    assert await database["bodies"].count_documents({"_id": {"$not": {"$regex": "/.*/.*/"}}}) == 4
    async for part in database["bodies"].find():
        assert part["_id"].count("/") == 2 or len(part["body"]) <= 400
    for name in ("resources", "history"):
        async for fields in database[name].find({"ty": "Observation"}):
            assert len(fields.get("body", b"")) <= 500
            assert ("size" in fields) == (len(fields.get("body", b"")) == 0 and "was" not in fields)


async def test_reads_give_the_text_whole(made: tuple[Store, list[Version]]) -> None:
    store, versions = made
    newest = {version.key: version for version in versions}
    for version in versions:
        assert await store.version(version.key, version.number) == version
    read = await asyncio.gather(*(store.current(key, tokens=True) for key in newest for _ in range(3)))
    assert {version.key: version for version, _ in read if version is not None} == newest
    bare, _ = await store.current(versions[7].key, tokens=False)
    assert bare is not None
    assert bare.body == versions[7].body
    assert await store.currents(newest) == newest


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_searches_and_histories_give_the_text_whole(
    made: tuple[Store, list[Version]], order: SortKey
) -> None:
    store, versions = made
    page = await store.page(of_types(TYPES), types=TYPES, order=(order,), after=None, count=10, tokens=True)
    assert sorted(map(repr, page.versions)) == sorted(map(repr, versions[6:8]))
    history = await store.history(
        Everything(), type="Observation", id=None, since=None, at=None, after=None, count=20
    )
    assert list(history.versions) == versions[::-1]


async def test_a_judge_sees_the_text_whole(made: tuple[Store, list[Version]]) -> None:
    store, versions = made
    seen: list[Version | None] = []

    def judge(current: Version | None, now: datetime) -> None:
        seen.append(current)

    await stored(store, versions[7].key, judge)
    assert seen == [versions[7]]


async def test_a_text_beyond_16_mb_is_kept_whole_and_moved_by_nobody(
    store: Store, client: AsyncMongoClient[Document]
) -> None:
    key = Key("DocumentReference", "1")
    first = await stored(store, key, a_change("x" * 20_000_000, type="DocumentReference"))
    second = await stored(store, key, a_change("y" * 20_000_001, type="DocumentReference"))
    assert await store.version(key, 1) == first
    assert await store.version(key, 2) == second
    sizes = [len(part["body"]) async for part in client[DATABASE]["bodies"].find(sort=[("_id", 1)])]
    assert sizes[:6] == [4_000_000] * 5 + [len(first.body or b"") - 20_000_000]
    assert len(sizes) == 12


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_a_page_ends_before_it_weighs_too_much(open_store: OpenStore, order: SortKey) -> None:
    store = await open_store(StoreLimits(inline_bytes_max=100, page_bytes_max=2_500))
    made = [await stored(store, Key("Observation", str(n)), a_change("x" * 1_000)) for n in range(7)]
    await stored(store, Key("Observation", "7"), a_change("x" * 9_000))
    found: list[list[Version]] = []
    after = None
    while True:
        page = await store.page(
            of_types(TYPES), types=TYPES, order=(order,), after=after, count=5, tokens=False
        )
        found.append(list(page.versions))
        # While the pages are turned, what is still to come changes, and weighs as much as it does now.
        await stored(store, Key("Observation", "5"), a_change("z" * (1_000 + len(found))))
        after = page.next
        if after is None:
            break
    assert sorted(len(page) for page in found) == [1, 1, 2, 2, 2]
    assert {version.key for page in found for version in page} == {
        *(version.key for version in made),
        Key("Observation", "7"),
    }


async def test_what_is_read_together_has_a_limit_and_what_is_judged_needs_no_text(
    open_store: OpenStore,
) -> None:
    store = await open_store(StoreLimits(inline_bytes_max=100, page_bytes_max=2_500))
    made = [await stored(store, Key("Observation", str(n)), a_change("x" * 1_000)) for n in range(3)]
    await deleted(store, made[0].key)
    keys = [version.key for version in made]
    assert len(await store.currents(keys)) == 3
    await stored(store, made[1].key, a_change("x" * 2_000))
    with pytest.raises(TooCostly, match="2500 bytes"):
        await store.currents(keys)
    judged = await store.currents(keys, text=False)
    assert [judged[key].body for key in keys] == [None, b"", b""]


async def test_history_pages_end_before_they_weigh_too_much(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(inline_bytes_max=100, page_bytes_max=2_500))
    key = Key("Observation", "1")
    made = [await stored(store, key, a_change(f"{n}" * 1_000)) for n in range(5)]
    found: list[Version] = []
    after = None
    while True:
        page = await store.history(
            Everything(), type=key.type, id=key.id, since=None, at=None, after=after, count=4
        )
        assert 1 <= len(page.versions) <= 2
        found += page.versions
        after = page.next
        if after is None:
            break
    assert found == made[::-1]
