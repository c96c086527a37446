"""
Chains, `_has` and `_list`; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has,
https://hl7.org/fhir/R4/search.html#list
"""

from __future__ import annotations

from tests.conformance.listening import Listening
from tests.conformance.shelf import Shelf
from tests.server.running import an_observation
from tests.server.ward import coded


async def _reports(shelf: Shelf) -> None:
    await shelf.has("Patient", peter={"name": [{"given": ["Peter"]}]}, paul={"name": [{"given": ["Paul"]}]})
    await shelf.has("Group", peter={"type": "person", "actual": True})
    report = {"status": "final", "code": {"text": "text"}}
    await shelf.has(
        "DiagnosticReport",
        peter={**report, "subject": shelf.to("peter")},
        paul={**report, "subject": shelf.to("paul")},
        group={**report, "subject": shelf.to("peter", "Group")},
    )


async def test_a_chain_of_a_type(shelf: Shelf) -> None:
    """`DiagnosticReport?subject:Patient.name=peter`"""
    await _reports(shelf)
    assert await shelf.finds("DiagnosticReport?subject:Patient.name=peter") == {"peter"}


async def test_a_chain_of_a_parameter_that_one_type_has(shelf: Shelf) -> None:
    """`DiagnosticReport?patient.name=peter`: the parameter refers to one type"""
    await _reports(shelf)
    assert await shelf.finds("DiagnosticReport?patient.name=peter") == {"peter"}


async def test_a_chain_without_a_type(shelf: Shelf) -> None:
    """`DiagnosticReport?subject.name=peter`: each type that has the parameter"""
    await _reports(shelf)
    assert await shelf.finds("DiagnosticReport?subject.name=peter") == {"peter"}


async def test_a_chain_of_several_links(shelf: Shelf) -> None:
    """Chains go on, link by link"""
    await shelf.has("Organization", acme={"name": "Acme"}, other={"name": "Other"})
    await shelf.has(
        "Patient",
        acme={"managingOrganization": shelf.to("acme", "Organization")},
        other={"managingOrganization": shelf.to("other", "Organization")},
    )
    await shelf.has("Observation", **{n: an_observation(f"{shelf.id}-{n}") for n in ("acme", "other")})
    assert await shelf.finds("Observation?patient.organization.name=acme") == {"acme"}
    assert await shelf.finds("Observation?subject:Patient.organization.name:exact=Acme") == {"acme"}


async def test_chains_are_independent_of_each_other(shelf: Shelf) -> None:
    """`general-practitioner.name=Joe&general-practitioner.address-state=MN`: not of the same practitioner"""
    practitioner = "Practitioner"
    await shelf.has(
        practitioner,
        joe={"name": [{"given": ["Joe"]}], "address": [{"state": "CA"}]},
        jane={"name": [{"given": ["Jane"]}], "address": [{"state": "MN"}]},
    )
    joe, jane = (shelf.to(name, practitioner) for name in ("joe", "jane"))
    await shelf.has("Patient", both={"generalPractitioner": [joe, jane]}, one={"generalPractitioner": [joe]})
    name, state = (f"general-practitioner:{practitioner}.{one}" for one in ("name=Joe", "address-state=MN"))
    assert await shelf.finds(f"Patient?{name}&{state}") == {"both"}


async def test_a_chain_to_nobody_finds_nothing(shelf: Shelf) -> None:
    """`patient.identifier=http://example.com/fhir/identifier/mrn|123456`, which nobody has: no error"""
    await _reports(shelf)
    assert await shelf.finds(f"DiagnosticReport?patient.identifier=urn:mrn|{shelf.id}") == set()


async def test_a_chain_into_a_contained_resource(shelf: Shelf) -> None:
    """A chained condition is evaluated inside contained resources"""
    item = {"itemCodeableConcept": {"coding": [{"code": "abc"}]}}
    request = {
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/1"},
        "medicationReference": {"reference": "#m"},
        "contained": [{"resourceType": "Medication", "id": "m", "ingredient": [item]}],
    }
    await shelf.has("MedicationRequest", it=request)
    assert await shelf.finds("MedicationRequest?medication.ingredient-code=abc") == {"it"}


