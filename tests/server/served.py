"""A real `fhir-server serve`, in processes of its own, spoken to over TCP and looked at from outside."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.databases import a_database
from tests.processes.served import children, command_of

COMMAND = str(Path(sys.executable).with_name("fhir-server"))
PATIENCE_SECONDS = 40.0
QUIET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """
    A server in processes of its own; `pid` is its supervisor's.

    `told` and `environment` are what a command needs to work on the same deployment.
    """

    port: int
    token: str
    log: Path
    pid: int
    told: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def authorization(self) -> bytes:
        return f"Authorization: Bearer {self.token}\r\n".encode()

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/fhir", headers=headers, timeout=PATIENCE_SECONDS
        )

    async def says(self, *parts: bytes, pause_seconds: float = 0.0, hang_up: bool = False) -> bytes:
        """All that is answered to these bytes on one connection, until it is closed or quiet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answered = b""
        with suppress(ConnectionError, TimeoutError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            while not hang_up and (data := await asyncio.wait_for(reader.read(65_536), QUIET_SECONDS)):
                answered += data
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answered

    async def recorded(self, request_id: str) -> list[dict[str, Any]]:
        """The AuditEvents of one request, as soon as there is one."""
        async with self.client() as client:
            for _ in range(100):
                answer = (await client.get(f"/AuditEvent?entity:identifier={request_id}")).json()
                if "entry" in answer:
                    return [entry["resource"] for entry in answer["entry"]]
                await asyncio.sleep(0.05)
        raise AssertionError(f"{request_id} left no record")

    async def operated(self, *arguments: str) -> str:
        """What `fhir-server` prints to an operator who says this."""
        code, told, problem = await self._run(arguments)
        assert code == 0, problem
        return told.strip()

    async def operated_in_vain(self, *arguments: str) -> str:
        """Why it does not do what an operator says."""
        code, told, problem = await self._run(arguments)
        assert (code, told) == (1, "")
        return problem

    async def _run(self, arguments: tuple[str, ...]) -> tuple[int | None, str, str]:
        command = await asyncio.create_subprocess_exec(
            *(COMMAND, *arguments, *self.told),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, problem = await command.communicate()
        return command.returncode, told.decode(), problem.decode()

    def logged(self) -> Iterable[dict[str, Any]]:
        """The lines of the log."""
        return (json.loads(line) for line in _text(self.log).splitlines())

    def peaks(self) -> dict[str, int]:
        """The most resident memory that each of its processes has ever had, in bytes, by command and pid."""
        return {f"{command_of(pid)}({pid})": _peak_bytes(pid) for pid in _family(self.pid)}


@asynccontextmanager
async def served(
    mongodb_url: str, folder: Path, limits: Mapping[str, str], *, workers: int = 2
) -> AsyncIterator[Served]:
    """A server with these settings, on a database of its own."""
    async with (
        a_database(mongodb_url) as database,
        served_on(mongodb_url, database, folder, limits, workers=workers) as server,
    ):
        yield server


@asynccontextmanager
async def served_on(
    mongodb_url: str, database: str, folder: Path, limits: Mapping[str, str], *, workers: int = 2
) -> AsyncIterator[Served]:
    """The same on a database that is there."""
    port = _free_port()
    environment = {**os.environ, **{f"FHIR_SERVER_{name}": value for name, value in limits.items()}}
    environment["FHIR_SERVER_MONGODB_DATABASE"] = database
    told = ("--data-dir", str(folder), "--mongodb-url", mongodb_url)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "serve", *told, "--port", str(port), "--workers", str(workers)),
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        await _until_serving(process, folder / "log")
        server = Served(port, "", folder / "log", process.pid, told, environment)
        token = await server.operated("token", "--scope", "system/*.cruds")
        yield replace(server, token=token)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def _until_serving(process: asyncio.subprocess.Process, log: Path) -> None:
    for _ in range(int(PATIENCE_SECONDS * 20)):
        if '"event":"serving"' in _text(log):
            return
        assert process.returncode is None, _text(log)[-2000:]
        await asyncio.sleep(0.05)
    raise AssertionError(_text(log)[-2000:])


def _text(log: Path) -> str:
    return log.read_text()


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    return [pid, *(descendant for child in children(pid) for descendant in _family(child))]


def _peak_bytes(pid: int) -> int:
    """man 5 proc_pid_status"""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
