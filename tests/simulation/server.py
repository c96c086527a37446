"""
`fhir-server serve` as an operator starts it, two workers and a mongod of its own, and who kills it.

All is looked at from outside: processes through /proc, what happened through the log.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from fhir_server.store.embedded import joined
from fhir_server.store.store import Store
from tests.processes.served import children, command_of, gone, is_alive

WORKERS: Final = 2
START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 60.0
ANSWER_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02
ORPHANS: Final = "the kernel ends what the supervisor started"
COMMAND: Final = str(Path(sys.executable).with_name("fhir-server"))


class Victim(Enum):
    """Who is killed at a moment."""

    WORKER = "one worker"
    MONGOD = "mongod"
    SUPERVISOR = "the supervisor"
    WORKER_AND_MONGOD = "one worker and mongod"
    EVERYTHING = "everything"
    NOBODY = "nobody, it was told to stop"


class Serving:
    """The server on one data folder, through as many lives as it takes."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.port, self.mllp_port = _free_port(), _free_port()
        self._log = folder / "log"
        self._process: asyncio.subprocess.Process | None = None
        self._pids: set[int] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    @property
    def pid(self) -> int:
        """That of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def mongod(self) -> list[int]:
        """Its pid, while there is one."""
        return self._children("mongod")

    @property
    def workers(self) -> list[int]:
        """Their pids."""
        return self._children("fhir_server.worker")

    @property
    def is_whole(self) -> bool:
        """Whether all processes are there that should be."""
        return len(self.workers) == WORKERS and len(self.mongod) == 1

    async def start(self) -> None:
        """Serves on return, all workers of it. A folder that does not open fails with the log's end."""
        process, begin = await self._spawn()
        for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
            if any(event["event"] == "serving" for event in self.events(begin)):
                return
            if process.returncode is not None:
                break
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError(f"It does not serve:\n{self._log.read_text()[begin:][-3000:]}")

    async def start_and_kill(self, seconds: float) -> None:
        """Killed `seconds` into its start, wherever that is."""
        process, begin = await self._spawn()
        await asyncio.sleep(seconds)
        assert process.returncode is None, self._log.read_text()[begin:][-3000:]
        started = [*self.workers, *self.mongod]
        process.kill()
        await process.wait()
        assert await gone(started), ORPHANS

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, int]:
        """The process, and where its lines begin in the log."""
        with self._log.open("ab") as log:
            begin = log.tell()
            self._process = process = await asyncio.create_subprocess_exec(
                *(COMMAND, "serve", "--data-dir", str(self.data_dir), "--workers", str(WORKERS)),
                *("--port", str(self.port), "--mllp-port", str(self.mllp_port)),
                stdout=log,
                stderr=log,
            )
        self._pids.add(process.pid)
        return process, begin

    async def kill(self, victim: Victim, random: Random) -> None:
        """SIGKILL. When it was the supervisor, the rest of its processes must go by themselves."""
        assert self._process is not None
        workers, mongod, supervisor = self.workers, self.mongod, [self._process.pid]
        self._pids |= {*workers, *mongod}
        one = random.sample(workers, min(1, len(workers)))
        match victim:
            case Victim.NOBODY:
                await self.stop()
                return
            case Victim.WORKER:
                killed = one
            case Victim.MONGOD:
                killed = mongod
            case Victim.SUPERVISOR:
                killed = supervisor
            case Victim.WORKER_AND_MONGOD:
                killed = [*one, *mongod]
            case Victim.EVERYTHING:
                killed = [*supervisor, *mongod, *workers]
                random.shuffle(killed)
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process.pid in killed:
            await self._process.wait()
            assert await gone([*workers, *mongod]), ORPHANS

    async def stop(self) -> None:
        """SIGTERM: it ends in order, and no process is left of any of its lives."""
        assert self._process is not None
        self._pids |= {*self.workers, *self.mongod}
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self._process.wait(), STOP_SECONDS_MAX)
        assert code == 0, self._log.read_text()[-3000:]
        self._pids |= {event["pid"] for event in self.events() if "pid" in event}
        assert self.left() == []

    def left(self) -> list[str]:
        """What runs and is of this folder."""
        pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
        commands = {pid: _command(pid) for pid in pids if is_alive(pid)}
        return [
            f"{pid}: {command}"
            for pid, command in commands.items()
            if str(self.data_dir) in command or (pid in self._pids and "fhir_server" in command)
        ]

    async def end(self) -> None:
        """Whatever still runs is killed, so that a test that failed leaves nothing."""
        if self._process is not None and self._process.returncode is None:
            started = [*self.workers, *self.mongod]
            self._process.kill()
            await self._process.wait()
            await gone(started)

    def events(self, begin: int = 0) -> list[dict[str, Any]]:
        """The lines of the log, of all processes, from a position on."""
        with self._log.open("rb") as log:
            log.seek(begin)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b'{"')]

    def problems(self) -> list[str]:
        """The lines that say that something broke."""
        return [str(event) for event in self.events() if event.get("level") in ("error", "critical")]

    async def token(self) -> str:
        """One from `fhir-server token`, for everything."""
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "token", "--data-dir", str(self.data_dir), "--scope", "system/*.cruds"),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0
        return printed.decode().strip()

    @asynccontextmanager
    async def client(self, token: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client with as many connections as it needs."""
        async with httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER_SECONDS_MAX,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        ) as client:
            yield client

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store itself, to look behind the API."""
        async with joined(self.data_dir, command="pytest") as url:
            store = await Store.open(
                url, clock=lambda: datetime.now(UTC), random=Random(0), app_name="pytest"
            )
            try:
                yield store
            finally:
                await store.close()

    def _children(self, named: str) -> list[int]:
        assert self._process is not None
        found = children(self._process.pid) if self._process.returncode is None else []
        return [pid for pid in found if named in _command(pid)]


def _command(pid: int) -> str:
    """The command line; nothing of a process that has just ended."""
    try:
        return command_of(pid)
    except OSError:
        return ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
