"""Groups: nobody waits for a timer, nobody is forgotten, nobody harms another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.errors import NotFound
from fhir_server.store.grouping import Group


class Doubling:
    """Doubles each item of a group after some turns of the event loop; notes what it was given."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.groups: list[list[int]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, items: list[int]) -> Sequence[int | BaseException]:
        self.groups.append(items)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        self.running -= 1
        return [NotFound("odd") if item % 7 == 3 else 2 * item for item in items]


@settings(max_examples=60, deadline=None)
@given(
    waits=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    gone=st.sets(st.integers(0, 39)),
    size_max=st.integers(1, 10),
    groups_max=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
async def test_each_item_is_done_once_whoever_goes_away(
    waits: list[int], gone: set[int], size_max: int, groups_max: int, seed: int
) -> None:
    doubling = Doubling(seed)
    group = Group(doubling, size_max=size_max, groups_max=groups_max)

    async def call(item: int, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await group.submit(item)

    tasks = [asyncio.create_task(call(item, turns)) for item, turns in enumerate(waits)]
    for _ in range(7):
        await asyncio.sleep(0)
    for item in gone & set(range(len(tasks))):
        tasks[item].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await group.drained()
    for item, outcome in enumerate(outcomes):
        if isinstance(outcome, asyncio.CancelledError):
            assert item in gone
        elif item % 7 == 3:
            assert isinstance(outcome, NotFound)
        else:
            assert outcome == 2 * item
    assert sorted(item for items in doubling.groups for item in items) == list(range(len(waits)))
    assert all(0 < len(items) <= size_max for items in doubling.groups)
    assert doubling.most_running <= groups_max


async def test_what_arrives_in_one_turn_goes_together_and_a_lone_item_at_once() -> None:
    doubling = Doubling(1)
    group = Group(doubling, size_max=100, groups_max=1)
    assert await asyncio.gather(*(group.submit(item) for item in (1, 2, 4))) == [2, 4, 8]
    assert await group.submit(5) == 10
    assert doubling.groups == [[1, 2, 4], [5]]


async def test_while_a_group_is_under_way_arrivals_collect() -> None:
    gate = asyncio.Event()
    groups: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        groups.append(items)
        await gate.wait()
        return items

    group: Group[int, int] = Group(flush, size_max=100, groups_max=1)
    futures = [group.submit(0)]
    for item in range(1, 6):
        await asyncio.sleep(0)
        futures.append(group.submit(item))
    gate.set()
    assert await asyncio.gather(*futures) == list(range(6))
    assert groups == [[0], [1, 2, 3, 4, 5]]


async def test_a_flush_that_breaks_tells_all_its_callers_and_the_next_one_works() -> None:
    async def flush(items: list[int]) -> list[int]:
        if 0 in items:
            raise ZeroDivisionError
        return items

    group: Group[int, int] = Group(flush, size_max=100, groups_max=1)
    broken = await asyncio.gather(group.submit(0), group.submit(1), return_exceptions=True)
    assert [type(outcome) for outcome in broken] == [ZeroDivisionError, ZeroDivisionError]
    assert await group.submit(2) == 2


async def test_a_flush_that_is_cancelled_cancels_its_callers() -> None:
    async def flush(items: list[int]) -> list[int]:
        raise asyncio.CancelledError

    group: Group[int, int] = Group(flush, size_max=100, groups_max=1)
    with pytest.raises(asyncio.CancelledError):
        await group.submit(0)
