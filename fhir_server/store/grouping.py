"""
What arrives together is done together: the round trips of many callers become one.

The first arrival schedules a flush for the next turn of the event loop; whatever else arrives in
this turn goes along. While `groups_max` flushes are under way arrivals collect, so groups grow
with the load, and a lone caller never waits for a timer.

Each caller has their own result or refusal. A caller who goes away harms nobody: what they asked
for is still done (a write that was accepted, a record that must be kept), its result is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Flush = Callable[[list[Item]], Awaitable[Sequence[Result | BaseException]]]
"""Does all items; gives for each, in order, its result or what its caller is to be raised."""


class Group(Generic[Item, Result]):
    """Collects items and hands them to `flush`, at most `size_max` at a time."""

    def __init__(self, flush: Flush[Item, Result], *, size_max: int, groups_max: int) -> None:
        self._flush = flush
        self._size_max = size_max
        self._groups_max = groups_max
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The result of `item`, once its group is done. Waiting for it may be cancelled safely."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._scheduled and len(self._running) < self._groups_max:
            self._start()
        return future

    async def drained(self) -> None:
        """Returns when everything submitted so far is done."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _start(self) -> None:
        self._scheduled = True
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        task = asyncio.get_running_loop().create_task(self._run(taken))
        self._running.add(task)
        task.add_done_callback(partial(self._ended, taken))

    async def _run(self, taken: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        # The task begins one turn after the first arrival: that turn is the collecting.
        self._scheduled = False
        taken.extend(self._waiting.popleft() for _ in range(min(self._size_max, len(self._waiting))))
        if self._waiting and len(self._running) < self._groups_max:
            self._start()
        _settle(taken, await self._flush([item for item, _ in taken]))

    def _ended(self, taken: list[tuple[Item, asyncio.Future[Result]]], task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            for _, future in taken:
                future.cancel()
        elif (error := task.exception()) is not None:
            _settle(taken, [error] * len(taken))
        if self._waiting and not self._scheduled:
            self._start()


def _settle(
    taken: list[tuple[Item, asyncio.Future[Result]]],
    outcomes: Sequence[Result | BaseException],
) -> None:
    for (_, future), outcome in zip(taken, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
