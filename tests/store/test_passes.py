"""Passes over a type: by one process at a time, of what is there, with nothing overwritten."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect

from fhir_server.r4.errors import Unavailable
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.store.documents import EPOCH, Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.passes import LEASE, Found, LeaseLost, Pass, rewritten
from fhir_server.store.store import Store
from fhir_server.store.unit import Moved, Unit
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import a_change, a_record, an_entry, deleted, put, stored

ONE, TWO, THREE = (Key("Patient", id) for id in "abc")


async def begun(store: Store, type: str = "Patient") -> Pass:
    """A pass that this process makes."""
    await store.ask_for_passes([type])
    assert await store.passes.is_ours()
    return await store.passes.begun((await store.passes.all())[type])


def with_token(found: Found, *tokens: str) -> Entry:
    entry = found.version.entry
    return msgspec.structs.replace(entry, tokens=(*entry.tokens, *tokens))


async def test_a_pass_sees_each_living_resource_of_its_type_once_and_in_order(store: Store) -> None:
    for key in (TWO, ONE, THREE, Key("Observation", "z")):
        await stored(store, key, a_change(type=key.type))
    await deleted(store, TWO)
    one = await begun(store)
    assert one.total == 2
    seen: list[str] = []
    while found := await store.passes.some(one, 1):
        seen += [str(each.version.key) for each in found]
        one = await store.passes.stepped(one, found, [], 0)
    await store.passes.ended(one)
    assert seen == ["Patient/a", "Patient/c"]
    ended = (await store.passes.all())["Patient"]
    assert (ended.is_wanted, ended.done, ended.total) == (False, 2, 2)


async def test_an_entry_is_written_over_the_version_it_was_made_of_alone(store: Store) -> None:
    await stored(store, ONE, a_change(type="Patient"))
    await stored(store, TWO, a_change(type="Patient"))
    one = await begun(store)
    found = await store.passes.some(one, 10)
    await stored(store, ONE, a_change("newer", type="Patient"))
    changes = [change for each in found if (change := rewritten(each, with_token(each, "x"), StoreLimits()))]
    one = await store.passes.stepped(one, found, changes, 0)
    first, _ = await store.current(ONE, tokens=True)
    second, _ = await store.current(TWO, tokens=True)
    assert first is not None
    assert second is not None
    assert (first.number, "x" in first.entry.tokens) == (2, False)
    assert (second.number, "x" in second.entry.tokens) == (1, True)
    assert second.last_updated == found[1].version.last_updated


async def test_what_has_the_entry_it_should_have_is_not_written(store: Store) -> None:
    await stored(store, ONE, a_change(type="Patient"))
    [found] = await store.passes.some(await begun(store), 10)
    assert rewritten(found, found.version.entry, StoreLimits()) is None


async def test_whose_a_resource_is_stays_as_it_is(store: Store) -> None:
    await stored(store, ONE, a_change(type="Patient"))
    [found] = await store.passes.some(await begun(store), 10)
    entry = msgspec.structs.replace(found.version.entry, patients=("somebody", "else"))
    assert rewritten(found, entry, StoreLimits()) is None


async def test_who_slept_over_the_lease_writes_nothing_and_the_other_goes_on(
    open_store: OpenStore, client: AsyncMongoClient[Document]
) -> None:
    sleeper, other = await open_store(), await open_store()
    for key in (ONE, TWO, THREE):
        await stored(sleeper, key, a_change(type="Patient"))
    one = await begun(sleeper)
    assert not await other.passes.is_ours()
    found = await sleeper.passes.some(one, 1)
    one = await sleeper.passes.stepped(one, found, [], 0)
    next_found = await sleeper.passes.some(one, 1)
    change = rewritten(next_found[0], with_token(next_found[0], "x"), StoreLimits())
    assert change is not None
    await client[DATABASE]["state"].update_one({"_id": LEASE}, {"$set": {"value.until": EPOCH}})
    assert await other.passes.is_ours()
    with pytest.raises(LeaseLost):
        await sleeper.passes.stepped(one, next_found, [change], 0)
    version, _ = await other.current(TWO, tokens=True)
    assert version is not None
    assert "x" not in version.entry.tokens
    taken_over = await other.passes.begun((await other.passes.all())["Patient"])
    assert (taken_over.position, taken_over.done) == ("a", 1)
    left = await other.passes.some(taken_over, 9)
    assert [str(each.version.key) for each in left] == ["Patient/b", "Patient/c"]


async def test_a_pass_begins_when_the_transactions_that_were_open_have_ended(
    store: Store, client: AsyncMongoClient[Document]
) -> None:
    await store.ask_for_passes(["Patient"])
    assert await store.passes.is_ours()
    wanted = (await store.passes.all())["Patient"]
    async with client.start_session() as session:
        await session.start_transaction()
        await client[DATABASE]["resources"].find_one({"_id": "Patient/none"}, session=session)
        beginning = asyncio.create_task(store.passes.begun(wanted))
        await asyncio.sleep(0.4)
        assert not beginning.done()
        await session.commit_transaction()
    one = await asyncio.wait_for(beginning, 10)
    assert one.begun == 1


async def test_a_database_that_is_away_as_a_pass_begins_is_a_refusal_like_any(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.ask_for_passes(["Patient"])
    assert await store.passes.is_ours()
    wanted = (await store.passes.all())["Patient"]

    async def away(*_asked: object) -> None:
        raise AutoReconnect("away")

    with monkeypatch.context() as broken:
        broken.setattr(AsyncDatabase, "aggregate", away)
        with pytest.raises(Unavailable):
            await store.passes.begun(wanted)
    assert (await store.passes.begun(wanted)).begun == 1


async def test_what_has_no_room_in_its_document_is_set_aside_anew(open_store: OpenStore) -> None:
    limits = StoreLimits(entry_tokens_inline_max=10, name_tokens_inline_max=4)
    store = await open_store(limits)
    key = Key("Group", "g")
    members = tuple(f"Group|member|Patient/{number}" for number in range(20))
    await stored(store, key, a_change(entry=an_entry("Group", *members)))
    one = await begun(store, "Group")
    found = await store.passes.some(one, 10)
    assert set(members) <= set(found[0].version.entry.tokens)
    more = with_token(found[0], *(f"Group|mine|{number}" for number in range(20)))
    change = rewritten(found[0], more, limits)
    assert change is not None
    one = await store.passes.stepped(one, found, [change], 0)
    version, _ = await store.current(key, tokens=True)
    assert version is not None
    assert set(version.entry.tokens) == set(more.tokens)
    [found_again] = await store.passes.some(msgspec.structs.replace(one, position=""), 10)
    assert rewritten(found_again, more, limits) is None
    fewer = msgspec.structs.replace(more, tokens=("Group", "Group|mine|1"))
    change = rewritten(found_again, fewer, limits)
    assert change is not None
    await store.passes.stepped(one, [found_again], [change], 0)
    version, _ = await store.current(key, tokens=True)
    assert version is not None
    assert set(version.entry.tokens) == set(fewer.tokens)


async def test_what_a_superseded_version_set_aside_stays_its_own(open_store: OpenStore) -> None:
    limits = StoreLimits(entry_tokens_inline_max=10, name_tokens_inline_max=4)
    store = await open_store(limits)
    patients = [str(number) for number in range(20)]
    entry = an_entry("Group", *(f"Group|member|Patient/{id}" for id in patients), patients=patients)
    groups = [Key("Group", id) for id in ("changed", "deleted")]
    for key in groups:
        await stored(store, key, a_change(entry=entry))
    one = await begun(store, "Group")
    found = await store.passes.some(one, 10)
    await stored(store, groups[0], a_change(entry=an_entry("Group")))
    await deleted(store, groups[1])
    fewer = msgspec.structs.replace(entry, tokens=("Group",))
    changes = [change for each in found if (change := rewritten(each, fewer, limits))]
    assert len(changes) == 2
    await store.passes.stepped(one, found, changes, 0)
    for key in groups:
        before = await store.version(key, 1)
        assert before is not None
        assert set(before.entry.tokens) == set(entry.tokens)
        assert set(before.entry.patients) == set(patients)
    tombstone, _ = await store.current(groups[1], tokens=True)
    assert tombstone is not None
    assert set(tombstone.entry.patients) == set(patients)


async def test_words_that_have_no_room_in_their_document_stay_aside(open_store: OpenStore) -> None:
    limits = StoreLimits(entry_words_inline_max=2)
    store = await open_store(limits)
    words = tuple(f"Patient|_text|{word}" for word in ("one", "two", "three"))
    entry = msgspec.structs.replace(an_entry("Patient"), words=words)
    await stored(store, ONE, a_change(entry=entry))
    one = await begun(store)
    [found] = await store.passes.some(one, 10)
    assert rewritten(found, entry, limits) is None
    more = msgspec.structs.replace(entry, words=(*words, "Patient|_text|four"))
    change = rewritten(found, more, limits)
    assert change is not None
    await store.passes.stepped(one, [found], [change], 0)
    version, _ = await store.current(ONE, tokens=True)
    assert version is not None
    assert set(version.entry.words) == set(more.words)


@pytest.mark.parametrize("fresh", [True, False])
async def test_what_was_indexed_by_older_search_parameters_is_given_back_and_its_neighbours_are_not(
    store: Store, client: AsyncMongoClient[Document], fresh: bool
) -> None:
    epoch = {"_id": "~epoch"}
    await client[DATABASE]["resources"].update_one(epoch, {"$inc": {"p": 1, "i": 1}}, upsert=True)

    def unit(key: Key, indexed: int | None) -> Unit:
        write = put(key, a_change(type="Patient"), fresh=fresh)
        return Unit((write,), lambda versions, _now: [a_record(versions[0].key)], (), indexed)

    old, new, unasked = await asyncio.gather(
        store.commit(unit(ONE, 0)),
        store.commit(unit(TWO, 1)),
        store.commit(unit(THREE, None)),
        return_exceptions=True,
    )
    assert isinstance(old, Moved)
    assert isinstance(new, list)
    assert isinstance(unasked, list)
    assert (await store.current(ONE, tokens=False))[0] is None
    assert (await store.epoch()).indexed == 1
