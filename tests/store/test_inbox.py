"""The inbox keeps each message once, and what was decided about it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fhir_server.r4.errors import TooLarge
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.versions import MORNING

RAW = b"MSH|^~\\&|\x00\xff\r"


async def test_a_message_is_kept_as_it_came_and_waits(store: Store) -> None:
    kept = await store.inbox.keep("A|B|1", RAW, {"control_id": "1"}, MORNING)
    assert (kept.status, kept.answer, kept.fresh, kept.raw) == ("received", None, True, RAW)
    again = await store.inbox.keep("A|B|1", b"another", {"control_id": "2"}, MORNING)
    assert (again.id, again.fresh, again.raw, again.facts) == (kept.id, False, RAW, {"control_id": "1"})
    assert await store.inbox.unsettled(10) == [again]
    assert await store.inbox.find(kept.id) == again
    assert await store.inbox.find("nobody") is None


async def test_of_many_who_keep_one_message_at_once_one_is_first(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    kept = await asyncio.gather(*(stores[n % 2].inbox.keep("A", RAW, {}, MORNING) for n in range(20)))
    assert sum(one.fresh for one in kept) == 1
    assert len({one.id for one in kept}) == 1


async def test_a_decision_is_kept_with_its_answer_and_its_facts(store: Store) -> None:
    kept = await store.inbox.keep("A", RAW, {"control_id": "1", "a.b": "$x"}, MORNING)
    await store.inbox.settle(kept.id, "refused", b"AE", {"$fault": "$status", "control_id": "2"}, MORNING)
    [settled] = [await store.inbox.keep("A", RAW, {}, MORNING)]
    assert (settled.status, settled.answer) == ("refused", b"AE")
    assert settled.facts == {"control_id": "2", "a.b": "$x", "$fault": "$status"}
    assert await store.inbox.unsettled(10) == []


async def test_what_was_refused_can_be_judged_anew_and_what_was_stored_stays(store: Store) -> None:
    kept = await store.inbox.keep("A", RAW, {}, MORNING)
    await store.inbox.settle(kept.id, "refused", b"AE", {}, MORNING)
    await store.inbox.reopen(kept.id)
    [open_again] = await store.inbox.unsettled(10)
    assert (open_again.status, open_again.answer) == ("received", None)
    await store.inbox.settle(kept.id, "stored", b"AA", {}, MORNING)
    await store.inbox.reopen(kept.id)
    await store.inbox.settle(kept.id, "refused", b"AE", {}, MORNING)
    stored = await store.inbox.find(kept.id)
    assert stored is not None
    assert (stored.status, stored.answer) == ("stored", b"AA")


async def test_one_who_was_told_to_send_again_is_not_taken_up_by_itself(store: Store) -> None:
    kept = await store.inbox.keep("A", RAW, {}, MORNING)
    await store.inbox.settle(kept.id, "received", b"AE", {}, MORNING)
    assert await store.inbox.unsettled(10) == []


async def test_the_oldest_unsettled_come_first(store: Store) -> None:
    for n in (3, 1, 2):
        await store.inbox.keep(str(n), b"%d" % n, {}, MORNING + timedelta(seconds=n))
    assert [kept.raw for kept in await store.inbox.unsettled(2)] == [b"1", b"2"]


async def test_a_message_beyond_a_document_is_refused(open_store: OpenStore) -> None:
    store = await open_store(StoreLimits(document_bytes_max=100))
    with pytest.raises(TooLarge):
        await store.inbox.keep("A", b"x" * 101, {}, MORNING)
