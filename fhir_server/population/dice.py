"""
Chance that can be repeated: everything that is drawn comes from one stream of `random()`.

Python promises that stream for ever for a given seed; it promises nothing of the kind for `choice`,
`gauss` or `shuffle`, so what is needed of them is made here, from sums and comparisons alone.

https://docs.python.org/3/library/random.html#notes-on-reproducibility
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# The sum of four numbers from [0, 1) has a deviation of 1/sqrt(3).
BELL_SCALE: Final = 1.7320508075688772


class Weighted(Generic[T]):
    """Things, each as likely as its weight says."""

    __slots__ = ("_ends", "_things")

    def __init__(self, weights: Iterable[tuple[T, float]]) -> None:
        listed = list(weights)
        self._things = [thing for thing, _ in listed]
        self._ends = list(accumulate(weight for _, weight in listed))

    def at(self, share: float) -> T:
        """The thing that stands at this share (0 to 1) of all the weight."""
        return self._things[bisect(self._ends, share * self._ends[-1], hi=len(self._things) - 1)]


class Dice:
    """One stream of chance; the same seed throws the same."""

    __slots__ = ("share",)

    def __init__(self, seed: str) -> None:
        self.share = random.Random(seed).random  # noqa: S311 - to be repeated, not to be unpredictable

    def chance(self, probability: float) -> bool:
        return self.share() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.share() * (high - low + 1))

    def uniform(self, low: float, high: float) -> float:
        return low + self.share() * (high - low)

    def around(self, mean: float, deviation: float) -> float:
        """From a bell that ends at 3.5 deviations: nobody has a temperature of 50."""
        share = self.share
        return mean + (share() + share() + share() + share() - 2) * BELL_SCALE * deviation

    def pick(self, things: Sequence[T]) -> T:
        return things[int(self.share() * len(things))]

    def weighted(self, things: Weighted[T]) -> T:
        return things.at(self.share())

    def digits(self, count: int) -> str:
        return f"{int(self.share() * 10**count):0{count}}"

    def hexadecimal(self, count: int) -> str:
        """At most 12 digits, which is what one number of the stream holds."""
        assert count <= 12
        return f"{int(self.share() * 16**count):0{count}x}"
