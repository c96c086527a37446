"""
The processes of one worker that prepare Bundles: started when the first one is needed, then kept.

One that has died, or was given up in the middle of a Bundle, is replaced when the next one is needed.
A Bundle is tried once: if its process dies, who sent it is told, and decides.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

import structlog

from fhir_server.interactions.entries import Asked
from fhir_server.interactions.submission import Item, Kind, Order, Rules
from fhir_server.preparing.messages import (
    HEAD_BYTES,
    PIECE_BYTES,
    PIECE_ITEMS,
    Answer,
    Broken,
    Entries,
    Forget,
    InForce,
    Items,
    NotRead,
    OutOfMemory,
    Prepare,
    Question,
    Read,
    Start,
    answer,
    frame,
    length_of,
)
from fhir_server.r4.errors import TooLarge, Unavailable
from fhir_server.r4.media import Format
from fhir_server.search.declared.catalogue import in_force

log = structlog.get_logger(__name__)

SOCKET_BYTES: Final = 512 << 10


class BrokenError(RuntimeError):
    """The process had a bug; its log says more."""


@dataclass(slots=True)
class Process:
    """One that runs. It is `idle` when it has answered all that it was asked."""

    _process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _memory_bytes_max: int
    idle: bool = True
    _indexed: int = 0

    @classmethod
    async def start(cls, rules: Rules, memory_bytes_max: int) -> Self:
        """Start one. It takes about a second to be ready; what it is asked meanwhile waits."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            process = await asyncio.create_subprocess_exec(
                # -P: nothing is imported from the folder that the server happens to be started in.
                *(sys.executable, "-P", "-m", "fhir_server.preparing.process", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A session of its own: Ctrl-C reaches the supervisor alone.
                start_new_session=True,
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=SOCKET_BYTES)
        log.info("preparing_started", pid=process.pid)
        started = cls(process, reader, writer, memory_bytes_max)
        await started._tell(Start(rules, os.getpid(), memory_bytes_max))
        return started

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        """As far as is known."""
        return self._process.returncode is None and not self._reader.at_eof()

    async def read(self, text: bytes, format: Format) -> tuple[Kind, list[Asked]]:
        """Have a Bundle read. Raises what is wrong with it, Unavailable when the process dies."""
        self.idle = False
        await self._tell(Read(len(text), format))
        for start in range(0, len(text), PIECE_BYTES):
            await self._send(text[start : start + PIECE_BYTES])
        asked: list[Asked] = []
        while True:
            found = await self._answer()
            if isinstance(found, NotRead):
                self.idle = True
                raise found.refused.refusal()
            assert isinstance(found, Entries), "what was asked is what is answered"
            asked += found.asked
            if found.last:
                self.idle = True
                return found.kind, asked

    async def prepared(
        self, orders: Sequence[Order], others: Mapping[str, str] | None
    ) -> AsyncIterator[list[Item]]:
        """What becomes of the orders, some at a time."""
        self.idle = False
        for message in _pieces(orders, others, self._in_force()):
            await self._tell(message)
        while True:
            found = await self._answer()
            assert isinstance(found, Items), "what was asked is what is answered"
            if found.last:
                self.idle = True
                return
            yield found.items

    def _in_force(self) -> InForce | None:
        """What it has to be told of search parameters."""
        catalogue = in_force()
        if catalogue.indexed == self._indexed:
            return None
        self._indexed = catalogue.indexed
        return InForce(catalogue.indexed, catalogue.declared)

    def forget(self) -> None:
        """Let it drop what it has read."""
        self._write(frame(Forget()))

    async def end(self) -> None:
        """Kill it, whatever it does: nothing is lost but time."""
        self._writer.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    async def _tell(self, message: Question) -> None:
        await self._send(frame(message))

    async def _send(self, some: bytes) -> None:
        """To one that has died nothing is sent: what it said last is still to be read."""
        with suppress(ConnectionError):
            self._write(some)
            await self._writer.drain()

    def _write(self, some: bytes) -> None:
        # uvloop raises RuntimeError where asyncio lets a closed transport take anything.
        if not self._writer.is_closing():
            self._writer.write(some)

    async def _answer(self) -> Answer:
        try:
            head = await self._reader.readexactly(HEAD_BYTES)
            found = answer(await self._reader.readexactly(length_of(head)))
        except (asyncio.IncompleteReadError, ConnectionError) as dead:
            log.error("preparing_died", pid=self.pid)
            told = "The process that prepared this Bundle died; send it again, or split it"
            raise Unavailable(told) from dead
        match found:
            case OutOfMemory():
                log.error("preparing_out_of_memory", pid=self.pid, bytes=self._memory_bytes_max)
                limit = f"{self._memory_bytes_max} bytes of memory"
                raise TooLarge(f"Preparing this Bundle takes more than {limit}; split it")
            case Broken(reason=reason):
                raise BrokenError(reason)
            case _:
                return found


def _pieces(
    orders: Sequence[Order], others: Mapping[str, str] | None, known: InForce | None
) -> Iterator[Prepare]:
    starts = range(0, len(orders) or 1, PIECE_ITEMS)
    for start in starts:
        last = start == starts[-1]
        some = list(orders[start : start + PIECE_ITEMS])
        yield Prepare(
            some, None if others is None or not last else dict(others), last, known if last else None
        )


class Pool:
    """At most `processes_max` processes; each prepares one Bundle at a time."""

    def __init__(self, rules: Rules, *, processes_max: int, memory_bytes_max: int) -> None:
        self._rules = rules
        self._memory_bytes_max = memory_bytes_max
        self._turns = asyncio.Semaphore(processes_max)
        self._idle: list[Process] = []

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """One for oneself, until the block ends."""
        async with self._turns:
            process = await self._ready()
            try:
                yield process
            finally:
                # What it was asked in vain would come as the answer to the next question.
                if process.idle and process.lives:
                    process.forget()
                    self._idle.append(process)
                else:
                    await asyncio.shield(process.end())

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(process.end() for process in self._idle))
        self._idle.clear()

    async def _ready(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.lives:
                return process
            await process.end()
        return await Process.start(self._rules, self._memory_bytes_max)
