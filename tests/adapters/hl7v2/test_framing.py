"""MLLP frames come out the same however the bytes were split."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.framing import Deframer, FramingError, OversizedError, frame

content = st.binary(min_size=1, max_size=40).map(
    lambda data: data.replace(b"\x0b", b"").replace(b"\x1c", b"") + b"|"
)
between = st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" \r\n", b"\x00"])


def fed(
    pieces: Iterable[bytes], message_bytes_max: int = 1000
) -> tuple[list[bytes], type[FramingError] | None]:
    deframer = Deframer(message_bytes_max)
    messages = [message for piece in pieces for message in deframer.feed(piece)]
    return messages, type(deframer.fault) if deframer.fault else None


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


@given(st.lists(st.tuples(between, content)), st.integers(1, 17))
@settings(max_examples=100)
def test_messages_survive_any_fragmentation(sent: list[tuple[bytes, bytes]], size: int) -> None:
    wire = b"".join(gap + frame(message) for gap, message in sent)
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    assert fed(pieces) == ([message for _, message in sent], None)


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"x", b"MSH|", b"yyyyyyyyyyyy"]), max_size=30))
@settings(max_examples=200)
def test_no_stream_is_read_differently_byte_by_byte(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    assert fed([stream], 10) == fed(bytewise(stream), 10)


def test_two_messages_in_one_packet_are_two_messages() -> None:
    assert fed([frame(b"one") + frame(b"two")]) == ([b"one", b"two"], None)


def test_the_end_bytes_may_come_alone() -> None:
    assert fed([b"\x0bone", b"\x1c", b"\r", frame(b"two")]) == ([b"one", b"two"], None)


def test_a_sender_without_the_last_carriage_return_is_understood_at_once() -> None:
    assert fed([b"\x0bone\x1c"]) == ([b"one"], None)


def test_line_feeds_around_frames_are_passed_over() -> None:
    assert fed([b"\r\n\x0bone\x1c\n\r\n\x0btwo\x1c\r\n"]) == ([b"one", b"two"], None)


def test_an_empty_frame_is_no_message() -> None:
    assert fed([b"\x0b\x1c\r\x0b\r\n\x1c\r", frame(b"one")]) == ([b"one"], None)


@pytest.mark.parametrize("stream", [b"MSH|^~\\&|\r", b"\x0bone\x1c\rtwo", b"x\x0bone\x1c\r"])
def test_bytes_outside_a_frame_are_a_fault(stream: bytes) -> None:
    assert fed([stream])[1] is FramingError


def test_a_frame_that_begins_inside_another_is_a_fault() -> None:
    assert fed([b"\x0bone\x0btwo\x1c\r"]) == ([], FramingError)


def test_what_was_complete_before_a_fault_comes_out() -> None:
    assert fed([frame(b"one") + b"noise" + frame(b"two")]) == ([b"one"], FramingError)


def test_a_message_of_the_greatest_size_is_taken_and_one_byte_more_is_not() -> None:
    assert fed([frame(b"x" * 10)], 10) == ([b"x" * 10], None)
    assert fed([frame(b"x" * 11)], 10) == ([], OversizedError)


def test_an_oversized_message_is_known_before_it_ends_and_shows_its_head() -> None:
    deframer = Deframer(10)
    deframer.feed(b"\x0bMSH|^~\\&|A|B")
    assert isinstance(deframer.fault, OversizedError)
    assert deframer.fault.head == b"MSH|^~\\&|A|B"
    assert deframer.feed(frame(b"more")) == []


def test_a_large_message_in_small_pieces_is_not_searched_again_and_again() -> None:
    deframer = Deframer(10_000_000)
    stream = frame(b"x" * 2_000_000)
    found = [
        message
        for start in range(0, len(stream), 100)
        for message in deframer.feed(stream[start : start + 100])
    ]
    assert [len(message) for message in found] == [2_000_000]
