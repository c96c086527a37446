"""https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""

import pytest

from fhir_server.policy.context import Context, Right, right
from fhir_server.search.predicates.predicate import Everything, Nothing, OfPatients, Or, all_of, token

PATIENT = Context("patient", None, "1")


def a_right(*contexts: Context, type: str = "Observation", writes: bool = False) -> Right:
    return right(frozenset(contexts), type, writes=writes)


def test_a_patient_scope_reaches_one_compartment() -> None:
    assert a_right(PATIENT) == Right(
        OfPatients(frozenset({"1"})), OfPatients(frozenset({"1"})), confined=True
    )


def test_a_patient_scope_without_a_patient_reaches_nothing() -> None:
    assert a_right(Context("patient", "Practitioner/7", None)).predicate == Nothing()


def test_a_system_scope_reaches_everything() -> None:
    assert a_right(Context("system", None, None)) == Right(Everything(), Everything(), confined=False)


@pytest.mark.parametrize("type", ["Practitioner", "Organization", "Medication", "Location"])
def test_a_confined_caller_reads_directory_types_and_never_writes_them(type: str) -> None:
    assert a_right(PATIENT, type=type).predicate == Everything()
    assert a_right(PATIENT, type=type, writes=True).predicate == Nothing()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("Patient/1", Right(OfPatients(frozenset({"1"})), OfPatients(frozenset({"1"})), confined=True)),
        ("Practitioner/7", Right(Everything(), Everything(), confined=False)),
        ("PractitionerRole/7", Right(Everything(), Everything(), confined=False)),
        ("Organization/7", Right(Nothing(), Nothing(), confined=True)),
        ("Device/7", Right(Nothing(), Nothing(), confined=True)),
        (None, Right(Nothing(), Nothing(), confined=True)),
    ],
)
def test_a_user_scope_reaches_what_the_user_may_see(user: str | None, expected: Right) -> None:
    assert a_right(Context("user", user, None)) == expected


def test_a_related_person_sees_what_refers_to_them() -> None:
    found = a_right(Context("user", "RelatedPerson/5", None), type="Appointment").predicate
    assert "Appointment|actor|RelatedPerson/5" in getattr(found, "values", ())
    assert a_right(Context("user", "RelatedPerson/5", None), type="Claim").predicate != Everything()


def test_contexts_add_up() -> None:
    both = a_right(PATIENT, Context("user", "Practitioner/7", None))
    assert both == Right(Everything(), Everything(), confined=False)


LABORATORY = token("Observation|category|laboratory")
VITAL_SIGNS = token("Observation|category|vital-signs")


def test_criteria_narrow_the_context_they_belong_to() -> None:
    narrowed = a_right(Context("patient", None, "1", LABORATORY))
    assert narrowed.predicate == all_of(OfPatients(frozenset({"1"})), LABORATORY)
    assert narrowed.reach == OfPatients(frozenset({"1"}))
    assert narrowed.confined
    assert narrowed.partial


def test_criteria_add_up() -> None:
    doctor = [Context("user", "Practitioner/7", None, criteria) for criteria in (LABORATORY, VITAL_SIGNS)]
    both = a_right(*doctor)
    assert {LABORATORY, VITAL_SIGNS} == set(both.predicate.parts if isinstance(both.predicate, Or) else ())
    assert (both.reach, both.confined, both.partial) == (Everything(), False, True)


def test_what_one_context_sees_by_criteria_does_not_free_another_one() -> None:
    mixed = a_right(PATIENT, Context("user", "Practitioner/7", None, LABORATORY))
    assert mixed.confined
