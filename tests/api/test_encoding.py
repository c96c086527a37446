"""gzip within limits: https://www.rfc-editor.org/rfc/rfc1952"""

from __future__ import annotations

import gzip
import random
import time
import tracemalloc
import zlib
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.api.encoding import MEMBERS_MAX, PIECE_BYTES_MAX, Inflating, packed, prefers_gzip
from fhir_server.r4.errors import Invalid, TooLarge

MEGABYTE = 1 << 20


def inflated(chunks: list[bytes], bytes_max: int = 64 * MEGABYTE) -> bytes:
    inflating = Inflating(bytes_max)
    body = b"".join(piece for chunk in chunks for piece in inflating.feed(chunk))
    inflating.finish()
    return body


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=4), st.integers(1, 500))
@settings(max_examples=100)
def test_what_was_packed_comes_back_however_it_is_split(members: list[bytes], size: int) -> None:
    """As one member or several."""
    wire = b"".join(packed(member) for member in members)
    chunks = [wire[start : start + size] for start in range(0, len(wire), size)]
    assert inflated(chunks) == b"".join(members)


@given(st.binary(max_size=3_000))
@settings(max_examples=50)
def test_what_we_pack_others_unpack(body: bytes) -> None:
    assert gzip.decompress(packed(body)) == body
    assert packed(body) == packed(body)


@pytest.mark.parametrize(
    "size", [PIECE_BYTES_MAX - 1, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, 3 * PIECE_BYTES_MAX]
)
def test_no_piece_is_larger_than_its_limit(size: int) -> None:
    body = random.Random(size).randbytes(size // 2) * 2 + b"x" * (size % 2)
    pieces = list(Inflating(64 * MEGABYTE).feed(packed(body)))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= PIECE_BYTES_MAX


def test_nothing_is_a_body_without_anything() -> None:
    assert inflated([b""]) == b""


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=200)
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        inflated([body])


@given(st.data())
@settings(max_examples=100)
def test_what_was_cut_or_altered_is_refused_or_the_same(data: st.DataObject) -> None:
    body = b'{"resourceType":"Patient","id":"x"}' * 5
    wire = packed(body)
    with pytest.raises(Invalid):
        inflated([wire[: data.draw(st.integers(1, len(wire) - 1))]])
    # The header's time and the like may change; what was packed may not.
    place = data.draw(st.integers(0, len(wire) - 1))
    altered = wire[:place] + bytes([data.draw(st.integers(0, 255))]) + wire[place + 1 :]
    try:
        assert inflated([altered]) == body
    except Invalid:
        return


def test_what_follows_a_member_must_be_one() -> None:
    with pytest.raises(Invalid):
        inflated([packed(b"{}") + b"garbage"])
    with pytest.raises(Invalid):
        inflated([packed(b"{}"), b"\x00\x00"])


@pytest.mark.parametrize("coding", [zlib.compress(b"{}"), zlib.compress(b"{}", wbits=-15), b"{}"])
def test_only_gzip_is_unpacked(coding: bytes) -> None:
    with pytest.raises(Invalid):
        inflated([coding])


def test_the_limit_is_on_what_is_unpacked() -> None:
    body = random.Random(1).randbytes(10_000)
    assert inflated([packed(body)], 10_000) == body
    with pytest.raises(TooLarge):
        inflated([packed(body)], 9_999)
    with pytest.raises(TooLarge):
        inflated([packed(body[:5_000]) + packed(body[5_000:])], 9_999)


def a_bomb(gigabytes: int) -> bytes:
    """So many zeros, packed once; a thousandth of the size."""
    packing = zlib.compressobj(9, wbits=31)
    zeros = bytes(MEGABYTE)
    wire = b"".join(packing.compress(zeros) for _ in range(1024 * gigabytes))
    return wire + packing.flush()


def test_a_bomb_costs_little() -> None:
    wire = a_bomb(1)
    assert len(wire) < 2 * MEGABYTE
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(TooLarge):
        deque(Inflating(64 * MEGABYTE).feed(wire), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MEGABYTE
    assert time.process_time() - started < 1


def test_what_is_packed_well_is_no_bomb() -> None:
    body = b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":%d}},'
    text = b"".join(body % number for number in range(100_000))
    wire = packed(text)
    assert len(text) > 20 * len(wire)
    chunks = [wire[start : start + 65_536] for start in range(0, len(wire), 65_536)]
    assert inflated(chunks) == text


def test_members_are_bounded() -> None:
    empty = packed(b"")
    assert inflated([empty * MEMBERS_MAX]) == b""
    started = time.process_time()
    with pytest.raises(TooLarge):
        inflated([empty * (MEMBERS_MAX * 50)])
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("accept_encoding", "wanted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("deflate, br", False),
        ("gzip;q=x", False),
        ("gzip;q=-1", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        (";;;,,,q=", False),
    ],
)
def test_gzip_is_sent_to_whom_wants_it(accept_encoding: str, *, wanted: bool) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding"""
    assert prefers_gzip(accept_encoding) is wanted


@given(st.text(max_size=100))
@settings(max_examples=200)
def test_whatever_is_written_is_a_wish_or_none(text: str) -> None:
    assert prefers_gzip(text) in (True, False)
