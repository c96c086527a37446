"""The listener over real sockets: whatever the network does, each message is done once and in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from adapters.hl7v2.framing import Deframer, frame
from adapters.hl7v2.listener import Limits, Listener, Receives
from tests.adapters.hl7v2.builders import Hospital, RecordingLog, a_message, an_oru, parsed

PATIENCE_SECONDS = 5.0


@dataclass
class Echo:
    """A receiver that answers with what it got, and can be held up."""

    received: list[bytes] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    hold: asyncio.Event | None = None
    silent: bool = False

    async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        if self.hold is not None:
            await self.hold.wait()
        self.received.append(raw)
        self.peers.add(peer)
        if not self.silent:
            yield b"ACK " + raw

    def refuse(self, head: bytes, text: str) -> Sequence[bytes]:
        return [b"NAK " + head[:3] + b" " + text.encode()]


class Caller:
    """A sender's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._deframer = Deframer(1_000_000)
        self._answers: list[bytes] = []

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        while not self._answers:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE_SECONDS)
            assert data, "the listener has hung up"
            self._answers += self._deframer.feed(data)
        return self._answers.pop(0)

    async def hung_up(self) -> bool:
        return await asyncio.wait_for(self.reader.read(65536), PATIENCE_SECONDS) == b""


class Line:
    """A listener that is listening."""

    def __init__(self, listener: Listener, port: int, log: RecordingLog) -> None:
        self.listener = listener
        self.port = port
        self.log = log

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def a_line(receiver: Receives, limits: Limits | None = None) -> AsyncIterator[Line]:
    log = RecordingLog()
    listener = Listener(receiver, limits or Limits(), log)
    sock = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(listener.serve(sock))
    await asyncio.sleep(0)
    try:
        yield Line(listener, sock.getsockname()[1], log)
    finally:
        listener.stop()
        await asyncio.wait_for(serving, PATIENCE_SECONDS)


async def test_many_messages_on_one_connection_are_answered_in_order() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        for number in range(20):
            await caller.say(frame(b"message %d" % number))
            assert await caller.answer() == b"ACK message %d" % number


async def test_a_message_that_comes_byte_by_byte_is_one_message() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        for byte in frame(b"slowly"):
            await caller.say(bytes([byte]))
            await asyncio.sleep(0)
        assert await caller.answer() == b"ACK slowly"


async def test_several_messages_in_one_packet_are_all_answered_in_order() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        await caller.say(b"".join(frame(b"%d" % number) for number in range(50)))
        assert [await caller.answer() for _ in range(50)] == [b"ACK %d" % number for number in range(50)]


async def test_an_answer_is_given_though_the_sender_has_said_its_last() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        await caller.say(frame(b"last words"))
        caller.writer.write_eof()
        assert await caller.answer() == b"ACK last words"
        assert await caller.hung_up()


async def test_all_is_done_for_a_sender_who_hangs_up_without_waiting() -> None:
    receiver = Echo(hold=asyncio.Event())
    assert receiver.hold is not None
    async with a_line(receiver) as line:
        async with line.caller() as caller:
            await caller.say(frame(b"one") + frame(b"two"))
            caller.writer.transport.abort()
        await asyncio.sleep(0.05)
        receiver.hold.set()
        await until(lambda: len(receiver.received) == 2)


async def test_nothing_is_said_to_a_sender_who_asked_for_nothing() -> None:
    receiver = Echo(silent=True)
    async with a_line(receiver) as line, line.caller() as caller:
        await caller.say(frame(b"one") + frame(b"two"))
        await until(lambda: len(receiver.received) == 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.reader.read(1), 0.05)


async def test_an_oversized_message_is_answered_and_the_line_is_closed() -> None:
    async with a_line(Echo(), Limits(message_bytes_max=100)) as line, line.caller() as caller:
        await caller.say(frame(b"fits"))
        assert await caller.answer() == b"ACK fits"
        await caller.say(b"\x0bMSH" + b"x" * 200)
        assert await caller.answer() == b"NAK MSH A message has more than 100 bytes"
        assert await caller.hung_up()


