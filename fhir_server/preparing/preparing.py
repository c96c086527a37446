"""
Submitted Bundles, prepared without keeping others waiting.

A small Bundle is prepared where it came in, with a turn for others every few milliseconds; a large
one in another process. Large ones are done a few at a time, and what waits is bounded in bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from fhir_server.interactions.entries import Asked
from fhir_server.interactions.submission import Item, Kind, Order, Rules, SubmittedBundle
from fhir_server.preparing.memory import give_back_memory
from fhir_server.preparing.pool import Pool, Process
from fhir_server.r4.errors import Unavailable
from fhir_server.r4.interaction import Submission
from fhir_server.r4.media import Format
from fhir_server.store.slices import in_slices

XML_WEIGHT: Final = 8
"""How many times as long as JSON it takes to read, about."""


TIDIED_AFTER_SECONDS: Final = 1.0
"""Then the answer has left, and what was needed for it is free."""


@dataclass(frozen=True, slots=True)
class PreparingLimits:
    """
    Of one worker. A Bundle of more than `inline_bytes_max` is a large one; XML, which takes longer to
    read, of an eighth of that.

    `bundles_max` large ones are in work at once, until they are answered; those that wait have
    `waiting_bytes_max` together. `processes_max` prepare them, each with `memory_bytes_max`.
    """

    inline_bytes_max: int = 512 << 10
    bundles_max: int = 2
    waiting_bytes_max: int = 256 << 20
    processes_max: int = 1
    memory_bytes_max: int = 1 << 30


class Opened(Protocol):
    """A Bundle that has been read."""

    @property
    def kind(self) -> Kind: ...

    @property
    def asked(self) -> Sequence[Asked]: ...

    def prepared(
        self, orders: Sequence[Order], others: Mapping[str, str] | None
    ) -> AsyncIterator[Sequence[Item]]:
        """As SubmittedBundle.prepared, some at a time."""


class Preparing:
    """Opens Bundles; `close` ends the processes."""

    def __init__(self, rules: Rules, limits: PreparingLimits) -> None:
        self._rules = rules
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.bundles_max)
        self._waiting_bytes = 0
        self._pool = Pool(rules, processes_max=limits.processes_max, memory_bytes_max=limits.memory_bytes_max)

    @asynccontextmanager
    async def turn(self, submission: Submission) -> AsyncIterator[None]:
        """
        Around all that is done with a Bundle, until it is answered: a large one waits for others.

        Raises Unavailable when too much is waiting.
        """
        if not self._is_large(submission):
            yield
            return
        size = len(submission.content)
        if self._turns.locked() and self._waiting_bytes + size > self._limits.waiting_bytes_max:
            raise Unavailable("Too many large Bundles are waiting; send this one again later")
        self._waiting_bytes += size
        try:
            await self._turns.acquire()
        finally:
            self._waiting_bytes -= size
        try:
            yield
        finally:
            self._turns.release()
            asyncio.get_running_loop().call_later(TIDIED_AFTER_SECONDS, _tidy)

    @asynccontextmanager
    async def opened(self, submission: Submission) -> AsyncIterator[Opened]:
        """
        The Bundle, read.

        Raises what SubmittedBundle does; Unavailable when the process that prepares it dies, here
        and later; TooLarge when that takes too much memory.
        """
        format = submission.format
        if not self._is_large(submission):
            yield _Here(SubmittedBundle(submission.taken(), self._rules, format))
            return
        async with self._pool.process() as process:
            yield _Elsewhere(process, *await process.read(submission.taken(), format))

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()

    def _is_large(self, submission: Submission) -> bool:
        weight = XML_WEIGHT if submission.format is Format.XML else 1
        return len(submission.content) * weight > self._limits.inline_bytes_max


def _tidy() -> None:
    """In a thread, since it takes some milliseconds and nothing of Python's."""
    asyncio.get_running_loop().run_in_executor(None, give_back_memory)


class _Here:
    def __init__(self, bundle: SubmittedBundle) -> None:
        self._bundle = bundle
        self.kind = bundle.kind
        self.asked = bundle.asked

    async def prepared(
        self, orders: Sequence[Order], others: Mapping[str, str] | None
    ) -> AsyncIterator[Sequence[Item]]:
        async for item in in_slices(self._bundle.prepared(orders, others)):
            yield (item,)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    _process: Process
    kind: Kind
    asked: Sequence[Asked]

    def prepared(
        self, orders: Sequence[Order], others: Mapping[str, str] | None
    ) -> AsyncIterator[Sequence[Item]]:
        return self._process.prepared(orders, others)
