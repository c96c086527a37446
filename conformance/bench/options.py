"""What a run of the benchmark is told on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.bench.rounds import Allowance


@dataclass(frozen=True, slots=True)
class Options:
    """`allowance` is for one side of one round of one comparison."""

    allowance: Allowance = field(default_factory=lambda: Allowance(2.0))
    rounds: int = 5
    in_flight: int = 32
    workers: int = 1
    patients: int = 100
    seed: int = 1
    json: Path | None = None


def options(arguments: Sequence[str]) -> Options:
    """The options in `arguments`."""
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m conformance.bench", description="Measure the server against the raw driver."
    )
    parser.add_argument(
        "--seconds", type=float, default=default.allowance.seconds, help="of each side in each round"
    )
    parser.add_argument("--requests", type=int, help="at most so many on each side in each round")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="of each comparison")
    parser.add_argument("--in-flight", type=int, default=default.in_flight, help="requests at a time")
    parser.add_argument("--workers", type=int, default=default.workers, help="processes that serve")
    parser.add_argument("--patients", type=int, default=default.patients, help="stored beforehand")
    parser.add_argument("--seed", type=int, default=default.seed, help="of what is asked for")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args(arguments)
    return Options(
        Allowance(given.seconds, given.requests),
        given.rounds,
        given.in_flight,
        given.workers,
        given.patients,
        given.seed,
        given.json,
    )
