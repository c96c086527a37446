"""A large text lies beside its version, and nobody who reads it can tell."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.r4.resource import Key
from fhir_server.search.predicate import Everything, of_types
from fhir_server.search.results import SortKey
from fhir_server.search.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, deleted, stored

TYPES = frozenset({"Observation"})
ORDERS = [SortKey("sequence"), SortKey("updated", descending=True), SortKey("parameter", "_id")]


@pytest_asyncio.fixture(loop_scope="session")
async def made(open_store: OpenStore, clock: Clock) -> tuple[Store, list[Version]]:
    """Small and large versions in turn, of three resources; the last one is deleted."""
    store = await open_store(StoreLimits(inline_bytes_max=500))
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
    assert await database["bodies"].count_documents({}) == 4
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
