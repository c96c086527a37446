"""The report of `make bench-search`: what each search took and looked at, the indexes, the load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conformance.bench.search.loading import Load
from conformance.bench.search.measuring import P95_MS_MAX, Measured

_MIB = 1 << 20


def lines(
    found: Sequence[Measured], load: Load, sizes: Mapping[str, Any], machine: Mapping[str, Any]
) -> Iterator[str]:
    """Tables in Markdown, as docs/performance.md has them."""
    yield ", ".join(f"{name} {value}" for name, value in machine.items())
    yield from _searches("search", [one for one in found if one.asked.worst is None])
    yield from _searches("worst case", [one for one in found if one.asked.worst is not None])
    yield ""
    yield from _load(load)
    yield ""
    yield from _sizes(sizes)


def _searches(title: str, found: Sequence[Measured]) -> Iterator[str]:
    yield ""
    yield f"| {title} | matches | returned | keys | documents | allowed | p50 ms | p95 ms | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from map(_search, found)


def _search(one: Measured) -> str:
    if one.run is None or one.examined is None:
        return f"| {one.asked.what} | | | | | | | | refused: {one.refused} |"
    examined, run = one.examined, one.run
    p95 = run.percentile(0.95)
    verdict = "met" if examined.is_within and p95 <= P95_MS_MAX else "**not met**"
    said = verdict if one.asked.worst is None else one.asked.worst
    matches = "not counted" if one.matches is None else f"{one.matches:,}"
    return (
        f"| {one.asked.what} | {matches} | {examined.returned} | {examined.keys:,} | "
        f"{examined.documents:,} | {examined.limit:,} | {run.percentile(0.5):.1f} | {p95:.1f} | {said} |"
    )


def _load(load: Load) -> Iterator[str]:
    workers, mongod = (seconds / load.resources * 1e6 for seconds in (load.workers_cpu, load.mongod_cpu))
    yield (
        f"{load.resources:,} resources of {load.patients:,} patients loaded in {load.seconds:.0f} s "
        f"({load.resources / load.seconds:,.0f}/s); CPU of each: "
        f"workers {workers:.0f} us, mongod {mongod:.0f} us"
    )


def _sizes(sizes: Mapping[str, Any]) -> Iterator[str]:
    stored, packed = sizes["size"] / _MIB, sizes["storageSize"] / _MIB
    yield f"`resources`: {sizes['count']:,} documents, {stored:,.0f} MiB, on disk {packed:,.0f} MiB"
    yield ""
    yield "| index | MiB | bytes a resource |"
    yield "|---|---|---|"
    for name, size in sorted(sizes["indexSizes"].items(), key=lambda one: -one[1]):
        yield f"| `{name}` | {size / _MIB:,.1f} | {size / sizes['count']:.0f} |"
