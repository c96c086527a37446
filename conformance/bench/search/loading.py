"""
A folder with a population and a server's database that has it: made once, in parts, and used again.

    population/   what `fhir-server generate` wrote
    data/         the data folder of the server
    loaded        the journal of `fhir-server load`, so that a load that was interrupted goes on
    load.json     what the load took, once it is done
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from conformance.bench.report import say
from conformance.bench.server import Server
from conformance.bench.usage import usage

SEED: Final = 1
LOADING_AT_ONCE: Final = 4


class NotLoaded(Exception):
    """`fhir-server generate` or `load` failed; what they said stands above."""


@dataclass(frozen=True, slots=True)
class Load:
    """What it took to load so many patients; CPU in seconds."""

    patients: int
    resources: int
    seconds: float
    workers_cpu: float
    mongod_cpu: float


async def generated(folder: Path, patients: int) -> Path:
    """The population, written unless it is there. Raises NotLoaded."""
    population = folder / f"population-{patients}"
    if not population.exists():
        part = folder / "population.part"
        shutil.rmtree(part, ignore_errors=True)
        await _run("generate", "--patients", str(patients), "--seed", str(SEED), "--out", str(part))
        part.rename(population)
    return population


async def loaded(folder: Path, population: Path, server: Server, patients: int, resources: int) -> Load:
    """What the load took; it is done now unless it was before. Raises NotLoaded."""
    done = folder / "load.json"
    if done.exists():
        load = msgspec.json.decode(done.read_bytes(), type=Load)
        if load.patients == patients:
            return load
    token = folder / "token"
    token.write_text(server.address.token)
    before, started = (usage(server.workers), usage([server.mongod])), time.perf_counter()
    await _run(
        "load",
        *("--url", f"http://{server.address.host}:{server.address.port}/fhir", "--token-file", str(token)),
        *("--update", "--resume", str(folder / "loaded"), "--concurrency", str(LOADING_AT_ONCE)),
        str(population),
    )
    load = Load(
        patients,
        resources,
        time.perf_counter() - started,
        usage(server.workers).cpu_seconds - before[0].cpu_seconds,
        usage([server.mongod]).cpu_seconds - before[1].cpu_seconds,
    )
    done.write_bytes(msgspec.json.encode(load))
    return load


def resources_in(population: Path) -> int:
    """How many resources the Bundles have."""
    return sum(file.read_bytes().count(b'"request":') for file in sorted(population.rglob("*.json")))


async def _run(command: str, *arguments: str) -> None:
    say(f"fhir-server {command} {' '.join(arguments)}")
    program = str(Path(sys.executable).with_name("fhir-server"))
    process = await asyncio.create_subprocess_exec(program, command, *arguments)
    if await process.wait():
        raise NotLoaded(command)