async def _referred_to(shelf: Shelf) -> None:
    await shelf.has("Patient", one={}, two={}, both={}, none={})
    await shelf.has(
        "Observation",
        a=an_observation(f"{shelf.id}-one", code=coded("123")),
        b=an_observation(f"{shelf.id}-two", code=coded("456")),
        c=an_observation(f"{shelf.id}-both", code=coded("123")),
        d=an_observation(f"{shelf.id}-both", code=coded("456")),
    )


async def test_has_finds_what_is_referred_to(shelf: Shelf) -> None:
    """`Patient?_has:Observation:patient:code=1234-5`"""
    await _referred_to(shelf)
    assert await shelf.finds("Patient?_has:Observation:patient:code=123") == {"one", "both"}


async def test_has_takes_one_of_several_values(shelf: Shelf) -> None:
    """`_has:Observation:patient:code=123,456`: either"""
    await _referred_to(shelf)
    assert await shelf.finds("Patient?_has:Observation:patient:code=123,456") == {"one", "two", "both"}


async def test_several_has_are_independent(shelf: Shelf) -> None:
    """`_has:Observation:patient:code=123&_has:Observation:patient:code=456`: each for itself"""
    await _referred_to(shelf)
    has = "_has:Observation:patient:code"
    assert await shelf.finds(f"Patient?{has}=123&{has}=456") == {"both"}


async def test_has_within_has(shelf: Shelf) -> None:
    """`Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=MyUserId`, R4's `user`"""
    await _referred_to(shelf)
    report = {"status": "final", "code": {"text": "text"}, "result": [shelf.to("a", "Observation")]}
    await shelf.has("DiagnosticReport", it=report)
    has = "_has:Observation:patient:_has:DiagnosticReport:result"
    assert await shelf.finds(f"Patient?{has}:status=final") == {"one"}
    assert await shelf.finds(f"Patient?{has}:status=amended") == set()


async def test_has_of_the_records_of_the_server(server: Listening, shelf: Shelf) -> None:
    """`_has` within `_has` of AuditEvent: who was involved in what"""
    await _referred_to(shelf)
    reader = f"{shelf.id}-reader"
    async with server.as_(user=f"Practitioner/{reader}") as client:
        assert (await client.get(f"/{shelf.at('a', 'Observation')}")).status_code == 200
    has = "_has:Observation:patient:_has:AuditEvent:entity:agent"
    assert await shelf.finds(f"Patient?{has}=Practitioner/{reader}") == {"one"}


async def test_a_chain_inside_has(shelf: Shelf) -> None:
    """A chain inside `_has`"""
    await _referred_to(shelf)
    await shelf.has("Practitioner", joe={"name": [{"given": ["Joe"]}]})
    joe = shelf.to("joe", "Practitioner")
    performed = an_observation(f"{shelf.id}-two", code=coded("789"), performer=[joe])
    await shelf.has("Observation", e=performed)
    has = "_has:Observation:patient:performer:Practitioner.name"
    assert await shelf.finds(f"Patient?{has}=joe") == {"two"}


async def test_has_inside_a_chain(shelf: Shelf) -> None:
    """`_has` inside a chain"""
    await _referred_to(shelf)
    found = await shelf.finds("Observation?patient._has:Observation:patient:code=456")
    assert found == {"b", "c", "d"}


async def _listed(shelf: Shelf) -> None:
    await shelf.has("Patient", a={"gender": "female"}, b={"gender": "male"}, c={"gender": "female"})
    items = [{"item": shelf.to(name)} for name in ("a", "b")]
    await shelf.has("List", it={"status": "current", "mode": "working", "entry": items})


async def test_list_finds_what_a_list_refers_to(shelf: Shelf) -> None:
    """`Patient?_list=42`"""
    await _listed(shelf)
    assert await shelf.finds(f"Patient?_list={shelf.id}-it") == {"a", "b"}


async def test_list_goes_together_with_other_criteria(shelf: Shelf) -> None:
    """`Patient?_list=42&gender=female`"""
    await _listed(shelf)
    assert await shelf.finds(f"Patient?_list={shelf.id}-it&gender=female") == {"a"}


async def test_a_functional_list_is_refused_by_name(shelf: Shelf) -> None:
    """`AllergyIntolerance?patient=42&_list=$current-allergies`: where a server has such lists"""
    answer = await shelf.client.get("/AllergyIntolerance?patient=42&_list=$current-allergies")
    assert answer.status_code in (400, 501)
    assert "_list" in answer.json()["issue"][0]["diagnostics"]
