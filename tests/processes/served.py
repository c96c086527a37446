"""Starting a server for a test, talking to it, and looking at its processes from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Container, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs in a process of its own."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    port: int
    mllp_port: int | None

    @property
    def mongod(self) -> int:
        """The pid of its mongod."""
        [pid] = [pid for pid in children(self.process.pid) if "mongod" in command_of(pid)]
        return pid

    @property
    def workers(self) -> list[int]:
        """The pids of its workers."""
        return [pid for pid in children(self.process.pid) if "fhir_server.worker" in command_of(pid)]

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """The exit code, once it has ended."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    async def who(self) -> dict[str, Any]:
        """What a worker says about itself, over a connection of its own."""
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer: dict[str, Any] = (await client.get(f"http://127.0.0.1:{self.port}/")).json()
        return answer


async def spawn(**plan: Any) -> asyncio.subprocess.Process:
    """Start tests.processes.serve with this plan."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.processes.serve", json.dumps(plan)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        # Where workers find the small application; they import nothing from the current folder.
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@asynccontextmanager
async def served(**plan: Any) -> AsyncIterator[Served]:
    """A server that serves, and is gone after the block."""
    process = await spawn(**plan)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        if not line:
            assert process.stderr is not None
            raise AssertionError((await process.stderr.read()).decode())
        where = json.loads(line)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{where['port']}", timeout=PATIENCE_SECONDS
        ) as client:
            yield Served(process, client, where["port"], where["mllp_port"])
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        # To the end of the pipes, so that asyncio closes them.
        await process.communicate()


async def refused(**plan: Any) -> str:
    """Why a server with this plan does not start; its exit code is not 0."""
    process = await spawn(**plan)
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode == 1
    return said.decode()


async def gone(pids: Iterable[int], seconds_max: float = 5.0) -> bool:
    """Whether all of them are gone within a few seconds."""
    waiting = set(pids)
    for _ in range(round(seconds_max / POLL_SECONDS)):
        waiting = {pid for pid in waiting if is_alive(pid)}
        if not waiting:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie, which only waits to be collected, does not."""
    with contextlib.suppress(OSError):
        return _stat(pid)[0] != "Z"
    return False


def children(parent: int) -> list[int]:
    """The pids of the processes whose parent this is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(_stat(int(entry.name))[1]) == parent:
                found.append(int(entry.name))
    return found


async def first_children(parent: int, besides: Container[int] = ()) -> list[int]:
    """The pids of its children, as soon as it has one."""
    while True:
        if found := [pid for pid in children(parent) if pid not in besides]:
            return found
        await asyncio.sleep(POLL_SECONDS)


def command_of(pid: int) -> str:
    """The command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _stat(pid: int) -> list[str]:
    """From the state on: the name before it may hold anything. man 5 proc"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
