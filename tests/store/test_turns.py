"""Turns: one writer per key, first come first served, no two waiting for each other."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.store.turns import Turns

key_sets = st.lists(st.sets(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(wanted=key_sets, gone=st.sets(st.integers(0, 11)))
async def test_holders_of_a_key_follow_each_other_in_the_order_they_came(
    wanted: list[set[str]], gone: set[int]
) -> None:
    turns = Turns()
    holding: dict[str, int] = {}
    served: dict[str, list[int]] = {key: [] for key in "abcd"}

    async def hold(index: int, keys: list[str]) -> None:
        turn = await turns.take(keys)
        for key in keys:
            assert key not in holding
            holding[key] = index
            served[key].append(index)
        await asyncio.sleep(0)
        for key in keys:
            del holding[key]
        turns.give_back(turn)

    tasks = [asyncio.create_task(hold(index, sorted(keys))) for index, keys in enumerate(wanted)]
    await asyncio.sleep(0)
    for index in gone & set(range(len(tasks))):
        if not holding or index not in holding.values():
            tasks[index].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = {index for index, outcome in enumerate(done) if outcome is not None}
    for key, order in served.items():
        assert order == sorted(order)
        assert {i for i, keys in enumerate(wanted) if key in keys} - cancelled <= set(order)
    assert turns._queues == {}
