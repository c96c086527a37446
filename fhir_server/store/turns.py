"""
Who writes to which keys now: writers of the same resource go one after the other.

A turn on several keys is queued for all of them at once, so no two can wait for each other. This
is for speed alone, within one process: what makes an update safe is the transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence


class Turn:
    """A place in the queue of each of its keys."""

    __slots__ = ("ahead", "begun", "keys")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.ahead = 0
        self.begun: asyncio.Future[None] | None = None


class Turns:
    """The queues; a key without a writer has none."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Turn]] = {}

    async def take(self, keys: Sequence[str]) -> Turn:
        """Returns when all earlier turns on these keys, each named once, have been given back."""
        turn = Turn(keys)
        for key in keys:
            queue = self._queues.setdefault(key, deque())
            turn.ahead += bool(queue)
            queue.append(turn)
        if turn.ahead:
            turn.begun = asyncio.get_running_loop().create_future()
            try:
                await turn.begun
            except asyncio.CancelledError:
                self.give_back(turn)
                raise
        return turn

    def give_back(self, turn: Turn) -> None:
        """Lets the next one on each key go on."""
        for key in turn.keys:
            queue = self._queues[key]
            was_first = queue[0] is turn
            queue.remove(turn)
            if not queue:
                del self._queues[key]
            elif was_first:
                _move_up(queue[0])


def _move_up(turn: Turn) -> None:
    turn.ahead -= 1
    if turn.ahead == 0 and turn.begun is not None and not turn.begun.done():
        turn.begun.set_result(None)
