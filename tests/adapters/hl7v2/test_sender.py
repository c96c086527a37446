"""Files of messages on their way, and which answer is to which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2 import sender
from adapters.hl7v2.framing import Deframer, frame
from adapters.hl7v2.sender import Answer, SendError, messages_in, send
from tests.adapters.hl7v2.builders import Hospital, a_message, an_oru, parsed
from tests.adapters.hl7v2.test_listener import a_line

Replies = Callable[[bytes], list[bytes]]


def ack(raw: bytes, code: str, control_id: str = "") -> bytes:
    return f"MSH|^~\\&|||||2026||ACK|9|P|2.5\rMSA|{code}|{control_id or parsed(raw)['MSH'][10][1]}\r".encode()


@asynccontextmanager
async def somebody(replies: Replies) -> AsyncIterator[int]:
    """A listener that says what it is told to."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer(1_000_000)
        while data := await reader.read(65536):
            for message in deframer.feed(data):
                for reply in replies(message):
                    writer.write(frame(reply))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def sent(files: list[Path], port: int, seconds: float = 2.0) -> list[Answer]:
    return [answer async for answer in send(files, "127.0.0.1", port, answer_seconds_max=seconds)]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    numbers = iter(range(100))

    def write(content: bytes) -> Path:
        path = tmp_path / f"{next(numbers)}.hl7"
        path.write_bytes(content)
        return path

    return write


File = Callable[[bytes], Path]


async def test_the_answers_of_a_hospital_are_told(file: File) -> None:
    hospital = Hospital()
    first = file(a_message(control_id="A").replace(b"\r", b"\n"))
    second = file(an_oru(control_id="B", accept="AL", application="NE"))
    async with a_line(hospital.receiver) as line:
        answers = await sent([first, second], line.port)
        again = await sent([first, second], line.port)
    assert [(one.file, one.control_id, one.code) for one in answers] == [
        (first, "A", "AA"),
        (second, "B", "CA"),
    ]
    assert [one.code for one in again] == ["AA", "CA"]
    assert len(hospital.server.bundles) == 2


async def test_nothing_is_waited_for_that_was_not_asked_for(file: File) -> None:
    async with somebody(lambda _: []) as port:
        (answer,) = await asyncio.wait_for(
            sent([file(a_message(accept="NE", application="NE"))], port, 30), 3
        )
    assert (answer.code, answer.text) == (None, "No answer was asked for, or none was due")


async def test_both_answers_are_told_when_both_were_asked_for(file: File) -> None:
    path = file(a_message(accept="AL", application="AL"))
    async with somebody(lambda raw: [ack(raw, "CA"), ack(raw, "AE")]) as port:
        assert [one.code for one in await sent([path], port)] == ["CA", "AE"]


async def test_a_message_that_was_not_accepted_has_no_other_answer(file: File) -> None:
    path = file(a_message(accept="AL", application="AL"))
    async with somebody(lambda raw: [ack(raw, "CR")]) as port:
        assert [one.code for one in await asyncio.wait_for(sent([path], port, 30), 3)] == ["CR"]


async def test_an_answer_that_comes_only_on_error_is_waited_for_a_little(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PERHAPS_SECONDS", 0.1)
    path = file(a_message(accept="ER", application="AL"))
    async with somebody(lambda raw: [ack(raw, "AA")]) as port:
        assert [one.code for one in await sent([path], port)] == ["AA"]
    only_errors = file(a_message(accept="ER", application="ER"))
    async with somebody(lambda _: []) as port:
        assert [one.code for one in await sent([only_errors], port)] == [None]


async def test_a_late_answer_is_not_taken_for_that_to_the_next(file: File) -> None:
    """HL7 v2.8, 2.9.3: MSA-2 says which message is answered."""
    path = file(a_message(control_id="1") + a_message(control_id="2"))
    async with somebody(lambda raw: [ack(raw, "AE", "0"), ack(raw, "AA")]) as port:
        assert [(one.control_id, one.code) for one in await sent([path], port)] == [("1", "AA"), ("2", "AA")]


async def test_no_answer_in_time_is_told_and_the_next_message_is_sent(file: File) -> None:
    path = file(a_message(control_id="1") + a_message(control_id="2"))
    async with somebody(lambda raw: [ack(raw, "AA")] if b"|2|P" in raw else []) as port:
        answers = await sent([path], port, 0.1)
    assert [(one.control_id, one.code) for one in answers] == [("1", None), ("2", "AA")]


async def test_what_an_answer_says_of_an_error_is_told(file: File) -> None:
    hospital = Hospital()
    async with a_line(hospital.receiver) as line:
        (answer,) = await sent([file(a_message("PID|1"))], line.port)
    assert answer.code == "AE"
    assert answer.text == "PID^1^3 101 The patient has no identifier"


async def test_a_file_without_a_message_does_not_stop_the_others(file: File) -> None:
    async with somebody(lambda raw: [ack(raw, "AA")]) as port:
        answers = await sent([file(b"\n\n"), file(b"hello"), file(a_message())], port)
    assert [one.code for one in answers] == [None, None, "AA"]
    assert answers[0].text.startswith("Not sent")


async def test_nobody_there_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(SendError, match="No connection"):
        await sent([tmp_path / "x"], 1)


async def test_a_file_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    async with somebody(lambda _: []) as port:
        with pytest.raises(SendError, match="cannot be read"):
            await sent([tmp_path / "none.hl7"], port)


async def test_a_listener_that_hangs_up_is_told_as_that(file: File) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        with pytest.raises(SendError, match="closed the connection"):
            await sent([file(a_message())], server.sockets[0].getsockname()[1])


def test_frames_batches_and_byte_order_marks_are_taken_off() -> None:
    batch = (
        b"\xef\xbb\xbfFHS|^~\\&|A\nBHS|^~\\&|A\n\x0b"
        + a_message()
        + b"\x1c\r\n"
        + an_oru()
        + b"BTS|2\nFTS|1\n"
    )
    assert list(messages_in(batch)) == [a_message(), an_oru()]


@given(
    st.lists(st.sampled_from([a_message(), an_oru(), a_message(control_id="3")]), max_size=5),
    st.sampled_from([b"\r", b"\n", b"\r\n"]),
)
@settings(max_examples=50)
def test_a_file_of_messages_is_these_messages(messages: list[bytes], end: bytes) -> None:
    assert list(messages_in(b"".join(messages).replace(b"\r", end))) == messages
