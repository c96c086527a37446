"""Escape sequences say what they stand for; what is none stays what it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.encoding import Encoding
from adapters.hl7v2.escapes import escape, unescape

ENCODING = Encoding(truncation="#")


@given(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200)
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    assert unescape(escape(text, ENCODING), ENCODING) == text


@given(st.text(max_size=40))
def test_no_text_is_refused(text: str) -> None:
    unescape(text, ENCODING)


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        (r"\F\\S\\T\\R\\E\\P\ ", "|^&~\\# "),
        (r"first\.br\second", "first\nsecond"),
        (r"a\.sp2\b\.sk3\c", "a\n\nb   c"),
        (r"\H\bold\N\ \.in+4\\.ti-2\\.nf\text\.fi\\.ce\ ", "bold text\n "),
        (r"\X4D\\XC3A4\ ", "Mä "),
        (r"D\T\G", "D&G"),
        (r"\.br", r"\.br"),
        ("a\\", "a\\"),
        (r"C:\dir\file", r"C:\dir\file"),
        (r"C:\dir\T\x", r"C:\dir&x"),
        (r"\Zlocal\\T\ ", r"\Zlocal\& "),
        (r"\C2842\\M2842\ ", r"\C2842\\M2842\ "),
        (r"\XZZ\ ", r"\XZZ\ "),
    ],
)
def test_each_sequence_reads_as_the_standard_says(written: str, reads: str) -> None:
    """HL7 v2.8, 2.7"""
    assert unescape(written, ENCODING) == reads


def test_hexadecimal_is_in_the_character_set_of_the_message() -> None:
    assert unescape(r"\XE4\ ", Encoding(codec="latin-1")) == "ä "
    assert unescape(r"\XE4\ ", Encoding(codec="utf-8")) == "ä "


def test_a_message_without_an_escape_character_has_no_sequences() -> None:
    encoding = Encoding(escape="")
    assert unescape(r"\T\ ", encoding) == r"\T\ "
    assert escape("a|b", encoding) == "a b"
