"""
What the modifiers of strings and tokens find.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.search.versions import finds

MR = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Müller-Lüdenscheidt", "given": ["Ann Mae"]}],
    "identifier": [
        {"system": "http://a.example", "value": "12345", "type": {"coding": [MR], "text": "Medical record"}},
        {"value": "9", "type": {"coding": [{"system": MR["system"], "code": "SS"}]}},
        {"value": "x" * 3_000},
    ],
    "communication": [{"language": {"coding": [{"code": "de", "display": "Deutsch"}], "text": "German"}}],
}


@pytest.mark.parametrize(
    ("name", "value", "is_found"),
    [
        ("name:contains", "LUDEN", True),
        ("name:contains", "lüden", True),
        ("name:contains", "n m", True),
        ("name:contains", "mull", True),
        ("name:contains", "Müller-Lüdenscheidt", True),
        ("name:contains", "scheidtx", False),
        ("name:contains", "scheidt|m", False),
        ("name:contains", "nothing,luden", True),
        ("family:contains", "mae", False),
        ("given:contains", "mae", True),
        ("phonetic:contains", "luden", True),
        ("language:text", "germ", True),
        ("language:text", "DEUTSCH", True),
        ("language:text", "eutsch", False),
        ("language:text", "de x", False),
        ("identifier:text", "medical", True),
        ("identifier:text", "12345", False),
        ("identifier", "medical record", False),
        ("identifier:of-type", f"{MR['system']}|MR|12345", True),
        ("identifier:of-type", f"{MR['system']}|MR|1234", False),
        ("identifier:of-type", f"{MR['system']}|SS|12345", False),
        ("identifier:of-type", f"{MR['system']}|SS|9", True),
        ("identifier:of-type", f"http://other.example|MR|12345,{MR['system']}|SS|9", True),
        ("identifier:missing", "false", True),
    ],
)
def test_a_patient_is_found_by_modified_parameters(name: str, value: str, is_found: bool) -> None:
    assert finds(PATIENT, name, value) == is_found


@pytest.mark.parametrize("name", ["value-string", "value-string:contains"])
def test_a_long_text_is_found_by_its_beginning_and_by_any_part(name: str) -> None:
    observation = {"resourceType": "Observation", "valueString": "a" * 500 + "Élan" + "b" * 500}
    assert finds(observation, name, "aaa")
    assert finds(observation, name, "aelan") == name.endswith("contains")
    assert not finds(observation, name, "ab")
    assert not finds(observation, "value-string:exact", "a" * 200)


def test_the_text_of_a_code_is_no_value_of_it() -> None:
    observation = {"resourceType": "Observation", "code": {"text": "heart rate"}}
    assert finds(observation, "code:text", "heart")
    assert finds(observation, "combo-code:text", "heart")
    assert finds(observation, "code:missing", "false")
    assert not finds(observation, "code", "heart rate")