async def test_noise_closes_the_line_without_an_answer() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        await caller.say(b"GET / HTTP/1.1\r\n\r\n")
        assert await caller.hung_up()
        assert "framing_error" in line.log.events()


async def test_what_was_complete_before_the_noise_is_answered() -> None:
    async with a_line(Echo()) as line, line.caller() as caller:
        await caller.say(frame(b"one") + b"noise")
        assert await caller.answer() == b"ACK one"
        assert await caller.hung_up()


async def test_a_silent_connection_is_closed_after_a_while() -> None:
    async with a_line(Echo(), Limits(idle_seconds_max=0.05)) as line, line.caller() as caller:
        assert await caller.hung_up()


async def test_half_a_message_is_not_kept_waiting_for() -> None:
    async with a_line(Echo(), Limits(idle_seconds_max=0.05)) as line, line.caller() as caller:
        await caller.say(b"\x0bMSH|half")
        assert await caller.hung_up()
        assert "message_cut_off" in line.log.events()


async def test_more_connections_than_allowed_are_refused_and_room_is_made_again() -> None:
    async with a_line(Echo(), Limits(connections_max=1)) as line:
        async with line.caller() as first:
            await first.say(frame(b"one"))
            assert await first.answer() == b"ACK one"
            async with line.caller() as second:
                assert await second.hung_up()
        await until(lambda: not line.listener._connections)
        async with line.caller() as third:
            await third.say(frame(b"three"))
            assert await third.answer() == b"ACK three"


async def test_stopping_finishes_the_message_under_way_and_takes_no_other() -> None:
    receiver = Echo(hold=asyncio.Event())
    assert receiver.hold is not None
    async with a_line(receiver) as line, line.caller() as busy, line.caller() as idle:
        await busy.say(frame(b"one") + frame(b"two"))
        await until(lambda: len(line.listener._connections) == 2)
        await asyncio.sleep(0.05)
        line.listener.stop()
        assert await idle.hung_up()
        receiver.hold.set()
        assert await busy.answer() == b"ACK one"
        assert await busy.hung_up()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", line.port)
    assert receiver.received == [b"one"]


async def test_stopping_does_not_wait_for_ever() -> None:
    receiver = Echo(hold=asyncio.Event())
    async with a_line(receiver, Limits(drain_seconds_max=0.05)) as line, line.caller() as caller:
        await caller.say(frame(b"stuck"))
        await asyncio.sleep(0.05)
        line.listener.stop()
        assert await caller.hung_up()


async def test_a_cancelled_listener_leaves_no_connection() -> None:
    listener = Listener(Echo(), Limits(), RecordingLog())
    sock = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(listener.serve(sock))
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    await asyncio.sleep(0.02)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert await reader.read() == b""
    writer.close()


async def test_a_whole_hospital_on_the_line() -> None:
    hospital = Hospital()
    async with a_line(hospital.receiver) as line, line.caller() as caller:
        await caller.say(frame(a_message()) + frame(an_oru(control_id="2", accept="AL", application="NE")))
        codes = [parsed(await caller.answer())["MSA"][1][1] for _ in range(2)]
        assert codes == ["AA", "CA"]
        await until(lambda: len(hospital.server.of_type("Observation")) == 1)


async def test_a_hospital_refuses_what_is_too_long_by_name() -> None:
    hospital = Hospital()
    async with a_line(hospital.receiver, Limits(message_bytes_max=200)) as line, line.caller() as caller:
        await caller.say(frame(a_message("OBX|1|TX|||" + "x" * 300, control_id="LONG")))
        answer = parsed(await caller.answer())
        assert (answer["MSA"][1][1], answer["MSA"][2][1]) == ("AR", "LONG")
    assert hospital.inbox.kept == {}


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens beyond a socket
            await asyncio.sleep(0.005)
