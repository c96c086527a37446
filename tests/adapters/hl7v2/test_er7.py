"""The tokenizer loses nothing and tells apart what the standard tells apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.charsets import decode
from adapters.hl7v2.er7 import Unreadable, parse
from adapters.hl7v2.header import header_of

SAMPLES = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "hl7v2"

text = st.text(alphabet='AB1 ^~&\\|"é\u4e2d#.', max_size=20)
lines = st.lists(
    st.tuples(st.sampled_from(["PID", "ZZZ", "OBX", "NT1"]), st.lists(text, max_size=5)), max_size=6
)
ends = st.lists(st.sampled_from(["\r", "\n", "\r\n", "\r\r"]), min_size=7, max_size=7)


@given(lines, ends, st.sampled_from(["", "\ufeff", "\r\n"]))
@settings(max_examples=150)
def test_printing_what_was_parsed_gives_the_text_back(
    segments: list[tuple[str, list[str]]], terminators: list[str], prefix: str
) -> None:
    written = ["MSH|^~\\&|A|B", *("|".join([name, *fields]) for name, fields in segments)]
    whole = prefix + "".join(line + end for line, end in zip(written, terminators, strict=False))
    message = parse(whole)
    assert str(message) == whole
    assert [segment.text for segment in message.segments] == written


@given(lines)
@settings(max_examples=100)
def test_the_parts_of_a_field_put_together_are_the_field(segments: list[tuple[str, list[str]]]) -> None:
    message = parse("\r".join(["MSH|^~\\&|A", *("|".join([name, *fields]) for name, fields in segments)]))
    for segment in message.segments[1:]:
        assert "|".join([segment.name, *(field.text for field in segment.fields)]) == segment.text.rstrip(
            "|"
        ) or (segment.text)
        for field in segment.fields:
            assert "~".join("^".join(one.components) for one in field.repetitions) == field.text


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_no_text_after_a_header_is_refused(garbage: str) -> None:
    whole = f"MSH|^~\\&|A\r{garbage}"
    assert str(parse(whole)) == whole


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.glob("*.hl7"))] or ["absent"])
def test_no_sample_message_loses_a_segment(name: str) -> None:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the sample messages are not beside the checkout")
    raw = path.read_bytes()
    decoded = decode(raw)
    message = parse(decoded.text, decoded.codec)
    stated = [
        line[:3].decode() for line in re.split(rb"[\r\n]+", raw.removeprefix(b"\xef\xbb\xbf")) if line.strip()
    ]
    assert [segment.name for segment in message.segments] == stated
    assert str(message).encode(decoded.codec) == raw
    assert header_of(message).control_id


def test_the_samples_are_all_there() -> None:
    if not SAMPLES.exists():
        pytest.skip("the sample messages are not beside the checkout")
    assert len(list(SAMPLES.glob("*.hl7"))) == 47


def test_components_subcomponents_and_repetitions_are_told_apart() -> None:
    pid = parse("MSH|^~\\&|\rPID|1||A^1^^NS&1.2.3&ISO~B||Van&der^Erika")["PID"]
    assert [one[1] for one in pid[3]] == ["A", "B"]
    assert (pid[3][4], pid[3][4, 2], pid[3][4, 3]) == ("NS", "1.2.3", "ISO")
    assert pid[5][1] == "Van"
    assert (pid[5][9], pid[5][1, 7], pid[99][1]) == ("", "", "")


def test_other_delimiters_are_taken_from_the_header() -> None:
    pid = parse("MSH*:;!@*A\rPID*1**X:Y;Z*!F!!S!")["PID"]
    assert [one[1] for one in pid[3]] == ["X", "Z"]
    assert pid[4][1] == "*:"


def test_a_fifth_encoding_character_is_understood() -> None:
    message = parse("MSH|^~\\&#|A\rPID|1||X\\P\\Y")
    assert message["MSH"][2].text == "^~\\&#"
    assert message["PID"][3][1] == "X#Y"


def test_a_header_that_needs_few_delimiters_states_few() -> None:
    assert parse("MSH|^|A\rPID|1||X^Y~Z&\\T\\")["PID"][3][2] == "Y~Z&\\T\\"


def test_null_is_not_absence() -> None:
    pid = parse('MSH|^~\\&|\rPID|1||""||A^""^C')["PID"]
    assert pid[3].null
    assert not pid[3].valued
    assert not pid[4].null
    assert (pid[5][1], pid[5][2], pid[5][3]) == ("A", "", "C")


def test_delimiters_and_spaces_alone_say_nothing() -> None:
    pid = parse("MSH|^~\\&|\rPID|1||^^~^&|  |~A")["PID"]
    assert not pid[3].valued
    assert not pid[4].valued
    assert pid[5][1] == "A"


def test_z_segments_are_there_and_numbered() -> None:
    message = parse("MSH|^~\\&|\rZPI|a\rPID|1\rZPI|b")
    assert [(segment.place, segment[1][1]) for segment in message.all("ZPI")] == [(1, "a"), (2, "b")]


def test_a_line_that_begins_like_no_segment_belongs_to_the_field_before() -> None:
    message = parse("MSH|^~\\&|\rOBX|1|TX|a||first\nsecond line|x\rNTE|1")
    assert [segment.name for segment in message.segments] == ["MSH", "OBX", "NTE"]
    assert message["OBX"][5][1] == "first\nsecond line"
    assert message["OBX"][6][1] == "x"


def test_what_nobody_asked_for_can_be_told() -> None:
    pid = parse("MSH|^~\\&|\rPID|1||A||B")["PID"]
    _ = pid[3][1]
    assert pid.asked == {3}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "hello",
        "PID|1",
        "MSH",
        "MSH|",
        "MSH|^^\\&|",
        "MSH|^~\\&#!|",
        "MSHA^~\\&A",
        "MSH|a~\\&|",
        "FHS|^~\\&|",
    ],
)
def test_what_does_not_say_how_it_is_written_is_unreadable(raw: str) -> None:
    with pytest.raises(Unreadable):
        parse(raw)
