"""One run of the benchmark: the server, the driver, what is stored, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from conformance.bench.options import Options
from conformance.bench.raw import Raw
from conformance.bench.rounds import Run
from conformance.bench.server import Server
from conformance.bench.usage import usage
from conformance.bench.wire import drive

EXPECTED: Final = frozenset({200})


@dataclass(slots=True)
class Used:
    """CPU seconds of the server's processes while it was asked so many things of one kind."""

    units: int = 0
    workers: float = 0.0
    mongod: float = 0.0


@dataclass(slots=True)
class Scene:
    """What each comparison works with."""

    options: Options
    server: Server
    raw: Raw
    keys: list[str]
    random: Random
    used: dict[str, Used] = field(default_factory=dict)

    async def ask(
        self,
        kind: str,
        requests: Iterable[bytes],
        *,
        expected: frozenset[int] = EXPECTED,
        in_flight: int | None = None,
    ) -> Run:
        """Send the server as many of these as the allowance admits, and count what they cost it."""
        options, server = self.options, self.server
        allowed = options.allowance.of(requests)
        workers, mongod = usage(server.workers), usage([server.mongod])
        run = await drive(
            server.address, allowed, in_flight=in_flight or options.in_flight, expected=expected
        )
        used = self.used.setdefault(kind, Used())
        used.units += len(run.latencies_ms)
        used.workers += usage(server.workers).cpu_seconds - workers.cpu_seconds
        used.mongod += usage([server.mongod]).cpu_seconds - mongod.cpu_seconds
        return run
