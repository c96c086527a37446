"""
Strings and URIs; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#string, https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from typing import Any

from tests.conformance.shelf import Shelf


def named(**name: Any) -> dict[str, Any]:
    return {"name": [name]}


async def _given(shelf: Shelf) -> None:
    await shelf.has(
        "Patient",
        eve=named(given=["Eve"]),
        evelyn=named(given=["Evelyn"]),
        severine=named(given=["Severine"]),
        lower=named(given=["eve"]),
        upper=named(given=["EVE"]),
        second=named(given=["Ann", "Eve"]),
    )


async def test_a_string_is_found_by_its_beginning(shelf: Shelf) -> None:
    """`given=eve`: starts with, whatever the case"""
    await _given(shelf)
    assert await shelf.finds("Patient?given=eve") == {"eve", "evelyn", "lower", "upper", "second"}


async def test_contains_finds_it_anywhere(shelf: Shelf) -> None:
    """`given:contains=eve`: at any position, whatever the case"""
    await _given(shelf)
    everyone = {"eve", "evelyn", "severine", "lower", "upper", "second"}
    assert await shelf.finds("Patient?given:contains=eve") == everyone


async def test_exact_finds_the_whole_as_it_is_written(shelf: Shelf) -> None:
    """`given:exact=Eve`: neither eve nor EVE"""
    await _given(shelf)
    assert await shelf.finds("Patient?given:exact=Eve") == {"eve", "second"}


async def test_accents_and_case_do_not_matter(shelf: Shelf) -> None:
    """Neither case nor combining characters matter, in the value or in the resource"""
    await shelf.has("Patient", accent=named(family="Müller"), plain=named(family="Muller"))
    for value in ("müller", "MULLER", "mu%CC%88ller"):
        assert await shelf.finds(f"Patient?family={value}") == {"accent", "plain"}, value
    assert await shelf.finds("Patient?family:exact=Müller") == {"accent"}


async def test_surplus_white_space_does_not_matter(shelf: Shelf) -> None:
    """White space that means nothing should be ignored"""
    await shelf.has("Patient", it=named(family="van  der\tBerg"))
    assert await shelf.finds("Patient?family=van%20der%20%20berg") == {"it"}


async def test_punctuation_does_not_matter(shelf: Shelf) -> None:
    """Punctuation should be ignored"""
    await shelf.has(
        "Patient", it=named(family="O'Brien"), plain=named(family="OBrien"), two=named(given=["Anne-Marie"])
    )
    for value in ("obrien", "O'Brien", "O\u2019Bri"):
        assert await shelf.finds(f"Patient?family={value}") == {"it", "plain"}, value
    assert await shelf.finds("Patient?family:exact=O'Brien") == {"it"}
    for value in ("Anne%20Marie", "anne-m"):
        assert await shelf.finds(f"Patient?given={value}") == {"two"}, value


async def test_what_is_punctuation_alone_is_refused_by_name(shelf: Shelf) -> None:
    """What is punctuation alone would find everything: it is refused; `:exact` finds it"""
    await shelf.has("Patient", it=named(family="?"))
    assert "family" in await shelf.refuses("Patient?family=-")
    assert await shelf.finds("Patient?family:exact=?") == {"it"}


async def test_each_string_of_a_name_is_searched(shelf: Shelf) -> None:
    """HumanName: each element of type string, and no other; each starts by itself"""
    name = {
        "text": "Doctor Ann Berg",
        "family": "Berg",
        "given": ["Ann", "Maria"],
        "prefix": ["Dr"],
        "suffix": ["MD"],
    }
    await shelf.has("Patient", it=named(**name, use="official", period={"start": "2020"}))
    for value in ("doctor", "berg", "ann", "maria", "dr", "md", "Doctor%20Ann"):
        assert await shelf.finds(f"Patient?name={value}") == {"it"}, value
    for value in ("official", "2020", "erg", "Ann%20Maria"):
        assert await shelf.finds(f"Patient?name={value}") == set(), value


async def test_each_string_of_an_address_is_searched(shelf: Shelf) -> None:
    """Address: each element of type string, and no other; each starts by itself"""
    address = {
        "text": "Whole address",
        "line": ["Main Street 1", "Backyard"],
        "city": "Town",
        "district": "North",
        "state": "Region",
        "postalCode": "12345",
        "country": "Land",
    }
    await shelf.has("Patient", it={"address": [{**address, "use": "home", "type": "both"}]})
    for value in ("whole", "main", "backyard", "town", "north", "region", "123", "land"):
        assert await shelf.finds(f"Patient?address={value}") == {"it"}, value
    for value in ("home", "both", "street"):
        assert await shelf.finds(f"Patient?address={value}") == set(), value


async def test_each_part_of_a_family_name_is_found(shelf: Shelf) -> None:
    """For robust search, Carreno and Quinones should both find Carreno Quinones"""
    await shelf.has("Patient", it=named(family="Carreño Quinones", given=["Ana-Maria"]))
    for value in ("family=carreno", "family=quino", "given=maria", "name=quinones", "phonetic=maria"):
        assert await shelf.finds(f"Patient?{value}") == {"it"}, value
    for value in ("family=reno", "family:exact=Quinones", "given=quinones"):
        assert await shelf.finds(f"Patient?{value}") == set(), value


async def test_text_is_no_modifier_of_a_string(shelf: Shelf) -> None:
    """`:text` of a string is for servers with advanced text handling"""
    assert "text" in await shelf.refuses("Patient?family:text=x")


async def _value_sets(shelf: Shelf) -> None:
    url = f"http://acme.example/{shelf.id}/fhir/ValueSet"
    await shelf.has(
        "ValueSet",
        **{"123": {"status": "draft", "url": f"{url}/123"}},
        other={"status": "draft", "url": f"{url}/1234"},
        upper={"status": "draft", "url": f"{url.upper()}/123"},
        oid={"status": "draft", "url": "urn:oid:1.2.3.4.5"},
    )


async def test_a_uri_is_found_by_all_of_it(shelf: Shelf) -> None:
    """`url=http://acme.org/fhir/ValueSet/123`: precisely, case included"""
    await _value_sets(shelf)
    assert await shelf.finds(f"ValueSet?url=http://acme.example/{shelf.id}/fhir/ValueSet/123") == {"123"}
    assert await shelf.finds(f"ValueSet?url=http://acme.example/{shelf.id}/fhir/ValueSet/12") == set()


async def test_below_a_uri_is_what_starts_with_it(shelf: Shelf) -> None:
    """`url:below=http://acme.org/fhir/`: what starts with it"""
    await _value_sets(shelf)
    assert await shelf.finds(f"ValueSet?url:below=http://acme.example/{shelf.id}/fhir/") == {"123", "other"}


async def test_above_a_uri_is_what_it_starts_with(shelf: Shelf) -> None:
    """`url:above=http://acme.org/fhir/ValueSet/123/_history/5`: itself and what is above it"""
    await _value_sets(shelf)
    asked = f"http://acme.example/{shelf.id}/fhir/ValueSet/123/_history/5"
    assert await shelf.finds(f"ValueSet?url:above={asked}") == {"123"}


async def test_an_oid_is_found_as_a_urn(shelf: Shelf) -> None:
    """`url=urn:oid:1.2.3.4.5`"""
    await _value_sets(shelf)
    assert await shelf.finds("ValueSet?url=urn:oid:1.2.3.4.5") == {"oid"}


async def test_above_and_below_are_for_urls_alone(shelf: Shelf) -> None:
    """`:above` and `:below` apply to URLs, not to URNs"""
    for modifier in ("above", "below"):
        assert "URL" in await shelf.refuses(f"ValueSet?url:{modifier}=urn:oid:1.2.3")


async def test_a_canonical_url_may_have_a_version(shelf: Shelf) -> None:
    """A uri that is a canonical URL should be found with `|[version]` of the resource"""
    url = f"http://acme.example/{shelf.id}"
    one = {"status": "draft", "url": url}
    await shelf.has("ValueSet", one={**one, "version": "1"}, two={**one, "version": "2"})
    assert await shelf.finds(f"ValueSet?url={url}|2") == {"two"}
    assert await shelf.finds(f"ValueSet?url={url}|3") == set()
    assert await shelf.finds(f"ValueSet?url={url}") == {"one", "two"}
