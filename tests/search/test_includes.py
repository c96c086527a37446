"""https://hl7.org/fhir/R4/search.html#include"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.asking.includes import Include, Referred, followed_to, included, referring
from tests.search.versions import BASE_URL, version_of

PATIENT = version_of({"resourceType": "Patient", "id": "1"})


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
    assert keys(included([version_of(resource)], [include])) == expected


def keys(referred: Iterable[Referred]) -> list[Key]:
    return [one.key for one in referred]


def test_a_version_is_referred_to_by_its_number() -> None:
    patient, include = Key("Patient", "1"), Include("Observation", None)
    page = [
        version_of(observation(subject={"reference": reference}) | {"id": reference[-1]})
        for reference in ("Patient/1/_history/3", "Patient/1/_history/2", "Patient/1/_history/x")
    ]
    assert included(page[:2], [include]) == (Referred(patient, 3), Referred(patient, 2))
    assert included(page[2:], [include]) == (Referred(patient),)
    plain = version_of(observation(subject={"reference": "Patient/1"}))
    assert included([page[0], plain], [include]) == (Referred(patient, 3), Referred(patient))


def test_an_older_version_of_a_match_is_none() -> None:
    match = version_of(observation(derivedFrom=[{"reference": "Observation/o/_history/7"}]))
    include = Include("Observation", "derived-from")
    assert included([match], [include]) == (Referred(match.key, 7),)
    same = version_of(observation(derivedFrom=[{"reference": f"Observation/o/_history/{match.number}"}]))
    assert included([same], [include]) == ()


def test_each_is_included_once() -> None:
    page = [version_of(observation(subject={"reference": "Patient/1"}) | {"id": id}) for id in ("a", "b")]
    includes = [Include("Observation", "subject"), Include("Observation", "patient")]
    assert included(page, includes) == (Referred(Key("Patient", "1")),)


def test_a_wildcard_follows_each_reference_of_each_match() -> None:
    match = version_of(
        observation(
            subject={"reference": "Patient/1"},
            encounter={"reference": "Encounter/2"},
            performer=[{"reference": "Practitioner/3"}],
        )
    )
    everything = (Key("Encounter", "2"), Key("Patient", "1"), Key("Practitioner", "3"))
    for include in (Include(None, None), Include("Observation", None)):
        assert tuple(sorted(keys(included([match], [include])), key=str)) == everything
    assert keys(included([match], [Include("Observation", None, "Encounter")])) == [Key("Encounter", "2")]
    assert included([match], [Include("Encounter", None)]) == ()


def test_what_is_followed_backwards_is_not_followed_forwards() -> None:
    match = version_of(observation(subject={"reference": "Patient/1"}))
    assert included([match], [Include("Observation", "subject", reverse=True)]) == ()
    assert referring([match], [Include("Observation", "derived-from")], tokens_max=10) == {}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (Include("Observation", "subject", reverse=True), {"Observation": {"Observation|subject|Patient/1"}}),
        (
            Include("Observation", "subject", "Patient", reverse=True),
            {"Observation": {"Observation|subject|Patient/1"}},
        ),
        (Include("Observation", "subject", "Group", reverse=True), {}),
        (Include("Observation", "encounter", reverse=True), {}),
        (Include("Provenance", "target", reverse=True), {"Provenance": {"Provenance|target|Patient/1"}}),
        (
            Include("RelatedPerson", None, reverse=True),
            {"RelatedPerson": {"RelatedPerson|patient|Patient/1"}},
        ),
    ],
)
def test_what_refers_to_a_match(include: Include, expected: dict[str, set[str]]) -> None:
    assert referring([PATIENT], [include], tokens_max=10) == expected


def test_a_wildcard_backwards_is_each_parameter_that_leads_there() -> None:
    found = referring([PATIENT], [Include(None, None, reverse=True)], tokens_max=1_000)
    wanted = {f"{name}|Patient/1" for each in followed_to("Patient") for name in each.found_as}
    wanted = {token for token in wanted if not token.startswith("AuditEvent|")}
    assert wanted <= {token for tokens in found.values() for token in tokens}
    assert "AuditEvent" not in found


def test_references_that_are_looked_for_backwards_are_limited() -> None:
    versions = [version_of({"resourceType": "Patient", "id": str(number)}) for number in range(11)]
    include = Include("Observation", "subject", reverse=True)
    assert len(referring(versions, [include], tokens_max=11)["Observation"]) == 11
    with pytest.raises(TooCostly, match="backwards"):
        referring(versions, [include], tokens_max=10)
