"""Connections go to the workers in turn, and to none that cannot take them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fhir_server.supervisor.handover import Dispatcher, Receiver


class Greeting(asyncio.Protocol):
    """Says who has the connection."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._name)
        transport.close()


@dataclass(slots=True)
class Handing:
    """A dispatcher on a free port."""

    dispatcher: Dispatcher
    port: int
    open: ExitStack = field(default_factory=ExitStack)

    def channel(self) -> tuple[socket.socket, socket.socket]:
        """The supervisor's end and the worker's."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.open.callback(ours.close)
        self.open.callback(theirs.close)
        return ours, theirs

    def worker(self, name: bytes) -> socket.socket:
        """A worker that serves; the supervisor's end of its channel."""
        ours, theirs = self.channel()
        self.open.callback(Receiver(theirs, lambda: Greeting(name), None).close)
        self.dispatcher.add(ours)
        return ours

    async def ask(self) -> bytes:
        """Whom a new connection came to."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


@asynccontextmanager
async def handing() -> AsyncIterator[Handing]:
    listening = socket.create_server(("127.0.0.1", 0))
    handed = Handing(Dispatcher(listening), listening.getsockname()[1])
    with handed.open:
        handed.open.callback(handed.dispatcher.close)
        yield handed
        # What was opened is closed in a later turn of the loop.
        await asyncio.sleep(0)


def fill(channel: socket.socket) -> None:
    """Hand over as much as a channel holds while its reader stands still."""
    one, other = socket.socketpair()
    with one, other, contextlib.suppress(BlockingIOError):
        while True:
            socket.send_fds(channel, [b"c"], [one.fileno()])


async def test_workers_get_connections_in_turn() -> None:
    async with handing() as handed:
        for name in (b"a", b"b", b"c"):
            handed.worker(name)
        assert [await handed.ask() for _ in range(6)] == [b"a", b"b", b"c", b"a", b"b", b"c"]


async def test_a_worker_that_was_removed_gets_none() -> None:
    async with handing() as handed:
        first = handed.worker(b"a")
        handed.worker(b"b")
        handed.dispatcher.remove(first)
        assert {await handed.ask() for _ in range(3)} == {b"b"}


async def test_a_worker_that_has_just_died_is_passed_over() -> None:
    async with handing() as handed:
        ours, theirs = handed.channel()
        handed.dispatcher.add(ours)
        theirs.close()
        handed.worker(b"b")
        assert {await handed.ask() for _ in range(3)} == {b"b"}


async def test_connections_wait_for_the_first_worker() -> None:
    async with handing() as handed:
        asking = asyncio.create_task(handed.ask())
        await asyncio.sleep(0.05)
        assert not asking.done()
        handed.worker(b"a")
        assert await asking == b"a"


async def test_a_connection_waits_while_no_worker_can_take_it() -> None:
    async with handing() as handed:
        ours, theirs = handed.channel()
        fill(ours)
        handed.dispatcher.add(ours)
        asking = asyncio.create_task(handed.ask())
        await asyncio.sleep(0.1)
        assert not asking.done()
        handed.open.callback(Receiver(theirs, lambda: Greeting(b"a"), None).close)
        assert await asking == b"a"


async def test_what_was_handed_over_before_the_end_is_answered() -> None:
    ours, theirs = socket.socketpair()
    receiver = Receiver(theirs, lambda: Greeting(b"a"), None)
    with ours, socket.create_server(("127.0.0.1", 0)) as listening:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        with listening.accept()[0] as accepted:
            socket.send_fds(ours, [b"c"], [accepted.fileno()])
        receiver.close()
        assert await asyncio.wait_for(reader.read(), 5) == b"a"
        writer.close()


async def test_a_closed_dispatcher_refuses() -> None:
    async with handing() as handed:
        handed.worker(b"a")
        handed.dispatcher.close()
        with pytest.raises(ConnectionRefusedError):
            await handed.ask()
