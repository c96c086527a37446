"""
`make bench`: what this server does in a second, beside what the database's driver does in one.

It starts a server in a folder of its own, fills it with synthetic patients, and measures one thing
after the other: reads, creates, updates, Bundles, searches, a lone read, reads beside a flood of logins,
validation; then where the CPU time goes. docs/performance.md explains the report.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Final

from conformance.bench import data
from conformance.bench.figures import Comparison, Figures
from conformance.bench.logins import logins
from conformance.bench.options import Options, options
from conformance.bench.raw import raw_driver
from conformance.bench.reading import lone_reads, reads
from conformance.bench.report import lines, machine, say, write
from conformance.bench.scene import Scene
from conformance.bench.scopes import shares
from conformance.bench.searching import searches
from conformance.bench.server import serving
from conformance.bench.stages import costs
from conformance.bench.usage import usage
from conformance.bench.validating import validations
from conformance.bench.writing import bundles, creates, updates

COMPARISONS: Final[tuple[Callable[[Scene], AsyncIterator[Comparison]], ...]] = (
    reads,
    lone_reads,
    logins,
    searches,
    creates,
    updates,
    bundles,
    validations,
)


async def measured(told: Options) -> Figures:
    """All figures of one run."""
    # Not in /tmp/pytest-...: the path of mongod's socket has room for about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        async with serving(Path(folder), told.workers) as server, raw_driver(server.mongodb_url) as raw:
            started = time.perf_counter()
            loaded = await data.load(server.address, told.patients)
            say(f"{loaded} resources loaded in {time.perf_counter() - started:.0f} s")
            random = Random(told.seed)
            scene = Scene(told, server, raw, await data.keys(raw, random), random)
            await raw.copy_all()
            return await _figures(scene)


async def _figures(scene: Scene) -> Figures:
    comparisons: list[Comparison] = []
    for compared in COMPARISONS:
        async for comparison in compared(scene):
            comparisons.append(comparison)
            say(f"{comparison.what} against {comparison.limit}: {comparison.ratio:.2f}")
    memory = {
        "workers": usage(scene.server.workers).resident_bytes,
        "supervisor": usage([scene.server.supervisor]).resident_bytes,
        "mongod": usage([scene.server.mongod]).resident_bytes,
    }
    cpu = await costs(scene)
    return Figures(comparisons, cpu, await shares(scene, cpu), memory, machine())


def main() -> None:
    told = options(sys.argv[1:])
    figures = asyncio.run(measured(told))
    say("")
    for line in lines(figures):
        say(line)
    if told.json is not None:
        write(figures, told.json)


if __name__ == "__main__":
    main()
