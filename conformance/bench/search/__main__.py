"""
`make bench-search`: a million resources through the front door, then fixed searches, each alone.

    make bench-search ARGS="--data /var/tmp/million"     load once, measure as often as you like
    make bench-search ARGS="--patients 480"              100,000 resources, in a folder that is removed

Without `--data` everything is in a temporary folder. docs/performance.md explains the report.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from pymongo import AsyncMongoClient

from conformance.bench.raw import SERVED, Document
from conformance.bench.report import machine, say
from conformance.bench.search.asked import ASKED
from conformance.bench.search.loading import generated, loaded, resources_in
from conformance.bench.search.measuring import Measured, measured, people_of
from conformance.bench.search.report import lines
from conformance.bench.server import serving

PATIENTS: Final = 4_980
"""As many as have a million resources."""


@dataclass(frozen=True, slots=True)
class Options:
    """`data` is kept; without it a folder is made and removed."""

    data: Path | None = None
    patients: int = PATIENTS
    requests: int = 60
    workers: int = 2
    seed: int = 1
    port: int = 18490


def options(arguments: Sequence[str]) -> Options:
    """The options in `arguments`."""
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m conformance.bench.search", description="Measure searches of a large population."
    )
    parser.add_argument("--data", type=Path, help="folder to load into once and to use again")
    parser.add_argument("--patients", type=int, default=default.patients, help="about 200 resources each")
    parser.add_argument("--requests", type=int, default=default.requests, help="of each search")
    parser.add_argument("--workers", type=int, default=default.workers, help="processes that serve")
    parser.add_argument("--seed", type=int, default=default.seed, help="of whom is asked for")
    parser.add_argument(
        "--port", type=int, default=default.port, help="a load that goes on wants the port it began with"
    )
    given = parser.parse_args(arguments)
    return Options(given.data, given.patients, given.requests, given.workers, given.seed, given.port)


async def report(folder: Path, told: Options) -> Iterator[str]:
    """Everything that was measured, line by line."""
    population = await generated(folder, told.patients)
    async with serving(folder, told.workers, port=told.port) as server:
        load = await loaded(folder, population, server, told.patients, resources_in(population))
        say(f"{load.resources:,} resources are there")
        async with AsyncMongoClient[Document](server.mongodb_url) as client:
            database = client[SERVED]
            people = await people_of(database, Random(told.seed))
            found: list[Measured] = []
            for asked in ASKED:
                found.append(await measured(server.address, asked, people, told.requests))
                say(f"{asked.what}: done")
            sizes = await database.command("collStats", "resources")
    return lines(found, load, sizes, machine())


def main() -> None:
    told = options(sys.argv[1:])
    if told.data is not None:
        told.data.mkdir(parents=True, exist_ok=True)
        told_lines = asyncio.run(report(told.data, told))
    else:
        with tempfile.TemporaryDirectory(prefix="bench-search-", ignore_cleanup_errors=True) as folder:
            told_lines = asyncio.run(report(Path(folder), told))
    for line in told_lines:
        say(line)


if __name__ == "__main__":
    main()
