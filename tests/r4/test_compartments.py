"""The Patient compartment as this server confines callers to it: docs/compartments.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_server.r4.compartments import (
    DEFINITIONAL_TYPES,
    SPECIAL_TYPES,
    _document,
    compartment_parameters,
    patient_parameters,
    single_patient_types,
)
from fhir_server.r4.definitions import definitions

DOCUMENT = Path(__file__).parents[2] / "docs" / "compartments.md"


def test_the_document_is_what_the_code_does() -> None:
    assert DOCUMENT.read_text() == _document(), "run `python -m fhir_server.r4.compartments`"


@pytest.mark.parametrize(
    ("type", "parameters"),
    [
        ("Observation", ("subject",)),
        ("Condition", ("patient", "asserter")),
        ("List", ("subject",)),
        ("Procedure", ("patient",)),
        ("MedicationAdministration", ("patient", "subject")),
        ("Device", ("patient",)),
        ("Task", ("patient", "subject")),
        ("Contract", ("patient",)),
        ("GuidanceResponse", ("patient",)),
        ("Group", ("member",)),
        ("Provenance", ("patient",)),
        ("Patient", ()),
        ("Binary", ()),
        ("Practitioner", ()),
        ("Bundle", ()),
    ],
)
def test_the_parameters_that_count_are_those_of_whom_it_is_about(
    type: str, parameters: tuple[str, ...]
) -> None:
    assert patient_parameters(type) == parameters


def test_r4s_own_definition_is_kept_beside_ours() -> None:
    assert compartment_parameters("Patient", "Observation") == ("subject", "performer")
    assert compartment_parameters("Encounter", "Encounter") == ()
    assert compartment_parameters("RelatedPerson", "Patient") == ("link",)
    assert compartment_parameters("Device", "Practitioner") == ()


def test_each_parameter_is_a_reference_parameter_of_its_type() -> None:
    facts = definitions()
    for compartment in facts.compartments:
        for type in facts.resource_types:
            for code in compartment_parameters(compartment, type):
                assert facts.search_parameters[type][code].type == "reference"
    for type in facts.resource_types:
        for code in patient_parameters(type):
            assert "Patient" in facts.search_parameters[type][code].targets


def test_no_type_loses_all_its_parameters_to_the_exceptions() -> None:
    lost = [type for type in definitions().compartments["Patient"] if not patient_parameters(type)]
    assert lost == ["Patient"]


def test_definitional_types_cannot_refer_to_a_patient_by_a_search_parameter() -> None:
    facts = definitions()
    assert facts.resource_types >= DEFINITIONAL_TYPES
    related = {"composed-of", "depends-on", "derived-from", "predecessor", "successor"}
    for type in DEFINITIONAL_TYPES:
        assert patient_parameters(type) == ()
        assert type not in SPECIAL_TYPES
        to_patient = {
            code for code, sp in facts.search_parameters[type].items() if "Patient" in sp.targets
        } - related
        # An implementation guide lists its example resources.
        assert to_patient == ({"resource"} if type == "ImplementationGuide" else set())


def test_operational_types_are_not_definitional() -> None:
    operational = {
        "BiologicallyDerivedProduct",
        "DeviceMetric",
        "EnrollmentResponse",
        "Linkage",
        "MessageHeader",
        "OperationOutcome",
        "PaymentNotice",
        "PaymentReconciliation",
        "ResearchStudy",
        "Slot",
        "Subscription",
        "TestReport",
        "VerificationResult",
    }
    without_parameters = {type for type in definitions().resource_types if not patient_parameters(type)}
    assert without_parameters - DEFINITIONAL_TYPES - set(SPECIAL_TYPES) == operational


def test_single_patient_types_have_one_place_for_one_patient() -> None:
    single = single_patient_types()
    assert {"Patient", "Observation", "Encounter", "Task", "Device", "MedicationRequest"} <= single
    several = {
        "Account",
        "Appointment",
        "Coverage",
        "Group",
        "Provenance",
        "Person",
        "AuditEvent",
        "Condition",
    }
    assert single & several == set()
    assert single & DEFINITIONAL_TYPES == set()
