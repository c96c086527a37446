"""The primitive types against R4's own patterns, and beyond them."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.primitives import INTEGER_MAX, PRIMITIVES, STRING_BYTES_MAX, is_id, is_uri
from fhir_server.r4.resource import Literal

PATTERNS: Final = {
    name: re.compile(facts.pattern, re.ASCII)
    for name, facts in definitions().types.items()
    if facts.kind == "primitive" and facts.pattern
}

AS_TEXT: Final = sorted(set(PATTERNS) - {"boolean", "decimal", "integer", "positiveInt", "unsignedInt"})


def test_each_primitive_type_of_r4_has_a_check() -> None:
    primitive = {name for name, facts in definitions().types.items() if facts.kind == "primitive"}
    assert set(PRIMITIVES) == primitive


@settings(max_examples=300)
@given(st.sampled_from(AS_TEXT), st.data())
def test_what_is_accepted_has_r4s_pattern(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(PATTERNS[name], fullmatch=True) | st.text(max_size=40))
    if PRIMITIVES[name](text) is None:
        assert PATTERNS[name].fullmatch(text)


EXACT: Final = ("date", "dateTime", "id", "instant", "oid", "time", "uuid")
"""Types of which R4's pattern says all, but for the calendar."""


@settings(max_examples=300)
@given(st.sampled_from(EXACT), st.data())
def test_what_has_r4s_pattern_is_accepted_unless_there_is_no_such_day(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(PATTERNS[name], fullmatch=True))
    # `fullmatch` of Python's `$`-less patterns may still leave a final newline to from_regex.
    assume(not text.endswith("\n"))
    problem = PRIMITIVES[name](text)
    assert problem is None or "day of the calendar" in problem.text


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("boolean", [True, False]),
        ("integer", [0, -INTEGER_MAX - 1, INTEGER_MAX]),
        ("unsignedInt", [0, INTEGER_MAX]),
        ("positiveInt", [1, INTEGER_MAX]),
        ("decimal", [0, -5, 10**17, Literal(b"1.50"), Literal(b"-0"), Literal(b"0.1e-7")]),
        ("string", [" ", "a\r\n\tb", "ä€😀", "\xa0", "\u200b"]),
        ("code", ["a", "a b", "1.2/3", "CHEST\xa0"]),
        ("uri", ["a", "urn:oid:1", "http://example.org/ü", "#x"]),
        ("date", ["2024", "2024-12", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"]),
        (
            "dateTime",
            [
                "2024",
                "2024-02-29T23:59:60Z",
                "2024-01-01T00:00:00.123456789-14:00",
                "1900-01-01T00:00:00+13:59",
            ],
        ),
        ("instant", ["2015-02-07T13:28:17.239+02:00", "2017-01-01T00:00:00Z"]),
        ("time", ["00:00:00", "23:59:60.999"]),
        ("base64Binary", ["aGVsbG8=", "aGVs bG8=", "aGVs\r\nbG8=\r\n", "AA==", "+/+/"]),
        ("oid", ["urn:oid:2.999.0"]),
        ("markdown", ["# x\n\n* y"]),
    ],
)
def test_these_are_accepted(name: str, good: list[Any]) -> None:
    assert [value for value in good if PRIMITIVES[name](value)] == []


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("boolean", ["true", 1, 0, None, Literal(b"1.0")]),
        ("integer", [INTEGER_MAX + 1, True, "1", Literal(b"1.0"), Literal(b"1e3"), Literal(b"-0"), None]),
        ("unsignedInt", [-1, INTEGER_MAX + 1, False]),
        ("positiveInt", [0]),
        # A float would have lost what the client wrote.
        ("decimal", ["1.0", True, 1.5, None]),
        (
            "string",
            ["", 1, None, ["a"], "a\x00", "a\x0b", "x" * (STRING_BYTES_MAX + 1), "€" * STRING_BYTES_MAX],
        ),
        ("code", ["", " a", "a ", "a  b", "a\tb", "a\n", "\x0c"]),
        ("uri", ["", "a b", "a\n", "\t"]),
        (
            "date",
            [
                "",
                "24",
                "0000",
                "2024-00",
                "2024-13",
                "2023-02-29",
                "1900-02-29",
                "2024-04-31",
                "2024-1-1",
                "2024\n",
            ],
        ),
        (
            "dateTime",
            [
                "2024-01-01T",
                "2024-01-01T12:00Z",
                "2024-01-01T12:00:00",
                "2024-01-01T24:00:00Z",
                "2024-01-01T12:00:00.Z",
                "2024-01-01T12:00:00+14:01",
                "2024-01-01t12:00:00z",
                "2024-01-01 12:00:00Z",
                "2024-02-30T12:00:00Z",
                "2024T12:00:00Z",
                "٢٠٢٤",
            ],
        ),
        ("instant", ["2024", "2024-01-01", "2024-01-01T12:00:00", "2024-06-31T12:00:00Z"]),
        ("time", ["24:00:00", "12:00", "12:00:00Z", "12:60:00", "1:00:00"]),
        (
            "base64Binary",
            ["", " ", "a", "aGVsbG8", "aGVs=bG8=", "a===", "aGVs*G8=", "ä", "aGVsbG8==", "a-_="],
        ),
        ("oid", ["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02"]),
        ("uuid", ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"]),
        ("id", ["", "a" * 65, "a_b", "a b", "ä", "a\n"]),
    ],
)
def test_these_are_refused(name: str, bad: list[Any]) -> None:
    assert [value for value in bad if PRIMITIVES[name](value) is None] == []


def test_a_problem_never_repeats_the_value() -> None:
    secret = "Jane Doe 1970-01-01"
    for name, check in PRIMITIVES.items():
        problem = check(secret)
        assert problem is None or "Jane" not in problem.text, name


def test_ids_and_uris_can_be_asked_for() -> None:
    assert is_id("a-1.B")
    assert not is_id("a/1")
    assert is_uri("urn:x:y")
    assert not is_uri("")
