"""
References, versions, hierarchies; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from typing import Any

from tests.conformance.listening import Listening
from tests.conformance.shelf import Shelf
from tests.server.running import an_observation

ABOUT = {"status": "final", "code": {"text": "text"}}


def of(reference: str) -> dict[str, Any]:
    """An Observation whose subject is this."""
    return {**ABOUT, "subject": {"reference": reference}}


async def test_a_logical_id(shelf: Shelf) -> None:
    """`[id]`: a local reference"""
    await shelf.has("Patient", p={}, q={})
    await shelf.has("Observation", p=of(shelf.at("p")), q=of(shelf.at("q")))
    assert await shelf.finds(f"Observation?patient={shelf.id}-p") == {"p"}


async def test_a_type_and_an_id(shelf: Shelf) -> None:
    """`[type]/[id]`: a local reference to that type"""
    await shelf.has("Patient", same={})
    await shelf.has("Group", same={"type": "person", "actual": True})
    await shelf.has("Observation", patient=of(shelf.at("same")), group=of(shelf.at("same", "Group")))
    assert await shelf.finds(f"Observation?subject={shelf.at('same')}") == {"patient"}
    assert await shelf.finds(f"Observation?subject={shelf.at('same', 'Group')}") == {"group"}


async def test_an_absolute_url(shelf: Shelf) -> None:
    """`[url]`: an absolute location"""
    await shelf.has("Observation", elsewhere=of("http://other.example/fhir/Patient/1"), here=of("Patient/1"))
    assert await shelf.finds("Observation?subject=http://other.example/fhir/Patient/1") == {"elsewhere"}


async def test_relative_and_absolute_are_the_same(server: Listening, shelf: Shelf) -> None:
    """A relative reference and its absolute URL find each other"""
    await shelf.has("Patient", p={})
    address = f"{server.base}/{shelf.at('p')}"
    await shelf.has("Observation", relative=of(shelf.at("p")), absolute=of(address))
    for value in (shelf.at("p"), address):
        assert await shelf.finds(f"Observation?subject={value}") == {"relative", "absolute"}, value


async def test_the_type_as_a_modifier(shelf: Shelf) -> None:
    """`subject:Patient=23` is `subject=Patient/23`"""
    await shelf.has("Observation", patient=of(shelf.at("x")), group=of(shelf.at("x", "Group")))
    assert await shelf.finds(f"Observation?subject:Patient={shelf.id}-x") == {"patient"}
    assert await shelf.finds(f"Observation?subject:Group={shelf.id}-x") == {"group"}


async def test_a_parameter_that_is_limited_to_a_type(shelf: Shelf) -> None:
    """`patient` is `subject` of type Patient, without saying so"""
    await shelf.has("Observation", patient=of(shelf.at("x")), group=of(shelf.at("x", "Group")))
    assert await shelf.finds(f"Observation?patient={shelf.id}-x") == {"patient"}


async def test_an_id_of_several_types_is_refused(shelf: Shelf) -> None:
    """Servers should reject an id that is of resources of several types"""
    await shelf.has("Patient", x={})
    await shelf.has("Group", x={"type": "person", "actual": True})
    await shelf.has("Observation", patient=of(shelf.at("x")), group=of(shelf.at("x", "Group")))
    assert "subject" in await shelf.refuses(f"Observation?subject={shelf.id}-x")
    assert await shelf.finds(f"Observation?subject={shelf.at('x', 'Group')}") == {"group"}


async def test_an_identifier_of_a_reference(shelf: Shelf) -> None:
    """`subject:identifier=http://acme.org/fhir/identifier/mrn|123456`: as a token"""
    mrn = {"system": "http://acme.org/fhir/identifier/mrn", "value": "123456"}
    await shelf.has("Observation", it={**ABOUT, "subject": {"identifier": mrn}}, other=of("Patient/123456"))
    for value in (f"{mrn['system']}|123456", "123456", f"{mrn['system']}|"):
        assert await shelf.finds(f"Observation?subject:identifier={value}") == {"it"}, value


async def test_a_canonical_has_no_identifier(shelf: Shelf) -> None:
    """`:identifier` is not for canonical elements"""
    await shelf.refuses("QuestionnaireResponse?questionnaire:identifier=a")


async def test_identifier_is_not_chained(shelf: Shelf) -> None:
    """Chaining is not for `:identifier`"""
    await shelf.refuses("Observation?subject:identifier.name=a")


async def test_a_resource_that_stands_where_a_reference_could(shelf: Shelf) -> None:
    """Bundle `message` and `composition` refer to the first entry"""
    header = {
        "resourceType": "MessageHeader",
        "id": f"{shelf.id}-header",
        "eventUri": "urn:e",
        "source": {"endpoint": "urn:s"},
    }
    entry = [{"fullUrl": f"http://x.example/{shelf.at('header', 'MessageHeader')}", "resource": header}]
    await shelf.has("Bundle", it={"type": "message", "timestamp": "2024-01-01T00:00:00Z", "entry": entry})
    assert await shelf.finds(f"Bundle?message={shelf.at('header', 'MessageHeader')}") == {"it"}


async def _responses(shelf: Shelf) -> str:
    url = f"http://acme.example/{shelf.id}"
    names = {"1.0": f"{url}|1.0", "1.1": f"{url}|1.1", "2.0": f"{url}|2.0", "none": url, "10": f"{url}|10"}
    responses = {name: {"status": "completed", "questionnaire": it} for name, it in names.items()}
    await shelf.has("QuestionnaireResponse", **responses)
    return url


async def test_a_canonical_is_found_with_and_without_its_version(shelf: Shelf) -> None:
    """A canonical is found by its URL, and by URL and version"""
    url = await _responses(shelf)
    everything = {"1.0", "1.1", "2.0", "none", "10"}
    assert await shelf.finds(f"QuestionnaireResponse?questionnaire={url}") == everything
    assert await shelf.finds(f"QuestionnaireResponse?questionnaire={url}|1.1") == {"1.1"}


async def test_below_a_canonical_is_each_version(shelf: Shelf) -> None:
    """`definition:below=http://acme.com/some-profile`: each version"""
    url = await _responses(shelf)
    found = await shelf.finds(f"QuestionnaireResponse?questionnaire:below={url}")
    assert found == {"1.0", "1.1", "2.0", "none", "10"}


async def test_below_the_version_of_a_canonical_is_what_starts_with_it(shelf: Shelf) -> None:
    """`definition:below=http://acme.com/some-profile|1`: 1.0 and 1.1, not 2.0"""
    url = await _responses(shelf)
    assert await shelf.finds(f"QuestionnaireResponse?questionnaire:below={url}|1") == {"1.0", "1.1"}


async def test_a_reference_to_a_version_is_found_by_the_resource(shelf: Shelf) -> None:
    """A versioned reference is found by the resource, and by the version"""
    await shelf.has("Patient", p={})
    await shelf.has("Observation", it=of(f"{shelf.at('p')}/_history/1"))
    assert await shelf.finds(f"Observation?subject={shelf.at('p')}") == {"it"}
    assert await shelf.finds(f"Observation?subject={shelf.at('p')}/_history/1") == {"it"}
    assert await shelf.finds(f"Observation?subject={shelf.at('p')}/_history/2") == set()


async def test_the_version_that_is_referred_to_is_included(shelf: Shelf) -> None:
    """With `_include`, the version that is referred to should be provided"""
    await shelf.has("Patient", p={})
    await shelf.has("Observation", it=of(f"{shelf.at('p')}/_history/1"))
    await shelf.has("Patient", p={"active": True})
    answer = await shelf.answer("Observation?_include=Observation:subject")
    [version] = [
        one["resource"]["meta"]["versionId"] for one in answer["entry"] if one["search"]["mode"] == "include"
    ]
    assert version == "1"


async def test_a_hierarchy_of_references_is_refused_by_name(shelf: Shelf) -> None:
    """`location:below=42`, `encounter:above=21`: where a server says that it has them"""
    assert "below" in await shelf.refuses("Procedure?location:below=42")
    assert "above" in await shelf.refuses("MedicationAdministration?context:above=21")


async def test_a_reference_to_what_is_not_there_finds_what_refers(shelf: Shelf) -> None:
    """`subject=101`, which does not exist: what refers to it, without an error"""
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-nobody"))
    assert await shelf.finds(f"Observation?subject=Patient/{shelf.id}-nobody") == {"it"}
    assert await shelf.finds(f"Observation?subject=Patient/{shelf.id}-none") == set()
