"""
The server that is measured: `fhir-server serve`, as an operator starts it, in a folder of its own.

Nothing is set but the folder, the port and the number of workers, and its log is written to a file.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from conformance.bench.wire import Address
from fhir_server.store.embedded import joined

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 60.0
_POLL_SECONDS: Final = 0.05


class NotStarted(Exception):
    """The server ended, or did not get ready in time; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and whom the kernel knows it as."""

    address: Address
    mongodb_url: str
    supervisor: int
    workers: tuple[int, ...]
    mongod: int


@asynccontextmanager
async def serving(folder: Path, workers: int, *, port: int = 0) -> AsyncIterator[Server]:
    """A server on the database in `folder`, empty at first, until the block ends. Raises NotStarted."""
    data_dir, log = folder / "data", folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_command("serve"),
            *("--data-dir", str(data_dir), "--port", str(port), "--workers", str(workers)),
            stdout=output,
            stderr=output,
        )
    try:
        listening = await _ready(process, log)
        started = _events(log)
        address = Address("127.0.0.1", listening, await _token(data_dir))
        async with joined(data_dir, command="bench") as url:
            yield Server(
                address,
                url,
                process.pid,
                tuple(event["pid"] for event in started if event["event"] == "worker_spawned"),
                next(event["pid"] for event in started if event["event"] == "mongod_started"),
            )
    finally:
        await _stopped(process)


def _command(name: str) -> list[str]:
    return [str(Path(sys.executable).with_name("fhir-server")), name]


async def _ready(process: asyncio.subprocess.Process, log: Path) -> int:
    """The port, once it serves."""
    for _ in range(int(START_SECONDS_MAX / _POLL_SECONDS)):
        await asyncio.sleep(_POLL_SECONDS)
        for event in _events(log):
            if event["event"] == "serving":
                return int(event["port"])
        if process.returncode is not None:
            break
    raise NotStarted(_end_of(log))


def _end_of(log: Path) -> str:
    return log.read_text()[-2_000:]


def _events(log: Path) -> list[dict[str, Any]]:
    lines = log.read_bytes().split(b"\n")
    return [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]


async def _token(data_dir: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *_command("token"),
        *("--data-dir", str(data_dir), "--scope", "system/*.cruds", "--lifetime", "2h"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise NotStarted("`fhir-server token` failed")
    return output.decode().strip()


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        os.kill(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()
