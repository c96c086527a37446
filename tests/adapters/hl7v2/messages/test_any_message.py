"""No message, however broken, brings the translators down: it is translated, or refused with a reason."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir_json import Json, parse, render
from adapters.hl7v2 import er7
from adapters.hl7v2.draft import Found
from adapters.hl7v2.messages import TRANSLATORS
from adapters.hl7v2.reading import Reading, Rejection, unmapped
from adapters.hl7v2.segments.evn import provenance
from adapters.hl7v2.transaction import transaction
from fhir_server.r4.resource import from_text
from fhir_server.r4.validation import validate
from tests.adapters.hl7v2.builders import a_header, a_reading

GOLDEN = Path(__file__).parents[1] / "golden"
SEGMENTS = sorted(
    {
        line
        for path in GOLDEN.glob("*.hl7")
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("MSH")
    }
)
NOISE = (
    '"" ^ ~ & ^^^ A -1 0 99999999 20261301 \\.br\\ \\X00\\ é Y 1.50 ^^^&&ISO X^^LN 4711^^^GH^MR'
    " 1e400 U D NM ED CWE TM javascript:x"
)
noise = st.sampled_from(["", " ", "\x07", "\ufeff", *NOISE.split()])
edits = st.lists(st.tuples(st.integers(1, 45), noise), max_size=6)
segments = st.lists(st.tuples(st.sampled_from(SEGMENTS), edits), min_size=1, max_size=8)


def edited(segment: str, changes: list[tuple[int, str]]) -> str:
    fields = segment.split("|")
    for number, text in changes:
        fields += [""] * (number + 1 - len(fields))
        fields[number] = text
    return "|".join(fields)


@given(segments, st.sampled_from(sorted(TRANSLATORS)))
@settings(max_examples=150, deadline=None)
def test_a_message_is_translated_into_valid_r4_or_refused(
    written: list[tuple[str, list[tuple[int, str]]]], kind: tuple[str, str]
) -> None:
    lines = [a_header("^".join(kind)), "PID|1||4711^^^GH^MR", *(edited(*segment) for segment in written)]
    message = er7.parse("\r".join(lines))
    reading = a_reading(message)
    with contextlib.suppress(Rejection):
        bundle = bundled(message, reading)
        assert unmapped(message, reading) == sorted(set(unmapped(message, reading)))
        assert parse(render(bundle)) == bundle
        assert faults(bundle) == []


def bundled(message: er7.Message, reading: Reading) -> Json:
    drafts = TRANSLATORS[reading.header.code, reading.header.event](message, reading, Found())
    source = provenance(message, reading, id="p", recorded="2026-01-01T00:00:00Z", inbox_id="m1")
    return transaction(drafts, {}, source, "http://fhir.example/r4").bundle


def faults(bundle: Json) -> list[str]:
    whole = from_text(render(bundle))
    return [
        f"{issue.expression}: {issue.diagnostics}"
        for resource in (whole, *(entry["resource"] for entry in whole["entry"]))
        for issue in validate(resource)
        if issue.severity in ("error", "fatal")
    ]


@pytest.mark.parametrize("line", SEGMENTS)
def test_each_segment_alone_is_translated_or_refused(line: str) -> None:
    for kind in TRANSLATORS:
        message = er7.parse("\r".join([a_header("^".join(kind)), line]))
        with contextlib.suppress(Rejection):
            assert faults(bundled(message, a_reading(message))) == []
