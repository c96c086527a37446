"""Opening: what cannot be served from is refused, what is missing is made once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest
from pymongo import AsyncMongoClient

from fhir_server.r4.errors import Unavailable
from fhir_server.r4.resource import Key
from fhir_server.store import database
from fhir_server.store.database import SCHEMA_VERSION, Unsuitable
from fhir_server.store.documents import Document
from fhir_server.store.embedded.binary import mongod
from fhir_server.store.limits import StoreLimits
from fhir_server.store.sessions import release_orphans
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, stored

QUICK = StoreLimits(operation_seconds_max=1.0, commit_seconds_max=1.0)


async def opened(url: str, name: str = "test", limits: StoreLimits | None = None) -> Store:
    return await Store.open(url, clock=Clock(), random=Random(1), name=name, limits=limits)


async def test_processes_that_start_together_make_the_indexes_once(
    client: AsyncMongoClient[Document], mongodb_url: str, new_database_name: str
) -> None:
    stores = await asyncio.gather(*(opened(mongodb_url, new_database_name) for _ in range(4)))
    await asyncio.gather(*(stored(s, Key("Patient", str(n)), a_change()) for n, s in enumerate(stores)))
    made = client[new_database_name]
    indexes = await made["resources"].index_information()
    assert len(indexes) == 12
    schema = await made["state"].find_one({"_id": "schema"})
    assert schema is not None
    assert schema["version"] == SCHEMA_VERSION
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_newer_schema_is_refused(
    client: AsyncMongoClient[Document], mongodb_url: str, new_database_name: str
) -> None:
    await client[new_database_name]["state"].insert_one({"_id": "schema", "version": SCHEMA_VERSION + 1})
    with pytest.raises(Unsuitable, match=f"schema version {SCHEMA_VERSION + 1}"):
        await opened(mongodb_url, new_database_name)


async def test_a_lock_of_a_process_that_died_lapses(
    client: AsyncMongoClient[Document], mongodb_url: str, new_database_name: str
) -> None:
    lapse = [{"$set": {"owner": "dead", "until": {"$add": ["$$NOW", 300]}}}]
    await client[new_database_name]["state"].update_one({"_id": "lock"}, lapse, upsert=True)
    store = await opened(mongodb_url, new_database_name)
    assert (await store.epoch()).consents == 0
    await store.close()


async def test_a_lock_is_held_for_as_long_as_the_work_takes(
    client: AsyncMongoClient[Document], new_database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.4)
    monkeypatch.setattr(database, "LOCK_RENEWED_SECONDS", 0.1)
    state = client[new_database_name]["state"]
    inside: list[str] = []

    async def work(owner: str) -> None:
        async with database._locked(state, owner):
            inside.append(owner)
            await asyncio.sleep(1)
            inside.append(owner)

    await asyncio.gather(work("a"), work("b"))
    assert inside in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


async def test_a_standalone_mongod_is_refused_with_the_reason(short_folder: Path) -> None:
    folder = short_folder / "alone"
    folder.mkdir()
    socket = folder / "m.sock"
    options = ("--dbpath", folder, "--bind_ip", socket, "--wiredTigerCacheSizeGB", "0.25")
    process = await asyncio.create_subprocess_exec(mongod(), *options, stdout=asyncio.subprocess.DEVNULL)
    try:
        with pytest.raises(Unsuitable, match="standalone"):
            await opened(f"mongodb://{str(socket).replace('/', '%2F')}/")
    finally:
        process.kill()
        await process.wait()


async def test_an_address_that_cannot_be_read_is_refused_and_an_absent_server_is_unavailable() -> None:
    with pytest.raises(Unsuitable, match="cannot be read"):
        await opened("postgresql://localhost/")
    with pytest.raises(Unavailable):
        await opened("mongodb://%2Fnowhere%2Fmongod.sock/", limits=QUICK)


async def test_small_documents_are_shared_and_inserted_by_one_alone(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    state = stores[0].state
    assert await state.get("settings", "base-url") is None
    await state.put("settings", "base-url", {"value": "http://a/$x"})
    await state.put("settings", "base-url", {"value": "http://b"})
    assert await stores[1].state.get("settings", "base-url") == {"value": "http://b"}
    offered = [{"key": bytes([n])} for n in range(8)]
    there = await asyncio.gather(
        *(stores[n % 2].state.insert("key", "one", value) for n, value in enumerate(offered))
    )
    assert there[0] in offered
    assert all(value == there[0] for value in there)
    await state.insert("key", "two", {"key": b"2"})
    assert await state.all("key") == {"one": there[0], "two": {"key": b"2"}}


async def test_the_open_transactions_of_a_process_that_died_are_ended(
    mongodb_url: str, open_store: OpenStore
) -> None:
    store = await open_store()
    key = Key("Patient", "1")
    await stored(store, key, a_change(type="Patient"))
    async with AsyncMongoClient[Document](mongodb_url, appname="dead") as dead:
        session = dead.start_session()
        await session.start_transaction()
        resources = dead[DATABASE]["resources"]
        await resources.update_one({"_id": "Patient/1"}, {"$set": {"held": True}}, session=session)
        assert await store.release_sessions("someone else") == 0
        assert await store.release_sessions("dead") == 1
        assert (await stored(store, key, a_change("free", type="Patient"))).number == 2
        await session.end_session()


HOLDS = """
import asyncio, os, sys
from pymongo import AsyncMongoClient

async def main(url, app_name, database):
    client = AsyncMongoClient(url, appname=app_name)
    session = client.start_session()
    await session.start_transaction()
    resources = client[database]["resources"]
    await resources.update_one({"_id": "Patient/1"}, {"$set": {"held": True}}, session=session)
    os._exit(9)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_server_that_starts_ends_what_those_that_are_gone_left(
    mongodb_url: str, open_store: OpenStore
) -> None:
    store = await open_store()
    keys = [Key("Patient", str(n)) for n in range(3)]
    for key in keys:
        await stored(store, key, a_change(type="Patient"))
    gone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDS, mongodb_url, "orphans-gone", DATABASE)
    )
    assert await gone.wait() == 9
    async with AsyncMongoClient[Document](mongodb_url, appname="orphans-living") as living:
        session = living.start_session()
        await session.start_transaction()
        resources = living[DATABASE]["resources"]
        await resources.update_one({"_id": "Patient/2"}, {"$set": {"held": True}}, session=session)
        assert await release_orphans(store._database, "orphans-") == 1
        assert (await stored(store, keys[1], a_change("free", type="Patient"))).number == 2
        await session.commit_transaction()
        await session.end_session()
