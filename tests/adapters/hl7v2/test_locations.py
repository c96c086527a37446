"""What a FHIR server objects to is found again in the message."""

from __future__ import annotations

import pytest

from adapters.fhir_client import Issue
from adapters.hl7v2.acknowledge import Fault
from adapters.hl7v2.locations import FIELDS, faults_of
from tests.adapters.hl7v2.builders import an_oru, parsed

MESSAGE = parsed(an_oru("PID|1||1", "OBR|1", "OBX|1", "OBX|2"))
ORIGINS = [MESSAGE["PID"], *MESSAGE.all("OBX"), MESSAGE["OBR"], None]
TYPES = ["Patient", "Observation", "Observation", "DiagnosticReport", "Provenance"]


def fault(code: str, *expression: str, severity: str = "error", diagnostics: str = "") -> Fault:
    (found,) = faults_of([Issue(severity, code, diagnostics, expression)], ORIGINS, TYPES)
    return found


@pytest.mark.parametrize(
    ("expression", "location"),
    [
        ("Bundle.entry[0].resource.birthDate", "PID^1^7"),
        ("Bundle.entry[0].resource.name[0].family", "PID^1^5"),
        ("Bundle.entry[0].resource.deceasedDateTime", "PID^1^29"),
        ("Bundle.entry[2].resource.value.ofType(Quantity).code", "OBX^2^5"),
        ("Bundle.entry[2].resource.valueQuantity.value", "OBX^2^5"),
        ("Bundle.entry[2].resource.ofType(Observation).status", "OBX^2^11"),
        ("Bundle.entry[2].resource.Observation.status", "OBX^2^11"),
        ("Bundle.entry[3].resource.code", "OBR^1^4"),
        ("Bundle.entry[1].resource", "OBX^1"),
        ("Bundle.entry[1]", "OBX^1"),
        ("Bundle.entry[1].resource.subject", "OBX^1"),
        ("Patient.birthDate", "PID^1^7"),
        ("Patient._birthDate.extension", "PID^1^7"),
        ("Observation.status", "OBX^1^11"),
        ("Bundle.entry[4].resource.recorded", ""),
        ("Bundle.entry[99].resource.status", ""),
        ("Bundle.type", ""),
        ("Encounter.status", ""),
        ("", ""),
        ("'Erika Muster'", ""),
    ],
)
def test_an_expression_leads_to_a_field(expression: str, location: str) -> None:
    assert fault("value", expression).location == location


@pytest.mark.parametrize(
    ("issue", "code"),
    [
        ("required", "101"),
        ("value", "102"),
        ("code-invalid", "103"),
        ("conflict", "206"),
        ("business-rule", "207"),
    ],
)
def test_the_kind_of_issue_is_of_table_0357(issue: str, code: str) -> None:
    assert fault(issue).code == code


def test_the_text_names_the_element_and_repeats_nothing() -> None:
    told = fault(
        "value", "Bundle.entry[0].resource.name.where(family='Muster')", diagnostics="Muster is no name"
    )
    assert told.text == "The FHIR server refused Patient.name: value"


def test_warnings_are_not_told_beside_errors_and_nothing_is_told_twice() -> None:
    issues = [
        Issue("warning", "value", "", ("Patient.name",)),
        Issue("error", "value", "a", ("Patient.gender",)),
        Issue("error", "value", "b", ("Patient.gender",)),
    ]
    assert [one.location for one in faults_of(issues, ORIGINS, TYPES)] == ["PID^1^8"]


def test_a_refusal_without_a_word_is_told_as_one() -> None:
    assert faults_of([], ORIGINS, TYPES) == [Fault("207", "", "The FHIR server refused the message")]


def test_each_field_named_is_one_that_is_read() -> None:
    assert all(0 < number < 50 for fields in FIELDS.values() for number in fields.values())
