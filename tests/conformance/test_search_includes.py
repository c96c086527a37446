"""
What comes along with what is found; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from typing import Any

from tests.conformance.shelf import Shelf
from tests.server.running import an_observation

ORDER = {"status": "active", "intent": "order", "medicationCodeableConcept": {"text": "text"}}


async def _ordered(shelf: Shelf) -> None:
    """An order for a patient, by a practitioner, with its provenance and a dispense."""
    await shelf.has("Patient", patient={})
    await shelf.has("Practitioner", doctor={})
    order = {**ORDER, "subject": shelf.to("patient"), "performer": shelf.to("doctor", "Practitioner")}
    await shelf.has("MedicationRequest", order=order)
    target = [shelf.to("order", "MedicationRequest")]
    agent = [{"who": shelf.to("doctor", "Practitioner")}]
    provenance = {"target": target, "recorded": "2024-01-01T00:00:00Z", "agent": agent}
    await shelf.has("Provenance", provenance=provenance)
    dispense = {
        "status": "completed",
        "medicationCodeableConcept": {"text": "text"},
        "authorizingPrescription": target,
    }
    await shelf.has("MedicationDispense", dispense=dispense)


async def test_include_adds_what_matches_refer_to(shelf: Shelf) -> None:
    """`MedicationRequest?_include=MedicationRequest:patient`"""
    await _ordered(shelf)
    query = "MedicationRequest?_include=MedicationRequest:patient"
    assert await shelf.lists(query) == ["order"]
    assert await shelf.lists(query, "include") == ["patient"]


async def test_revinclude_adds_what_refers_to_matches(shelf: Shelf) -> None:
    """`MedicationRequest?_revinclude=Provenance:target`"""
    await _ordered(shelf)
    query = "MedicationRequest?_revinclude=Provenance:target"
    assert await shelf.lists(query, "include") == ["provenance"]


async def test_the_third_part_is_the_type_of_the_target(shelf: Shelf) -> None:
    """`Type:parameter:target`: of several types of target, one"""
    await shelf.has("Patient", it={})
    await shelf.has("Device", it={})
    performed = [shelf.to("it")]
    observation = {
        **an_observation(f"{shelf.id}-it"),
        "performer": performed,
        "device": shelf.to("it", "Device"),
    }
    await shelf.has("Observation", it=observation)
    await shelf.has("Observation", other={**observation, "subject": shelf.to("it", "Device")})
    answer = await shelf.answer("Observation?_include=Observation:subject:Device")
    found = [
        entry["resource"]["resourceType"] for entry in answer["entry"] if entry["search"]["mode"] == "include"
    ]
    assert found == ["Device"]


async def test_includes_are_repeated_not_listed(shelf: Shelf) -> None:
    """Several includes are several parameters; a value is not a list"""
    await _ordered(shelf)
    both = "_include=MedicationRequest:patient&_include=MedicationRequest:intended-performer"
    assert await shelf.finds(f"MedicationRequest?{both}", "include") == {"patient", "doctor"}
    await shelf.refuses(
        "MedicationRequest?_include=MedicationRequest:patient,MedicationRequest:intended-performer"
    )


async def test_what_cannot_be_retrieved_is_left_out(shelf: Shelf) -> None:
    """No reference, nothing there, or elsewhere: left out, without an error"""
    unknown = {"reference": f"Patient/{shelf.id}-nobody"}
    elsewhere = {"reference": "http://other.example/fhir/Patient/1"}
    await shelf.has(
        "MedicationRequest", unknown={**ORDER, "subject": unknown}, elsewhere={**ORDER, "subject": elsewhere}
    )
    query = "MedicationRequest?_include=MedicationRequest:patient&_include=MedicationRequest:encounter"
    assert await shelf.finds(query) == {"unknown", "elsewhere"}
    assert await shelf.finds(query, "include") == set()


async def test_iterate_goes_on_from_what_was_included(shelf: Shelf) -> None:
    """`_include=MedicationDispense:prescription&_include:iterate=MedicationRequest:performer`"""
    await _ordered(shelf)
    first = "_include=MedicationDispense:prescription"
    then = "MedicationRequest:intended-performer"
    assert await shelf.finds(f"MedicationDispense?{first}", "include") == {"order"}
    assert await shelf.finds(f"MedicationDispense?{first}&_include:iterate={then}", "include") == {
        "order",
        "doctor",
    }


async def _circle(shelf: Shelf) -> None:
    def derived(name: str) -> dict[str, Any]:
        return an_observation("1", derivedFrom=[shelf.to(name, "Observation")])

    await shelf.has("Observation", a=derived("b"), b=derived("c"), c=derived("a"))


async def test_without_iterate_one_step_is_taken(shelf: Shelf) -> None:
    """Without `:iterate` only what matches refer to directly"""
    await _circle(shelf)
    query = f"Observation?_id={shelf.id}-a&_include=Observation:derived-from"
    assert await shelf.finds(query, "include") == {"b"}


async def test_iterate_follows_circles_once(shelf: Shelf) -> None:
    """With `:iterate` what is included leads on; circles end"""
    await _circle(shelf)
    query = f"Observation?_id={shelf.id}-a&_include:iterate=Observation:derived-from"
    assert await shelf.lists(query) == ["a"]
    assert sorted(await shelf.lists(query, "include")) == ["b", "c"]


async def test_a_wildcard_is_every_reference(shelf: Shelf) -> None:
    """`*`: each parameter of type reference, forwards and backwards"""
    await _ordered(shelf)
    assert await shelf.finds("MedicationRequest?_include=*", "include") == {"patient", "doctor"}
    assert await shelf.finds("MedicationRequest?_include=MedicationRequest:*", "include") == {
        "patient",
        "doctor",
    }
    assert {"provenance", "dispense"} <= await shelf.finds("MedicationRequest?_revinclude=*", "include")


async def test_each_page_stands_alone(shelf: Shelf) -> None:
    """A page has what its own matches lead to, also where an earlier page had it"""
    await shelf.has("Patient", it={})
    await shelf.has("Observation", **{name: an_observation(f"{shelf.id}-it") for name in "abc"})
    page = await shelf.answer("Observation?_count=1&_include=Observation:subject")
    for _ in "abc":
        assert [entry["search"]["mode"] for entry in page["entry"]] == ["match", "include"]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        page = (await shelf.client.get(following[0])).json() if following else {}
    assert page == {}


async def test_what_is_included_twice_comes_once(shelf: Shelf) -> None:
    """What several matches lead to is in the page once"""
    await shelf.has("Patient", it={})
    await shelf.has("Observation", **{name: an_observation(f"{shelf.id}-it") for name in "abc"})
    assert await shelf.lists("Observation?_include=Observation:subject", "include") == ["it"]
