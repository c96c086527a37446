"""Bytes become the characters that were meant, and can become the same bytes again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.charsets import CODECS, codec_named, decode
from adapters.hl7v2.er7 import parse

HEADER = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5||||||{charset}\rPID|1||{name}\r"


@given(st.binary(max_size=60), st.sampled_from(["", "ASCII", "UNICODE UTF-8", "8859/1", "BIG-5", "nonsense"]))
@settings(max_examples=200)
def test_no_bytes_are_refused_and_none_lost(garbage: bytes, charset: str) -> None:
    raw = HEADER.format(charset=charset, name="").encode() + garbage
    decoded = decode(raw)
    assert decoded.text.encode(decoded.codec) == raw


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("", "utf-8", "Jäger"),
        ("", "latin-1", "Jäger"),
        ("UNICODE UTF-8", "utf-8", "Jäger 中"),
        ("UTF-8", "utf-8", "Jäger"),
        ("utf8", "utf-8", "Jäger"),
        ("8859/1", "latin-1", "Jäger"),
        ("8859/2", "iso8859-2", "Łódź"),
        ("8859/5", "iso8859-5", "Иван"),
        ("ISO-8859-1", "latin-1", "Jäger"),
        ("Windows-1252", "cp1252", "Jäger €"),
        ("CP1252", "cp1252", "€"),
        ("ASCII", "cp1252", "Jäger “quoted”"),
        ("UNICODE UTF-8", "cp1252", "Jäger €"),
        ("GB 18030-2000", "gb18030", "中文"),
        ("KS X 1001", "euc_kr", "한국"),
        ("BIG-5", "big5", "中文"),
        ("8859/1~ISO IR87", "latin-1", "Jäger"),
        ("who knows", "utf-8", "Jäger"),
    ],
)
def test_a_name_is_read_as_it_was_meant(charset: str, codec: str, name: str) -> None:
    """HL7 table 0211, and what real senders write instead, or do without telling."""
    decoded = decode(HEADER.format(charset=charset, name=name).encode(codec))
    assert parse(decoded.text, decoded.codec)["PID"][3][1] == name


def test_a_broken_promise_is_told() -> None:
    raw = HEADER.format(charset="UNICODE UTF-8", name="Jäger").encode("latin-1")
    decoded = decode(raw)
    assert (decoded.declared, decoded.codec, decoded.kept) == ("UNICODE UTF-8", "cp1252", False)


def test_a_byte_order_mark_does_not_hide_the_header() -> None:
    decoded = decode(b"\xef\xbb\xbf" + HEADER.format(charset="8859/1", name="x").encode())
    assert decoded.declared == "8859/1"


@pytest.mark.parametrize("name", CODECS)
def test_each_set_of_the_table_has_a_codec(name: str) -> None:
    assert codec_named(name) == CODECS[name]
    assert codec_named(name.lower()) == CODECS[name]
