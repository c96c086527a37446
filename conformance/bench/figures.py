"""What a run has found: comparisons with their goals, CPU time by stage, memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from conformance.bench.rounds import Rounds, Run

Figure = Literal["rate", "median", "p95"]
"""Units a second, of which more is better; or milliseconds of the median or a slow one, of which less is."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The ratio of ours to the raw driver's that must be reached, or must not be."""

    ratio: float
    at_least: bool = True

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.at_least else ratio < self.ratio

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<'} {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table; without a goal it is for information."""

    what: str
    limit: str
    rounds: Rounds
    goal: Goal | None
    figure: Figure = "rate"

    @property
    def ours(self) -> float:
        return statistics.median(map(self._of, self.rounds.ours))

    @property
    def raw(self) -> float:
        return statistics.median(map(self._of, self.rounds.raw))

    @property
    def ratios(self) -> list[float]:
        return self.rounds.ratios(self._of)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    def percentiles(self, side: Literal["ours", "raw"]) -> tuple[float, float]:
        """p50 and p95 in milliseconds: the medians of the rounds'."""
        runs: tuple[Run, ...] = getattr(self.rounds, side)
        return _percentile(runs, 0.5), _percentile(runs, 0.95)

    @property
    def is_met(self) -> bool | None:
        return None if self.goal is None else self.goal.is_met(self.ratio)

    @property
    def unit(self) -> str:
        return "/s" if self.figure == "rate" else "ms"

    @property
    def _of(self) -> Callable[[Run], float]:
        if self.figure == "rate":
            return lambda run: run.rate
        share = 0.5 if self.figure == "median" else 0.95
        return lambda run: run.percentile(share)


@dataclass(frozen=True, slots=True)
class Cost:
    """
    CPU microseconds that one request of a kind takes: of the workers, of mongod, and by stage.

    `stages` were measured one by one in a process without a server, each by calling what the server
    calls; what is left of the workers' time belongs to none of them.
    """

    what: str
    workers: float
    mongod: float
    stages: dict[str, float]

    @property
    def remainder(self) -> float:
        return self.workers - sum(self.stages.values())


@dataclass(frozen=True, slots=True)
class Share:
    """CPU microseconds of one part, round by round, of what it is part of or may take; a goal, or none."""

    what: str
    microseconds: tuple[float, ...]
    limit: str
    of_microseconds: float
    percent_max: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds)

    @property
    def percent(self) -> float:
        return self.median / self.of_microseconds * 100

    @property
    def is_met(self) -> bool | None:
        return None if self.percent_max is None else self.percent < self.percent_max


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything, in the order of the report; memory in bytes by process."""

    comparisons: list[Comparison]
    costs: list[Cost]
    shares: list[Share]
    memory: dict[str, int]
    machine: dict[str, str]


def _percentile(runs: tuple[Run, ...], share: float) -> float:
    return statistics.median(run.percentile(share) for run in runs)
