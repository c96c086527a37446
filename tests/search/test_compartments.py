"""What is in a compartment: https://hl7.org/fhir/R4/compartmentdefinition.html."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.compartments import COMPARTMENTS, compartment_parameters, types_in
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid, Unsupported
from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import Query, SearchLimits, parse
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.compartments import in_compartment
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import AnyToken, all_of
from tests.search.versions import a_version, version_of


def in_the(compartment: str, type: str | None, *parameters: tuple[str, str]) -> Query:
    """The search `[compartment]/[type]?name=value`."""
    of, id = compartment.split("/")
    return parse(Search(type, parameters, compartment=Key(of, id)), limits=SearchLimits())


def is_in(resource: dict[str, Any], compartment: str) -> bool:
    """Both a search for the type and a search for all types find it."""
    found = {
        matches(in_the(compartment, type).predicate, version_of(resource))
        for type in (resource["resourceType"], None)
    }
    assert len(found) == 1
    return found.pop()


def test_the_compartments_are_those_that_r4_defines() -> None:
    assert set(COMPARTMENTS) == set(definitions().compartments)


@pytest.mark.parametrize("compartment", COMPARTMENTS)
def test_each_parameter_of_each_definition_puts_a_resource_in_its_compartment(compartment: str) -> None:
    mine, another = Key(compartment, "1"), Key(compartment, "11")
    for type in types_in(compartment):
        asked, of_another = (in_compartment(key, (type,)) for key in (mine, another))
        for code in compartment_parameters(compartment, type):
            for name in parameters_of(type)[code].found_as:
                pointing = a_version(Entry((type, f"{name}|{mine}")), type=type)
                assert matches(asked, pointing), (type, code)
                assert not matches(of_another, pointing), (type, code)


def test_a_resource_is_in_its_own_compartment() -> None:
    for type in COMPARTMENTS:
        assert is_in({"resourceType": type, "id": "1"}, f"{type}/1")
        assert not is_in({"resourceType": type, "id": "1"}, f"{type}/2")


def test_the_definition_is_wider_than_what_confines_a_caller() -> None:
    """docs/compartments.md has what confines; both are asked when somebody confined searches."""
    performed = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/1"},
        "performer": [{"reference": "Patient/2"}, {"reference": "Practitioner/3"}],
        "encounter": {"reference": "Encounter/4"},
        "device": {"reference": "Device/5"},
    }
    assert version_of(performed).entry.patients == ("1",)
    for compartment in ("Patient/1", "Patient/2", "Practitioner/3", "Encounter/4", "Device/5"):
        assert is_in(performed, compartment)
    for compartment in ("Patient/3", "Practitioner/1", "RelatedPerson/1", "Encounter/1"):
        assert not is_in(performed, compartment)


def test_a_linked_patient_is_in_the_compartment_by_definition() -> None:
    linked = {"resourceType": "Patient", "id": "2", "link": [{"other": {"reference": "Patient/1"}}]}
    assert is_in(linked, "Patient/1")
    assert is_in(linked, "Patient/2")


def test_what_is_in_a_compartment_is_asked_by_one_set_of_tokens() -> None:
    """An index finds it in the order of creation only so."""
    for compartment in COMPARTMENTS:
        every = in_the(f"{compartment}/1", None).predicate
        assert isinstance(every, AnyToken)
        # MongoDB merges this many scans of an index at most; beyond it, it sorts.
        assert len(every.values) < 200
    found = in_the("Patient/1", "Observation", ("code", "x")).predicate
    tokens = AnyToken(frozenset(f"Observation|{name}|Patient/1" for name in ("subject", "performer")))
    assert found == all_of(tokens, AnyToken(frozenset(("Observation|code|x",))))


def test_all_types_of_a_compartment_are_searched_or_those_listed() -> None:
    every = in_the("Encounter/1", None).types
    assert set(every) == types_in("Encounter")
    assert in_the("Encounter/1", None, ("_type", "Condition,Encounter")).types == ("Condition", "Encounter")


def test_audit_events_of_a_compartment_are_searched_on_their_own() -> None:
    assert "AuditEvent" not in in_the("Patient/1", None).types
    assert in_the("Patient/1", "AuditEvent").types == ("AuditEvent",)
    assert in_the("Patient/1", None, ("_type", "AuditEvent")).types == ("AuditEvent",)
    with pytest.raises(Unsupported, match="AuditEvents"):
        in_the("Patient/1", None, ("_type", "AuditEvent,Observation"))


def test_a_refusal_counts_types_instead_of_naming_them_all() -> None:
    with pytest.raises(Invalid, match="`code` is not a search parameter of all 65 types that are searched"):
        in_the("Patient/1", None, ("code", "x"))


def test_a_listed_type_that_cannot_be_in_the_compartment_is_refused() -> None:
    with pytest.raises(Invalid, match="Organization"):
        in_the("Patient/1", None, ("_type", "Observation,Organization"))
