"""The synthetic population: the same every time, valid, and of one piece."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from itertools import islice
from statistics import mean
from typing import Any

import pytest

from fhir_server.population import AS_OF, population, resources
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation import validate

SEED = 7
PATIENTS = 40
FIRST_FIVE_PATIENTS = "4da27e1cb5cdbcfa19028938cab4cffa06cf4bee4dee7efec68fb9a94e31e7fa"


@pytest.fixture(scope="module")
def bundles() -> list[dict[str, Any]]:
    """As they are after a journey through JSON; numbers are literals."""
    return [from_text(to_text(bundle)) for bundle in population(SEED, PATIENTS)]


@pytest.fixture(scope="module")
def everything(bundles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["resource"] for bundle in bundles for entry in bundle["entry"]]


def strings(value: Any, key: str) -> Iterator[str]:
    """Every string that stands under `key`, however deep."""
    if isinstance(value, dict):
        for name, child in value.items():
            if name == key and isinstance(child, str):
                yield child
            yield from strings(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from strings(child, key)


def of_type(everything: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [resource for resource in everything if resource["resourceType"] == type]


def number(quantity: dict[str, Any]) -> float:
    return float(json.loads(to_text(quantity["value"])))


def test_the_same_arguments_make_the_same_bytes() -> None:
    once, again = ([to_text(bundle) for bundle in population(3, 5)] for _ in range(2))
    assert once == again
    assert once[1:] != [to_text(bundle) for bundle in population(4, 5)][1:]


def test_the_bytes_are_those_that_they_have_always_been() -> None:
    """A benchmark is compared with last year's over the same people: to change them is a decision."""
    text = b"".join(to_text(bundle) for bundle in population(1, 5))
    assert sha256(text).hexdigest() == FIRST_FIVE_PATIENTS


def test_a_patient_is_the_same_however_many_there_are() -> None:
    few, many = list(population(SEED, 2)), list(islice(population(SEED, 1_000_000), 3))
    assert [to_text(bundle) for bundle in few] == [to_text(bundle) for bundle in many]


def test_consents_change_nothing_else() -> None:
    without = {resource["id"]: resource for resource in resources(SEED, 60)}
    with_consents = list(resources(SEED, 60, consents=True))
    added = [resource for resource in with_consents if resource["id"] not in without]
    assert {resource["resourceType"] for resource in added} == {"Consent"}
    assert all(to_text(without[r["id"]]) == to_text(r) for r in with_consents if r not in added)
    assert all(not validate(from_text(to_text(resource))) for resource in added)


def test_every_resource_is_valid(everything: list[dict[str, Any]]) -> None:
    issues = Counter(
        (issue.expression, issue.diagnostics) for resource in everything for issue in validate(resource)
    )
    assert issues == {}


def test_every_bundle_is_valid(bundles: list[dict[str, Any]]) -> None:
    assert [issue for bundle in bundles[:4] for issue in validate(bundle)] == []


def test_there_are_resources_of_many_types(everything: list[dict[str, Any]]) -> None:
    assert {resource["resourceType"] for resource in everything} == {
        "AllergyIntolerance",
        "CarePlan",
        "CareTeam",
        "Condition",
        "Coverage",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "Goal",
        "Immunization",
        "Location",
        "MedicationRequest",
        "Observation",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
    }


def test_every_reference_leads_somewhere(bundles: list[dict[str, Any]]) -> None:
    staff = {entry["request"]["url"] for entry in bundles[0]["entry"]}
    assert set(strings(bundles[0], "reference")) <= staff
    for bundle in bundles[1:]:
        own = {entry["fullUrl"] for entry in bundle["entry"]}
        assert set(strings(bundle, "reference")) <= staff | own


def test_resources_on_their_own_refer_by_type_and_id() -> None:
    alone = list(resources(SEED, 5))
    keys = {f"{resource['resourceType']}/{resource['id']}" for resource in alone}
    assert set(strings(alone, "reference")) <= keys
    assert len(keys) == len(alone)


def test_resources_and_bundles_are_the_same_people(everything: list[dict[str, Any]]) -> None:
    assert [resource["id"] for resource in resources(SEED, PATIENTS)] == [r["id"] for r in everything]


def test_patients_of_two_seeds_share_only_those_who_look_after_them() -> None:
    first, second = ({r["id"] for r in resources(seed, 20)} for seed in (1, 2))
    assert all(id.startswith("synthetic-") for id in first & second)


