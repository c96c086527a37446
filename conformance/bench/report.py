"""The report: a table to read, and the same figures as JSON to keep."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from conformance.bench.figures import Comparison, Cost, Figures, Share


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def machine() -> dict[str, str]:
    """What a figure depends on that is not ours."""
    return {
        "cpus": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def lines(figures: Figures) -> Iterator[str]:
    """The report as text."""
    yield ", ".join(f"{name} {value}" for name, value in figures.machine.items())
    yield ""
    yield from _table(_HEAD, [_compared(comparison) for comparison in figures.comparisons])
    yield ""
    yield "CPU microseconds per request (of a Bundle: per resource)"
    yield from _table(["", "workers", "mongod"], [_cost(cost) for cost in figures.costs])
    yield ""
    yield from _table(["stage", *_staged(figures)], _stages(figures))
    yield ""
    yield from _table(_SHARE, [_shared(share) for share in figures.shares])
    yield ""
    yield "Resident memory: " + ", ".join(
        f"{name} {size / (1 << 20):,.0f} MiB" for name, size in figures.memory.items()
    )


def write(figures: Figures, path: Path) -> None:
    """All figures, those of each round too, as JSON."""
    told = {
        "machine": figures.machine,
        "comparisons": [_as_json(comparison) for comparison in figures.comparisons],
        "cpu_microseconds": [{**asdict(cost), "remainder": cost.remainder} for cost in figures.costs],
        "shares": [
            {**asdict(share), "percent": share.percent, "met": share.is_met} for share in figures.shares
        ],
        "resident_bytes": figures.memory,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)))


_HEAD = ["what", "ours", "p50 / p95 ms", "against", "raw", "p50 / p95 ms", "ratio", "(rounds)", "goal", "met"]


_SHARE = ["part", "microseconds", "(rounds)", "of", "microseconds", "percent", "goal", "met"]
_MET = {True: "yes", False: "NO", None: ""}


def _shared(share: Share) -> list[str]:
    return [
        share.what,
        f"{share.median:,.2f}",
        f"({min(share.microseconds):,.2f}-{max(share.microseconds):,.2f})",
        share.limit,
        f"{share.of_microseconds:,.0f}",
        f"{share.percent:.1f} %",
        "" if share.percent_max is None else f"< {share.percent_max:g} %",
        _MET[share.is_met],
    ]


def _compared(comparison: Comparison) -> list[str]:
    ratios = comparison.ratios
    return [
        comparison.what,
        f"{_figure(comparison.ours)} {comparison.unit}",
        _latencies(comparison.percentiles("ours")),
        comparison.limit,
        f"{_figure(comparison.raw)} {comparison.unit}",
        _latencies(comparison.percentiles("raw")),
        f"{comparison.ratio:.2f}",
        f"({min(ratios):.2f}-{max(ratios):.2f})",
        str(comparison.goal or ""),
        _MET[comparison.is_met],
    ]


def _latencies(percentiles: tuple[float, float]) -> str:
    p50, p95 = percentiles
    return f"{_figure(p50)} / {_figure(p95)}"


def _figure(value: float) -> str:
    """With a digit behind the point; a small one with three, as that is where it says something."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.3f}"


def _cost(cost: Cost) -> list[str]:
    return [cost.what, f"{cost.workers:,.0f}", f"{cost.mongod:,.0f}"]


def _staged(figures: Figures) -> list[str]:
    return [cost.what for cost in figures.costs if cost.stages]


def _stages(figures: Figures) -> list[list[str]]:
    staged = [cost for cost in figures.costs if cost.stages]
    names = dict.fromkeys(name for cost in reversed(staged) for name in cost.stages)
    rows = [
        [name, *(f"{cost.stages[name]:,.0f}" if name in cost.stages else "" for cost in staged)]
        for name in names
    ]
    return [*rows, ["remainder", *(f"{cost.remainder:,.0f}" for cost in staged)]]


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([first, *rest]).rstrip()


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "what": comparison.what,
        "against": comparison.limit,
        "unit": comparison.unit,
        "ours": comparison.ours,
        "raw": comparison.raw,
        "ratio": comparison.ratio,
        "ratios": comparison.ratios,
        "ours_p50_p95_ms": comparison.percentiles("ours"),
        "raw_p50_p95_ms": comparison.percentiles("raw"),
        "goal": str(comparison.goal) if comparison.goal else None,
        "met": comparison.is_met,
    }
