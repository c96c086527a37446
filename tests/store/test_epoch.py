"""The epoch moves with Consents and with nothing else, and what changed after it is known exactly."""

from __future__ import annotations

import asyncio

from fhir_server.r4.resource import Key
from fhir_server.store.epoch import Epoch
from fhir_server.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.versions import a_change, a_unit, deleted, put, stored

CONSENTS = [Key("Consent", str(n)) for n in range(4)]


async def test_the_epoch_moves_with_each_change_to_a_consent_and_comes_with_each_read(store: Store) -> None:
    assert (await store.epoch()).consents == 0
    await stored(store, Key("Observation", "1"), a_change())
    assert (await store.epoch()).consents == 0
    await stored(store, CONSENTS[0], a_change(type="Consent"))
    assert (await store.epoch()).consents == 1
    assert (await store.current(Key("Observation", "1"), tokens=False))[1].consents == 1
    assert (await store.current(Key("Observation", "nobody"), tokens=True)) == (None, Epoch(1))


async def test_a_consent_that_was_judged_unchanged_moves_nothing(store: Store) -> None:
    await stored(store, CONSENTS[0], a_change(type="Consent"))
    await store.commit(a_unit(put(CONSENTS[0], lambda _current, _now: None)))
    assert (await store.epoch()).consents == 1


async def test_exactly_the_consents_changed_after_an_epoch_are_given_as_they_are_now(store: Store) -> None:
    for key in CONSENTS:
        await stored(store, key, a_change(type="Consent"))
    seen = (await store.epoch()).consents
    assert await store.consents_changed_after(seen) == []
    gone = await deleted(store, CONSENTS[2])
    newer = await stored(store, CONSENTS[0], a_change("newer", type="Consent"))
    assert await store.consents_changed_after(seen) == [gone, newer]
    assert await store.consents_changed_after(seen + 1) == [newer]
    assert len(await store.consents_changed_after(0)) == 4


async def test_no_change_is_missed_by_one_who_follows_the_epoch_while_two_processes_write(
    open_store: OpenStore,
) -> None:
    stores = [await open_store(), await open_store()]
    known: dict[Key, int] = {}
    done = asyncio.Event()

    async def follow() -> None:
        seen = 0
        while True:
            ending = done.is_set()
            epoch = (await stores[0].epoch()).consents
            for version in await stores[0].consents_changed_after(seen):
                known[version.key] = version.number
            seen = epoch
            if ending:
                return

    async def write(store: Store, text: str) -> None:
        for n in range(15):
            await stored(store, CONSENTS[n % 4], a_change(f"{text}{n}", type="Consent"))

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(store, str(n)) for n, store in enumerate(stores)))
    done.set()
    await following
    for key in CONSENTS:
        newest, _ = await stores[0].current(key, tokens=False)
        assert newest is not None
        assert known[key] == newest.number
    assert sum(known.values()) == 30