def test_nothing_happens_before_birth_or_after_the_end(bundles: list[dict[str, Any]]) -> None:
    for bundle in bundles[1:]:
        patient = bundle["entry"][0]["resource"]
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] in ("Encounter", "Observation", "Immunization", "Condition"):
                days = re.findall(rb'"(\d{4}-\d\d-\d\d)[T"]', to_text(entry["resource"]))
                assert patient["birthDate"] <= min(days).decode()
                assert max(days).decode() <= AS_OF.isoformat()


def test_another_day_to_look_at_it_is_kept_to() -> None:
    latest = max(
        resource["period"]["end"]
        for resource in resources(SEED, 30, date(2019, 3, 1))
        if resource["resourceType"] == "Encounter"
    )
    assert "2018" < latest < "2019-03-01"


def test_numbers_have_the_precision_that_they_are_measured_with(everything: list[dict[str, Any]]) -> None:
    written = defaultdict(set)
    for observation in of_type(everything, "Observation"):
        if "valueQuantity" in observation:
            code = observation["code"]["coding"][0]["code"]
            written[code].add(to_text(observation["valueQuantity"]["value"]).decode())
    assert all(re.fullmatch(r"\d+\.\d", text) for text in written["8310-5"])  # body temperature
    assert all(re.fullmatch(r"\d+\.\d\d", text) for text in written["2160-0"])  # creatinine
    assert all(re.fullmatch(r"\d+", text) for text in written["2951-2"])  # sodium
    assert any(text.endswith("0") for text in written["8310-5"])


def test_what_is_calculated_fits_what_it_is_calculated_from(bundles: list[dict[str, Any]]) -> None:
    for bundle in bundles[1:]:
        visits: dict[str, dict[str, float]] = defaultdict(dict)
        for entry in bundle["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "Observation" and "valueQuantity" in resource:
                code = resource["code"]["coding"][0]["code"]
                visits[resource["encounter"]["reference"]][code] = number(resource["valueQuantity"])
        for values in visits.values():
            if "39156-5" in values:
                index = values["29463-7"] / (values["8302-2"] / 100) ** 2
                assert values["39156-5"] == pytest.approx(index, abs=0.051)
            if "13457-7" in values:
                low_density = values["2093-3"] - values["2085-9"] - values["2571-8"] / 5
                assert values["13457-7"] == pytest.approx(low_density, abs=0.51)


def test_blood_pressure_has_two_components_the_upper_above_the_lower(
    everything: list[dict[str, Any]],
) -> None:
    panels = [o for o in of_type(everything, "Observation") if o["code"]["coding"][0]["code"] == "85354-9"]
    assert panels
    for panel in panels:
        systolic, diastolic = (number(component["valueQuantity"]) for component in panel["component"])
        assert 60 < diastolic + 20 < systolic + 20 < 260


def test_a_disease_shows_in_drugs_and_laboratory_values() -> None:
    glucose: dict[bool, list[float]] = {True: [], False: []}
    for bundle in islice(population(11, 120), 1, None):
        found = [entry["resource"] for entry in bundle["entry"]]
        diabetic = any(
            r["resourceType"] == "Condition" and r["code"]["text"] == "Diabetes mellitus type 2"
            for r in found
        )
        drugs = {r["medicationCodeableConcept"]["text"] for r in of_type(found, "MedicationRequest")}
        assert any("metformin" in drug for drug in drugs) == diabetic
        glucose[diabetic] += [
            number(from_text(to_text(r["valueQuantity"])))
            for r in of_type(found, "Observation")
            if r["code"]["coding"][0]["code"] == "2345-7"
        ]
    assert mean(glucose[True]) > mean(glucose[False]) + 20


def test_names_come_in_many_scripts() -> None:
    names = "".join(
        text
        for bundle in islice(population(1, 900), 1, None)
        for name in bundle["entry"][0]["resource"]["name"]
        for text in (name["family"], *name["given"])
    )
    scripts = {unicodedata.name(character).split()[0] for character in names if character.isalpha()}
    assert scripts >= {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "CJK", "HANGUL"}
    assert "𠮷" in names, "a character beyond the first plane of Unicode"


def test_every_provider_number_has_the_right_check_digit(everything: list[dict[str, Any]]) -> None:
    numbers = [
        identifier["value"]
        for resource in everything
        for identifier in resource.get("identifier", [])
        if identifier["system"] == "http://hl7.org/fhir/sid/us-npi"
    ]
    assert len(numbers) > 80
    for npi in numbers:
        doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed("80840" + npi))]
        assert sum(sum(divmod(digit, 10)) for digit in doubled) % 10 == 0
