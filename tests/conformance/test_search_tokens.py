"""
Tokens; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from typing import Any

from tests.conformance.shelf import Shelf

LOINC = "http://loinc.org"


def identified(*identifiers: dict[str, Any]) -> dict[str, Any]:
    return {"identifier": list(identifiers)}


def with_code(*codings: dict[str, Any], **stated: Any) -> dict[str, Any]:
    """A Condition of this code."""
    return {"subject": {"reference": "Patient/1"}, "code": {"coding": list(codings), **stated}}


async def _identified(shelf: Shelf) -> None:
    await shelf.has(
        "Patient",
        acme=identified({"system": "http://acme.org/patient", "value": "2345"}),
        other=identified({"system": "http://other.org", "value": "2345"}),
        bare=identified({"value": "2345"}),
        unlike=identified({"system": "http://acme.org/patient", "value": "9"}),
    )


async def test_a_code_in_any_system(shelf: Shelf) -> None:
    """`[code]`: whatever the system"""
    await _identified(shelf)
    assert await shelf.finds("Patient?identifier=2345") == {"acme", "other", "bare"}


async def test_a_code_in_its_system(shelf: Shelf) -> None:
    """`[system]|[code]`: `identifier=http://acme.org/patient|2345`"""
    await _identified(shelf)
    assert await shelf.finds("Patient?identifier=http://acme.org/patient|2345") == {"acme"}


async def test_a_code_without_a_system(shelf: Shelf) -> None:
    """`|[code]`: there is no system"""
    await _identified(shelf)
    assert await shelf.finds("Patient?identifier=|2345") == {"bare"}


async def test_any_code_of_a_system(shelf: Shelf) -> None:
    """`[system]|`: any element with the system"""
    await _identified(shelf)
    assert await shelf.finds("Patient?identifier=http://acme.org/patient|") == {"acme", "unlike"}


async def test_a_coding(shelf: Shelf) -> None:
    """Coding: its system and code"""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await shelf.has("Patient", it={"meta": {"security": [label]}}, other={})
    assert await shelf.finds(f"Patient?_security={label['system']}|R") == {"it"}


async def test_any_coding_of_a_codeable_concept(shelf: Shelf) -> None:
    """CodeableConcept: any of its codings"""
    await shelf.has(
        "Condition", it=with_code({"system": LOINC, "code": "a"}, {"system": "urn:x", "code": "b"})
    )
    for value in (f"{LOINC}|a", "urn:x|b", "a", "b"):
        assert await shelf.finds(f"Condition?code={value}") == {"it"}, value
    assert await shelf.finds("Condition?code=urn:x|a") == set()


async def test_an_identifier_whose_root_is_its_system_or_its_value(shelf: Shelf) -> None:
    """Identifier: `identifier=|[root],[root]|` for an II.root on either side"""
    root = "urn:oid:1.2.3"
    await shelf.has(
        "Patient", system=identified({"system": root, "value": "7"}), value=identified({"value": root})
    )
    assert await shelf.finds(f"Patient?identifier=|{root},{root}|") == {"system", "value"}


async def test_a_contact_point(shelf: Shelf) -> None:
    """ContactPoint: its value"""
    await shelf.has(
        "Patient",
        phone={"telecom": [{"system": "phone", "value": "+1 555"}]},
        email={"telecom": [{"system": "email", "value": "a@b.example"}]},
    )
    assert await shelf.finds("Patient?telecom=a@b.example") == {"email"}
    assert await shelf.finds("Patient?email=a@b.example") == {"email"}
    assert await shelf.finds("Patient?phone=a@b.example") == set()
    assert await shelf.finds("Patient?phone=%2B1%20555") == {"phone"}


async def test_a_code_has_an_implicit_system(shelf: Shelf) -> None:
    """code: the system is that of its value set; `gender=male`"""
    await shelf.has("Patient", male={"gender": "male"}, female={"gender": "female"})
    assert await shelf.finds("Patient?gender=male") == {"male"}
    assert await shelf.finds("Patient?gender=http://hl7.org/fhir/administrative-gender|male") == {"male"}
    assert await shelf.finds("Patient?gender=http://example.org|male") == set()


async def test_a_boolean(shelf: Shelf) -> None:
    """boolean: `active=true`"""
    await shelf.has("Patient", yes={"active": True}, no={"active": False}, unsaid={})
    assert await shelf.finds("Patient?active=true") == {"yes"}
    assert await shelf.finds("Patient?active=false") == {"no"}
    assert await shelf.finds("Patient?active=http://hl7.org/fhir/special-values|true") == {"yes"}


async def test_a_uri_as_a_token(shelf: Shelf) -> None:
    """uri: by itself"""
    await shelf.has("MessageHeader", it={"eventUri": "urn:e:1", "source": {"endpoint": "urn:s:1"}})
    assert await shelf.finds("MessageHeader?event=urn:e:1") == {"it"}


async def test_a_string_as_a_token_is_whole_and_of_any_case(shelf: Shelf) -> None:
    """string: all of it, and not case sensitive"""
    await shelf.has("ValueSet", it={"status": "draft", "version": "1.0-Beta"})
    assert await shelf.finds("ValueSet?version=1.0-Beta") == {"it"}
    assert await shelf.finds("ValueSet?version=1.0-BETA") == {"it"}
    assert await shelf.finds("ValueSet?version=1.0") == set()


async def test_the_case_of_a_code_counts(shelf: Shelf) -> None:
    """Codes are literal: case counts unless their system says that it does not"""
    await shelf.has("Condition", it=with_code({"system": LOINC, "code": "aB"}))
    assert await shelf.finds(f"Condition?code={LOINC}|aB") == {"it"}
    assert await shelf.finds(f"Condition?code={LOINC}|ab") == set()


async def test_text_searches_the_words_of_a_code(shelf: Shelf) -> None:
    """`:text`: CodeableConcept.text, Coding.display or Identifier.type.text; `code:text=headache`"""
    await shelf.has(
        "Condition",
        text=with_code({"code": "x"}, text="Headache, severe"),
        display=with_code({"code": "x", "display": "HEADACHE"}),
        code=with_code({"code": "headache"}),
    )
    assert await shelf.finds("Condition?code:text=headache") == {"text", "display"}
    typed = {"type": {"text": "Passport number"}, "value": "1"}
    await shelf.has("Patient", it=identified(typed))
    assert await shelf.finds("Patient?identifier:text=passport") == {"it"}


async def test_not_finds_what_has_another_code_or_none(shelf: Shelf) -> None:
    """`gender:not=male`: also who has no gender at all"""
    await shelf.has("Patient", male={"gender": "male"}, female={"gender": "female"}, unsaid={})
    assert await shelf.finds("Patient?gender:not=male") == {"female", "unsaid"}


async def test_not_is_of_the_set_of_values(shelf: Shelf) -> None:
    """`section:not=48765-2`: no section is of the code"""
    composition = {
        "status": "final",
        "type": {"text": "text"},
        "date": "2024",
        "author": [{"reference": "Practitioner/1"}],
        "title": "text",
    }

    def sections(*codes: str) -> dict[str, Any]:
        found = [
            {"code": {"coding": [{"code": code}]}, "entry": [{"reference": "Basic/1"}]} for code in codes
        ]
        return {**composition, "section": found}

    await shelf.has("Composition", both=sections("48765-2", "x"), other=sections("x"), none=composition)
    assert await shelf.finds("Composition?section=48765-2") == {"both"}
    assert await shelf.finds("Composition?section:not=48765-2") == {"other", "none"}


async def test_a_code_of_a_condition(shelf: Shelf) -> None:
    """`code=http://acme.org/conditions/codes|ha125`, `code=ha125`"""
    await shelf.has(
        "Condition",
        acme=with_code({"system": "http://acme.org/conditions/codes", "code": "ha125"}),
        other=with_code({"system": "urn:x", "code": "ha125"}),
    )
    assert await shelf.finds("Condition?code=http://acme.org/conditions/codes|ha125") == {"acme"}
    assert await shelf.finds("Condition?code=ha125") == {"acme", "other"}


async def test_of_type_finds_an_identifier_by_its_type(shelf: Shelf) -> None:
    """`identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053`: all three parts"""
    table = "http://terminology.hl7.org/CodeSystem/v2-0203"

    def typed(code: str) -> dict[str, Any]:
        type = {"coding": [{"system": table, "code": code}, {"system": "urn:x", "code": "y"}]}
        return identified({"type": type, "system": f"urn:{code}", "value": "446053"})

    await shelf.has("Patient", record=typed("MR"), passport=typed("PPN"))
    assert await shelf.finds(f"Patient?identifier:of-type={table}|MR|446053") == {"record"}
    assert await shelf.finds("Patient?identifier:of-type=urn:x|y|446053") == {"record", "passport"}
    for part in (f"{table}|MR", "446053", f"{table}||446053"):
        await shelf.refuses(f"Patient?identifier:of-type={part}")


async def _cardiac(shelf: Shelf) -> str:
    url = f"http://acme.example/{shelf.id}/cardiac"
    concepts = [{"code": "infarct"}, {"code": "angina"}]
    include = [{"system": "urn:acme:codes", "concept": concepts}]
    await shelf.has("ValueSet", set={"status": "active", "url": url, "compose": {"include": include}})
    await shelf.has(
        "Condition",
        infarct=with_code({"system": "urn:acme:codes", "code": "infarct"}),
        cold=with_code({"system": "urn:acme:codes", "code": "cold"}),
        none={"subject": {"reference": "Patient/1"}},
    )
    return url


async def test_in_finds_what_is_in_a_value_set(shelf: Shelf) -> None:
    """`code:in=http://acme.org/fhir/ValueSet/cardiac-conditions`: by its URL or its address"""
    url = await _cardiac(shelf)
    assert await shelf.finds(f"Condition?code:in={url}") == {"infarct"}
    assert await shelf.finds(f"Condition?code:in={shelf.at('set', 'ValueSet')}") == {"infarct"}


async def test_not_in_finds_what_is_not_in_a_value_set(shelf: Shelf) -> None:
    """`:not-in`: the coding is not in the value set"""
    url = await _cardiac(shelf)
    assert "infarct" not in await shelf.finds(f"Condition?code:not-in={url}")
    assert "cold" in await shelf.finds(f"Condition?code:not-in={url}")


async def _hierarchy(shelf: Shelf) -> str:
    url = f"http://acme.example/{shelf.id}/codes"
    concept = [{"code": "tumour", "concept": [{"code": "liver", "concept": [{"code": "liver-left"}]}]}]
    system = {"status": "active", "content": "complete", "hierarchyMeaning": "is-a", "url": url}
    await shelf.has("CodeSystem", system={**system, "concept": concept})
    codes = {code: with_code({"system": url, "code": code}) for code in ("tumour", "liver", "liver-left")}
    await shelf.has("Condition", **codes)
    return url


async def test_below_a_code_is_what_it_subsumes(shelf: Shelf) -> None:
    """`code:below=126851005`: the code, and what is-a it"""
    url = await _hierarchy(shelf)
    assert await shelf.finds(f"Condition?code:below={url}|liver") == {"liver", "liver-left"}


async def test_above_a_code_is_what_subsumes_it(shelf: Shelf) -> None:
    """`:above`: the code, and what it is-a"""
    url = await _hierarchy(shelf)
    assert await shelf.finds(f"Condition?code:above={url}|liver") == {"tumour", "liver"}


async def test_below_a_mime_type_are_its_parameters(shelf: Shelf) -> None:
    """`contenttype:below=text/xml`: also text/xml; charset=UTF-8"""
    document = {"status": "current"}
    for name, type in (("plain", "text/xml"), ("charset", "text/xml; charset=UTF-8"), ("other", "text/html")):
        content = [{"attachment": {"contentType": type}}]
        await shelf.has("DocumentReference", **{name: {**document, "content": content}})
    assert await shelf.finds("DocumentReference?contenttype=text/xml") == {"plain"}
    assert await shelf.finds("DocumentReference?contenttype:below=text/xml") == {"plain", "charset"}
