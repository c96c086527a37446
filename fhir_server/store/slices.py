"""
Long work on the event loop, in slices: others have a turn between two items.

Whoever serves waits for a slice at each of its own steps, of which a read has about ten. So a slice
is short: what large work loses by it is a few percent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SLICE_SECONDS: Final = 0.002


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """`items`, with a turn for others whenever a slice of time has been spent on them."""
    until = time.perf_counter() + SLICE_SECONDS
    for item in items:
        yield item
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE_SECONDS


async def result_in_slices(steps: Generator[None, None, Result]) -> Result:
    """What `steps` returns in the end, with turns for others between them."""
    until = time.perf_counter() + SLICE_SECONDS
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE_SECONDS
