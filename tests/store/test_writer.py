"""Writes: grouped, atomic, each with its own result."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from fhir_server.r4.errors import Invalid, TooLarge, Unprocessable, VersionConflict
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version
from fhir_server.store.epoch import Epoch
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from fhir_server.store.unit import Change, Judge
from tests.store.conftest import OpenStore
from tests.store.versions import (
    MORNING,
    Clock,
    a_change,
    a_unit,
    an_entry,
    deleted,
    deletion,
    put,
    stored,
)

ONE = Key("Observation", "1")
TWO = Key("Observation", "2")


async def links_of(store: Store) -> int:
    return sum([1 for shard in await store.shards() async for _ in store.links(shard)])


async def test_a_first_version_has_number_one_and_the_time_of_its_commit(store: Store) -> None:
    version = await stored(store, ONE, a_change("first"))
    assert (version.number, version.last_updated) == (1, MORNING)
    assert version.body == (
        b'{"text":"first","meta":{"versionId":"1","lastUpdated":"2026-11-21T08:00:00.000Z"}}'
    )
    assert await store.current(ONE, tokens=True) == (version, Epoch())


async def test_versions_number_without_gaps_and_their_times_only_grow(store: Store, clock: Clock) -> None:
    versions = [await stored(store, ONE, a_change(str(n))) for n in range(3)]
    clock.advance(hours=-1)
    versions.append(await stored(store, ONE, a_change("clock went back")))
    assert [version.number for version in versions] == [1, 2, 3, 4]
    assert [version.last_updated for version in versions] == [
        MORNING + timedelta(milliseconds=n) for n in range(4)
    ]
    assert len({version.sequence for version in versions}) == 1
    for version in versions:
        assert await store.version(ONE, version.number) == version


async def test_a_deletion_is_a_version_without_body_that_keeps_its_entry(store: Store) -> None:
    entry = an_entry("Observation", "Observation|code|1", patients=["p"], date=5)
    before = await stored(store, ONE, a_change(entry=entry))
    gone = await deleted(store, ONE)
    assert (gone.number, gone.body, gone.entry, gone.method) == (2, None, entry, "DELETE")
    assert await store.current(ONE, tokens=True) == (gone, Epoch())
    assert await store.version(ONE, 1) == before
    again = await stored(store, ONE, a_change(entry=entry))
    assert (again.number, again.sequence) == (3, before.sequence)


async def test_a_judge_that_wants_no_change_leaves_the_version_and_still_has_its_record(store: Store) -> None:
    before = await stored(store, ONE, a_change())
    [left] = await store.commit(a_unit(put(ONE, lambda _current, _now: None)))
    assert left == before
    assert await links_of(store) == 2


async def test_one_refusal_refuses_its_whole_unit_and_nothing_of_it_remains(store: Store) -> None:
    def refuse(current: Version | None, now: datetime) -> Change:
        raise Unprocessable("no")

    with pytest.raises(Unprocessable):
        await store.commit(a_unit(put(ONE, a_change(), fresh=True), put(TWO, refuse)))
    assert await store.current(ONE, tokens=False) == (None, Epoch())
    assert await store.current(TWO, tokens=False) == (None, Epoch())
    assert await links_of(store) == 0


async def test_a_refused_unit_and_a_broken_one_do_not_harm_their_neighbours(store: Store) -> None:
    def refuse(current: Version | None, now: datetime) -> Change:
        raise VersionConflict("no")

    def broken(current: Version | None, now: datetime) -> Change:
        raise ZeroDivisionError

    judges: list[Change | Judge] = [a_change(), refuse, a_change(), broken, a_change(), refuse, a_change()]
    outcomes = await asyncio.gather(
        *(stored(store, Key("Observation", str(n)), judge) for n, judge in enumerate(judges)),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Version",
        "VersionConflict",
        "Version",
        "ZeroDivisionError",
        "Version",
        "VersionConflict",
        "Version",
    ]
    assert await links_of(store) == 4


async def test_no_update_is_lost_between_processes_and_numbers_have_no_gaps(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    keys = [Key("Observation", str(n)) for n in range(3)]
    for key in keys:
        await stored(stores[0], key, a_change(""))

    async def add(store: Store, key: Key, mark: str) -> None:
        def judge(current: Version | None, now: datetime) -> Change:
            assert current is not None
            assert current.body is not None
            marks = current.body.split(b'"')[3].decode()
            return a_change(f"{marks}{mark},")

        await stored(store, key, judge)

    await asyncio.gather(
        *(add(stores[n % 2], keys[n % 3], f"{n % 3}.{n}") for n in range(120)),
    )
    for index, key in enumerate(keys):
        newest, _ = await stores[0].current(key, tokens=False)
        assert newest is not None
        assert newest.body is not None
        assert newest.number == 41
        marks = newest.body.split(b'"')[3].decode().rstrip(",").split(",")
        assert Counter(marks) == Counter(f"{index}.{n}" for n in range(index, 120, 3))
        older = [await stores[1].version(key, number) for number in range(1, 41)]
        assert [version.number for version in older if version] == list(range(1, 41))
    assert await links_of(stores[0]) == 123


async def test_two_processes_that_create_the_same_id_make_one_resource_of_two_versions(
    open_store: OpenStore,
) -> None:
    stores = [await open_store(), await open_store()]
    for n in range(10):
        key = Key("Patient", f"p{n}")
        made = await asyncio.gather(*(stored(store, key, a_change(type="Patient")) for store in stores))
        assert sorted(version.number for version in made) == [1, 2]


async def test_a_unit_with_many_writes_commits_alone_and_whole(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(group_unit_writes_max=5, insert_batch_documents_max=7))
    many = [put(Key("Observation", str(n)), a_change(), fresh=True) for n in range(30)]
    small = [stored(store, Key("Patient", str(n)), a_change(type="Patient")) for n in range(5)]
    versions, *others = await asyncio.gather(store.commit(a_unit(*many)), *small)
    assert isinstance(versions, list)
    assert [version.key.id for version in versions] == [str(n) for n in range(30)]
    assert len(others) == 5
    again = await store.commit(a_unit(*(put(version.key, a_change()) for version in versions)))
    assert {version.number for version in again} == {2}


async def test_a_unit_with_many_bytes_finds_that_it_must_go_alone(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(group_unit_bytes_max=2000))
    sizes = [10, 5000, 10, 6000, 10]
    versions = await asyncio.gather(
        *(stored(store, Key("Observation", str(n)), a_change("x" * size)) for n, size in enumerate(sizes))
    )
    assert [len(version.body or b"") > 2000 for version in versions] == [size > 2000 for size in sizes]


async def test_what_cannot_be_stored_is_refused_by_its_size(open_store: OpenStore) -> None:
    store = await open_store(
        StoreLimits(document_bytes_max=5_000, entry_tokens_max=20, transaction_bytes_max=8_000)
    )
    with pytest.raises(TooLarge, match="index has more than 5000 bytes"):
        await stored(store, ONE, a_change(entry=an_entry("Observation", "x" * 3_000, "y" * 3_000)))
    with pytest.raises(TooLarge, match="searchable values"):
        await stored(store, ONE, a_change(entry=an_entry("Observation", *map(str, range(30)))))
    with pytest.raises(TooLarge, match="The writes"):
        await store.commit(a_unit(put(ONE, a_change("x" * 4_500)), put(TWO, a_change("x" * 4_500))))


async def test_a_key_stands_once_in_a_transaction(store: Store) -> None:
    with pytest.raises(Invalid, match="Observation/1 is written twice"):
        await store.commit(a_unit(put(ONE, a_change()), deletion(ONE)))


async def test_a_caller_who_goes_away_harms_nobody_and_the_write_is_done(store: Store) -> None:
    tasks = [asyncio.create_task(stored(store, ONE, a_change(str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in done].count("CancelledError") == 2
    newest, _ = await store.current(ONE, tokens=False)
    assert newest is not None
    assert newest.number in (3, 4)
