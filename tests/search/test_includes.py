"""https://hl7.org/fhir/R4/search.html#include"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.resource import Key
from fhir_server.search.includes import included
from fhir_server.search.query import Include
from tests.search.versions import BASE_URL, version_of


def observation(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "o", **members}


@pytest.mark.parametrize(
    ("resource", "include", "expected"),
    [
        (
            observation(subject={"reference": "Patient/1"}),
            Include("Observation", "subject"),
            [Key("Patient", "1")],
        ),
        (
            observation(subject={"reference": "Patient/1"}),
            Include("Observation", "subject", "Patient"),
            [Key("Patient", "1")],
        ),
        (observation(subject={"reference": "Patient/1"}), Include("Observation", "subject", "Group"), []),
        (observation(subject={"reference": "Patient/1"}), Include("Observation", "encounter"), []),
        (observation(subject={"reference": "Patient/1"}), Include("Encounter", "subject"), []),
        (
            observation(subject={"reference": f"{BASE_URL}/Patient/1"}),
            Include("Observation", "subject"),
            [Key("Patient", "1")],
        ),
        (
            observation(subject={"reference": "Patient/1/_history/3"}),
            Include("Observation", "subject"),
            [Key("Patient", "1")],
        ),
        (
            observation(subject={"reference": "https://other.example/Patient/1"}),
            Include("Observation", "subject"),
            [],
        ),
        (observation(subject={"reference": "urn:uuid:1"}), Include("Observation", "subject"), []),
        (observation(subject={"identifier": {"value": "Patient/1"}}), Include("Observation", "subject"), []),
        (observation(subject={"display": "somebody"}), Include("Observation", "subject"), []),
        (
            observation(performer=[{"reference": "Practitioner/1"}, {"reference": "Organization/2"}]),
            Include("Observation", "performer"),
            [Key("Practitioner", "1"), Key("Organization", "2")],
        ),
        (
            observation(derivedFrom=[{"reference": "Observation/o"}, {"reference": "Observation/p"}]),
            Include("Observation", "derived-from"),
            [Key("Observation", "p")],
        ),
        (
            {"resourceType": "Coverage", "id": "c", "beneficiary": {"reference": "Patient/1"}},
            Include("Coverage", "patient"),
            [Key("Patient", "1")],
        ),
    ],
)
def test_what_a_match_refers_to(resource: dict[str, Any], include: Include, expected: list[Key]) -> None:
    assert list(included([version_of(resource)], [include])) == expected


def test_each_is_included_once() -> None:
    page = [version_of(observation(subject={"reference": "Patient/1"}) | {"id": id}) for id in ("a", "b")]
    includes = [Include("Observation", "subject"), Include("Observation", "patient")]
    assert included(page, includes) == (Key("Patient", "1"),)
