"""The watermark is never past what is still to be committed, and past everything else at once."""

from __future__ import annotations

import asyncio

from pymongo import AsyncMongoClient

from fhir_server.r4.resource import Key
from fhir_server.search.asking.results import SortKey
from fhir_server.search.predicates.predicate import Everything
from fhir_server.store.documents import Document, milliseconds
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE, OpenStore
from tests.store.versions import Clock, a_change, stored


async def _cut_off(store: Store) -> None:
    """It publishes nothing any more."""
    while not store._leases[1].done():
        store._leases[1].cancel()
        await asyncio.sleep(0.01)


async def test_what_is_committed_is_behind_it_at_once(open_store: OpenStore, clock: Clock) -> None:
    store = await open_store()
    for n in range(3):
        version = await stored(store, Key("Patient", str(n)), a_change(type="Patient"))
        clock.advance(milliseconds=1)
        assert await store.watermark() > milliseconds(version.last_updated)


async def test_a_transaction_that_is_open_holds_it_in_all_processes(
    open_store: OpenStore, clock: Clock
) -> None:
    one, other = await open_store(), await open_store()
    async with one._watermark.writing() as stamp:
        taken = milliseconds(stamp.taken())
        clock.advance(seconds=5)
        for store in (one, other):
            assert await store.watermark() <= taken
        await asyncio.sleep(0.1)
        # Others go on meanwhile, and are not shown.
        late = await stored(other, Key("Patient", "late"), a_change(type="Patient"))
        for store in (one, other):
            assert await store.watermark() <= taken < milliseconds(late.last_updated)
    clock.advance(milliseconds=5)
    assert await one._watermark.is_past(milliseconds(late.last_updated), seconds=5)
    assert await other._watermark.is_past(milliseconds(late.last_updated), seconds=5)


async def test_who_rests_stamps_nothing_older_than_what_was_shown(
    open_store: OpenStore, clock: Clock
) -> None:
    """Whatever their clocks say: here that of the second is an hour behind."""
    one = await open_store()
    behind = await open_store()
    behind._watermark._clock = Clock(clock.now.replace(hour=7))
    shown = await one.watermark()
    version = await stored(behind, Key("Patient", "1"), a_change(type="Patient"))
    assert milliseconds(version.last_updated) >= shown


async def test_a_process_that_is_gone_holds_it_for_its_lease(open_store: OpenStore, clock: Clock) -> None:
    one = await open_store()
    gone = await open_store(StoreLimits(writer_lease_seconds=0.3))
    async with gone._watermark.writing() as stamp:
        taken = milliseconds(stamp.taken())
        await _cut_off(gone)
        clock.advance(seconds=1)
        assert await one.watermark() <= taken
        await asyncio.sleep(0.4)
        assert await one.watermark() > taken


async def test_it_is_forgotten_when_its_transactions_are_ended(open_store: OpenStore, clock: Clock) -> None:
    one = await open_store()
    gone = await open_store(app_name="gone")
    async with gone._watermark.writing() as stamp:
        taken = milliseconds(stamp.taken())
        await _cut_off(gone)
        clock.advance(seconds=1)
        assert await one.watermark() <= taken
        await one.release_sessions("gone")
        assert await one.watermark() > taken


async def test_a_commit_of_which_nothing_is_known_holds_it(open_store: OpenStore, clock: Clock) -> None:
    one = await open_store()
    async with one._watermark.writing() as stamp:
        taken = milliseconds(stamp.taken())
        stamp.is_committing = True
    clock.advance(seconds=1)
    assert await one.watermark() <= taken


async def test_it_leaves_nothing_behind(open_store: OpenStore, client: AsyncMongoClient[Document]) -> None:
    store = await open_store()
    await stored(store, Key("Patient", "1"), a_change(type="Patient"))
    await store.close()
    assert await client[DATABASE]["writers"].count_documents({}) == 0


async def test_a_first_page_is_of_a_time_at_which_nothing_was_being_written(
    open_store: OpenStore, clock: Clock
) -> None:
    """An update that commits as the first page is read comes once, on whichever page."""
    one, other = await open_store(), await open_store()
    for n in range(8):
        clock.advance(milliseconds=1)
        await stored(one, Key("Observation", str(n)), a_change())
    await asyncio.sleep(0.1)
    clock.advance(milliseconds=1)

    async def updated() -> None:
        # Stamped before the page is asked for, committed a while after.
        async with other._watermark.writing() as stamp:
            stamp.taken()
            started.set()
            await asyncio.sleep(0.1)
            await stored(other, Key("Observation", "6"), a_change("moved"))

    started = asyncio.Event()
    updating = asyncio.create_task(updated())
    await started.wait()
    clock.advance(milliseconds=1)
    page = await one.page(
        Everything(),
        types=frozenset({"Observation"}),
        order=(SortKey("updated", descending=True),),
        after=None,
        count=3,
        tokens=False,
    )
    await updating
    met = [version.key.id for version in page.versions]
    while page.next is not None:
        page = await one.page(
            Everything(),
            types=frozenset({"Observation"}),
            order=(SortKey("updated", descending=True),),
            after=page.next,
            count=3,
            tokens=False,
        )
        met += [version.key.id for version in page.versions]
    assert sorted(met) == [str(n) for n in range(8)]
