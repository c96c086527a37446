"""
Measurements side by side: ours, then the raw driver, then ours again.

The machine is never quiet, so a rate alone says little. Each round measures both sides one after the
other, and what is reported is the median of the rounds' ratios, with the least and the greatest.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long one side of one round may take, in seconds, and at most how many requests."""

    seconds: float
    requests_max: int | None = None

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items that the allowance admits; its time runs from the first one."""
        until: float | None = None
        for number, item in enumerate(items):
            now = time.perf_counter()
            until = until or now + self.seconds
            if now >= until or number == self.requests_max:
                return
            yield item


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one side of one round: seconds for all of it, milliseconds of each operation."""

    seconds: float
    latencies_ms: tuple[float, ...]
    units: int | None = None
    """What the rate counts, when that is not the operations: the resources of Bundles."""

    @property
    def rate(self) -> float:
        """Units a second."""
        return (len(self.latencies_ms) if self.units is None else self.units) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that `share` of the operations stayed below."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Side = Callable[[], Awaitable[Run]]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Both sides of each round, in order."""

    ours: tuple[Run, ...]
    raw: tuple[Run, ...]

    def ratios(self, figure: Callable[[Run], float]) -> list[float]:
        """That figure of ours over that of the raw driver, round by round."""
        return [figure(ours) / figure(raw) for ours, raw in zip(self.ours, self.raw, strict=True)]

    def against(self, raw: Iterable[Run]) -> Rounds:
        """The same rounds of ours beside something else that was measured along with them."""
        return Rounds(self.ours, tuple(raw))


async def in_turns(rounds: int, ours: Side, raw: Side) -> Rounds:
    """Measure both sides `rounds` times, never at the same time."""
    mine, other = await all_in_turns(rounds, ours, raw)
    return Rounds(mine, other)


async def all_in_turns(rounds: int, *sides: Side) -> list[tuple[Run, ...]]:
    """Measure each side `rounds` times, never two at the same time; the runs of each side."""
    measured: list[list[Run]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, runs in zip(sides, measured, strict=True):
            # What one side leaves to the garbage collector is not to be paid by the next.
            gc.collect()
            runs.append(await side())
    return [tuple(runs) for runs in measured]
