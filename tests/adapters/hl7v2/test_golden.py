"""
What each message comes to, whole: golden/*.hl7 beside golden/*.json.

`--update-golden` writes the JSON anew; then read the difference. Each production bug adds a pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from adapters.fhir_json import render
from adapters.hl7v2.draft import Found
from adapters.hl7v2.messages import TRANSLATORS
from adapters.hl7v2.reading import unmapped
from adapters.hl7v2.segments.evn import provenance
from adapters.hl7v2.transaction import provenance_id, transaction
from fhir_server.r4.resource import from_text
from fhir_server.r4.validation import validate
from tests.adapters.hl7v2.builders import a_reading, parsed

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "hl7v2"
UNDERSTOOD = {"ADT-A01-01", "ADT-A04-01", "ADT-A08-02", "ADT04-23", "LAB-ORU-1", "MDM_01", "ORU-R01-01"}

golden = pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.hl7")), ids=lambda path: path.stem)


def stored(raw: bytes) -> tuple[bytes, list[str]]:
    """The transaction for a message that comes first, as JSON, and what it leaves out."""
    message = parsed(raw)
    reading = a_reading(message)
    header = reading.header
    drafts = TRANSLATORS[header.code, header.event](message, reading, Found())
    told = provenance(
        message,
        reading,
        id=provenance_id(reading.identity),
        recorded="2026-11-21T08:00:00.000Z",
        inbox_id="m1",
    )
    bundle = transaction(drafts, {}, told, "http://fhir.example/r4").bundle
    return render(bundle), unmapped(message, reading)


@golden
def test_the_message_comes_to_what_was_reviewed(path: Path, request: pytest.FixtureRequest) -> None:
    bundle, left_out = stored(path.read_bytes())
    said = _readable(bundle, left_out)
    expected = path.with_suffix(".json")
    if request.config.getoption("--update-golden", default=False):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@golden
def test_the_bundle_is_valid_r4(path: Path) -> None:
    assert list(_faults(stored(path.read_bytes())[0])) == []


@golden
def test_another_opinion_finds_it_valid_too(path: Path) -> None:
    Bundle.model_validate_json(stored(path.read_bytes())[0])


@pytest.mark.parametrize("name", sorted(UNDERSTOOD))
def test_the_samples_of_the_types_in_scope_come_to_valid_r4(name: str) -> None:
    path = SAMPLES / f"{name}.hl7"
    if not path.exists():
        pytest.skip("the sample messages are not beside the checkout")
    bundle, _ = stored(path.read_bytes())
    assert list(_faults(bundle)) == []
    Bundle.model_validate_json(bundle)


@golden
def test_every_reference_within_the_bundle_leads_somewhere(path: Path) -> None:
    bundle = json.loads(stored(path.read_bytes())[0])
    there = {entry["request"]["url"] for entry in bundle["entry"]}
    assert {reference for reference in _references(bundle) if reference not in there} == set()


@golden
def test_nothing_in_the_bundle_is_empty(path: Path) -> None:
    assert list(_empty(json.loads(stored(path.read_bytes())[0]), "Bundle")) == []


@golden
def test_the_same_message_comes_to_the_same_bundle(path: Path) -> None:
    assert stored(path.read_bytes()) == stored(path.read_bytes())


def _readable(bundle: bytes, left_out: list[str]) -> str:
    """Numbers as written: a float would hide what a golden file is to show."""
    numbered = json.loads(bundle, parse_float=lambda text: f"number {text}")
    return json.dumps({"unmapped": left_out, "bundle": numbered}, indent=1, ensure_ascii=False) + "\n"


def _faults(bundle: bytes) -> Iterator[str]:
    whole = from_text(bundle)
    for resource in (whole, *(entry["resource"] for entry in whole["entry"])):
        for issue in validate(resource):
            if issue.severity in ("error", "fatal"):
                yield f"{issue.expression}: {issue.diagnostics}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name == "reference":
                yield child
            else:
                yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def _empty(value: Any, path: str) -> Iterator[str]:
    if value in ("", None, {}, []) or (isinstance(value, str) and not value.strip()):
        yield path
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _empty(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from _empty(child, path)
