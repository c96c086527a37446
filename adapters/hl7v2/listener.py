"""
MLLP over TCP: bytes in, messages to the receiver, answers out.

Connections stay open and carry many messages; the messages of one connection are done one after
the other, so a sender's order is kept and a busy receiver slows its sender down. A sender who
hangs up after the message still has it done. `stop` drains: no new connections, no new
messages, the message under way is finished and answered, then the connection is closed.

Rules for editors: nothing here looks into a message; nothing here decides.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Final, Protocol

from adapters.hl7v2.framing import Deframer, FramingError, OversizedError, frame
from adapters.hl7v2.log import Log

READ_BYTES: Final = 65_536


class Receives(Protocol):
    """What the listener needs of a receiver."""

    def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        """The answers to a message; the work is between them."""

    def refuse(self, head: bytes, text: str) -> Sequence[bytes]:
        """The answers to a message that was not taken in."""


@dataclass(frozen=True, slots=True)
class Limits:
    message_bytes_max: int = 16 << 20
    connections_max: int = 200
    idle_seconds_max: float = 3600.0
    write_seconds_max: float = 30.0
    drain_seconds_max: float = 25.0


class Listener:
    """Listens on one socket. `serve` once; `stop` from anywhere in the same loop."""

    def __init__(self, receiver: Receives, limits: Limits, log: Log) -> None:
        self._receiver = receiver
        self._limits = limits
        self._log = log
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket, tls: ssl.SSLContext | None = None) -> None:
        """Until `stop`, and then until every connection is closed. Cancelled, it drops them."""
        server = await asyncio.start_server(self._accept, sock=sock, ssl=tls)
        try:
            await self._stopping.wait()
        finally:
            server.close()
            await self._drain(at_once=not self._stopping.is_set())

    def stop(self) -> None:
        """Begin to drain; `serve` returns when that is done."""
        self._stopping.set()

    async def _drain(self, *, at_once: bool) -> None:
        under_way = set(self._connections)
        if under_way and not at_once:
            _, under_way = await asyncio.wait(under_way, timeout=self._limits.drain_seconds_max)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        peer = _peer(writer)
        if len(self._connections) >= self._limits.connections_max or self._stopping.is_set():
            self._log.warning("connection_refused", peer=peer, connections=len(self._connections))
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer, peer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        deframer = Deframer(self._limits.message_bytes_max)
        speaking = True
        while deframer.fault is None and (data := await self._read(reader, peer)):
            for message in deframer.feed(data):
                async for answer in self._receiver.receive(message, peer):
                    # Whoever stops listening still gets done what they sent.
                    speaking = speaking and await self._write(writer, answer, peer)
                if self._stopping.is_set():
                    return
            if not speaking:
                return
        if deframer.fault is not None:
            await self._object(deframer.fault, writer, peer)
        elif deframer.inside:
            self._log.warning("message_cut_off", peer=peer)

    async def _read(self, reader: asyncio.StreamReader, peer: str) -> bytes:
        """What came next; nothing when the sender has finished, or we have."""
        read = asyncio.ensure_future(reader.read(READ_BYTES))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait(
                (read, stop), timeout=self._limits.idle_seconds_max, return_when=asyncio.FIRST_COMPLETED
            )
            if read.done():
                return read.result()
            if not stop.done():
                self._log.info("connection_idle", peer=peer)
            return b""
        except OSError as error:
            self._log.info("connection_lost", peer=peer, error=type(error).__name__)
            return b""
        finally:
            stop.cancel()
            read.cancel()

    async def _write(self, writer: asyncio.StreamWriter, answer: bytes, peer: str) -> bool:
        """False when nobody is listening any more."""
        try:
            writer.write(frame(answer))
            await asyncio.wait_for(writer.drain(), self._limits.write_seconds_max)
        except OSError as error:
            self._log.warning("answer_not_sent", peer=peer, error=type(error).__name__)
            return False
        return True

    async def _object(self, fault: FramingError, writer: asyncio.StreamWriter, peer: str) -> None:
        self._log.warning("framing_error", peer=peer, error=str(fault))
        if isinstance(fault, OversizedError):
            for answer in self._receiver.refuse(fault.head, str(fault)):
                await self._write(writer, answer, peer)


def _peer(writer: asyncio.StreamWriter) -> str:
    address = writer.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or "")
