"""
What may be asked, how it is written and what is an error; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#errors, https://hl7.org/fhir/R4/search.html#all,
https://hl7.org/fhir/R4/search.html#escaping, https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.resource import Literal
from tests.conformance.shelf import Shelf
from tests.server.running import an_observation

LENIENT = {"Prefer": "handling=lenient"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


async def test_what_is_not_there_is_no_error(shelf: Shelf) -> None:
    """A subject, a code or a time that nothing has: an empty result"""
    await shelf.has("Observation", it=an_observation("1", effectiveDateTime="2024"))
    for query in ("subject=Patient/nobody-101", f"code={LOINC}|nothing", "date=le1995"):
        assert await shelf.finds(f"Observation?{query}") == set(), query


async def test_a_modifier_that_is_not_there_is_refused(shelf: Shelf) -> None:
    """`onset-date:text=1995`: 400 with an OperationOutcome; a server shall reject such a modifier"""
    assert "text" in await shelf.refuses("Condition?onset-date:text=1995")
    assert "exact" in await shelf.refuses("Patient?gender:exact=male")
    assert "nothing" in await shelf.refuses("Patient?name:nothing=Bill")


async def test_a_date_in_another_format_is_refused(shelf: Shelf) -> None:
    """`onset-date=23 May 2009`: syntactically wrong"""
    assert "onset-date" in await shelf.refuses("Condition?onset-date=23%20May%202009")


async def test_an_empty_parameter_is_refused_by_name(shelf: Shelf) -> None:
    """R4 ignores empty parameters; here everybody's data would be the answer"""
    assert "gender" in await shelf.refuses("Patient?gender=")


async def test_an_unknown_parameter_is_refused_unless_handling_is_lenient(shelf: Shelf) -> None:
    """`Prefer: handling=strict` and `lenient`; without it as strict"""
    await shelf.has("Patient", it={})
    assert "nonsense" in await shelf.refuses("Patient?nonsense=1")
    strict = await shelf.client.get("/Patient?nonsense=1", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    query = f"/Patient?nonsense=1&_id={shelf.id}-it"
    answer = (await shelf.client.get(query, headers=LENIENT)).json()
    match, outcome = answer["entry"]
    assert (match["search"]["mode"], outcome["search"]["mode"]) == ("match", "outcome")
    assert "nonsense" in outcome["resource"]["issue"][0]["diagnostics"]


async def test_the_self_link_says_what_was_used(shelf: Shelf) -> None:
    """The parameters that were used are in the self link, and no others"""
    query = f"/Patient?nonsense=1&_id={shelf.id}-it&gender=male"
    answer = (await shelf.client.get(query, headers=LENIENT)).json()
    [url] = [link["url"] for link in answer["link"] if link["relation"] == "self"]
    assert "gender=male" in url
    assert f"_id={shelf.id}-it" in url
    assert "nonsense" not in url


async def test_the_three_contexts_of_a_search(shelf: Shelf) -> None:
    """A type, a compartment with or without a type, all types with what they have in common"""
    await shelf.has("Patient", it={})
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-it"))
    assert await shelf.lists("Observation?") == ["it"]
    assert await shelf.lists(f"{shelf.at('it')}/Observation?") == ["it"]
    assert await shelf.lists(f"{shelf.at('it')}/*?") == ["it", "it"]
    assert await shelf.lists("?") == ["it", "it"]
    assert "birthdate" in await shelf.refuses("?birthdate=2000")


async def test_type_says_which_types(shelf: Shelf) -> None:
    """`?_type=Observation,Condition`: parameters that all of them have"""
    await shelf.has("Patient", it={})
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-it"))
    await shelf.has("Condition", it={"subject": shelf.to("it")})
    assert await shelf.lists("?_type=Observation,Condition") == ["it", "it"]
    assert await shelf.lists(f"?_type=Observation,Condition&patient={shelf.id}-it") == ["it", "it"]
    assert "onset-date" in await shelf.refuses("?_type=Observation,Condition&onset-date=2000")


async def test_by_post_as_by_get(shelf: Shelf) -> None:
    """`POST [type]/_search`: parameters in the body and in the URL together"""
    await shelf.has("Patient", male={"gender": "male"}, female={"gender": "female"})
    tag = f"_tag=urn:tests:shelf|{shelf.id}"
    for url, body in ((f"?{tag}", "gender=male"), ("", f"{tag}&gender=male"), (f"?{tag}&gender=male", "")):
        answer = await shelf.client.post(f"/Patient/_search{url}", content=body, headers=FORM)
        assert [entry["resource"]["gender"] for entry in answer.json()["entry"]] == ["male"], (url, body)


async def test_the_id_of_a_resource(shelf: Shelf) -> None:
    """`Patient?_id=23`: a Bundle of it; case counts"""
    await shelf.has("Patient", aB={}, other={})
    assert await shelf.finds(f"Patient?_id={shelf.id}-aB") == {"aB"}
    assert await shelf.finds(f"Patient?_id={shelf.id}-ab") == set()


async def test_the_time_of_a_change(shelf: Shelf) -> None:
    """`Observation?_lastUpdated=gt2010-10-01`"""
    await shelf.has("Observation", it=an_observation("1"))
    assert await shelf.finds("Observation?_lastUpdated=gt2010-10-01") == {"it"}
    assert await shelf.finds("Observation?_lastUpdated=lt2010-10-01") == set()


async def test_a_tag(shelf: Shelf) -> None:
    """`Condition?_tag=http://acme.org/codes|needs-review`"""
    subject = {"subject": {"reference": "Patient/1"}}
    tag = {"system": "http://acme.org/codes", "code": "needs-review"}
    await shelf.has("Condition", it={**subject, "meta": {"tag": [tag]}}, other=subject)
    assert await shelf.finds("Condition?_tag=http://acme.org/codes|needs-review") == {"it"}


async def test_a_profile(shelf: Shelf) -> None:
    """`DiagnosticReport?_profile=http://hl7.org/fhir/StructureDefinition/lipid`, and a relative one"""
    report = {"status": "final", "code": {"text": "text"}}
    lipid = "http://hl7.org/fhir/StructureDefinition/lipid"
    await shelf.has(
        "DiagnosticReport",
        it={**report, "meta": {"profile": [lipid]}},
        local={**report, "meta": {"profile": ["Profile/lipid"]}},
    )
    assert await shelf.finds(f"DiagnosticReport?_profile={lipid}") == {"it"}
    assert await shelf.finds("DiagnosticReport?_profile=Profile/lipid") == {"local"}


async def test_a_security_label(shelf: Shelf) -> None:
    """`_security`: as a token"""
    label = {"system": "urn:labels", "code": "celebrity"}
    await shelf.has("Patient", it={"meta": {"security": [label]}}, other={})
    assert await shelf.finds("Patient?_security=urn:labels|celebrity") == {"it"}


async def test_the_source_of_a_resource(shelf: Shelf) -> None:
    """`_source`: as a uri"""
    await shelf.has("Patient", it={"meta": {"source": "urn:feeds:adt"}}, other={})
    assert await shelf.finds("Patient?_source=urn:feeds:adt") == {"it"}


async def _languages(shelf: Shelf) -> None:
    def speaks(*codes: str) -> dict[str, Any]:
        return {"communication": [{"language": {"coding": [{"code": code}]}} for code in codes]}

    await shelf.has(
        "Patient", fr=speaks("FR"), nl=speaks("NL"), both=speaks("FR", "NL"), en=speaks("NL", "EN")
    )


async def test_a_repeated_parameter_is_and(shelf: Shelf) -> None:
    """`language=FR&language=NL`: both"""
    await _languages(shelf)
    assert await shelf.finds("Patient?language=FR&language=NL") == {"both"}


async def test_a_comma_is_or(shelf: Shelf) -> None:
    """`language=FR,NL`: either; with a modifier too"""
    await _languages(shelf)
    assert await shelf.finds("Patient?language=FR,EN") == {"fr", "both", "en"}
    assert await shelf.finds("Patient?language:not=FR,EN") == {"nl"}


async def test_and_and_or_together(shelf: Shelf) -> None:
    """`language=FR,NL&language=EN`: one of the first two, and the third"""
    await _languages(shelf)
    assert await shelf.finds("Patient?language=FR,NL&language=EN") == {"en"}


async def test_a_code_and_a_quantity_of_one_component(shelf: Shelf) -> None:
    """`component-code-value-quantity=http://loinc.org|8480-6$lt60`: of the same component"""

    def pressure(systolic: str, diastolic: str) -> dict[str, Any]:
        values = (("8480-6", systolic), ("8462-4", diastolic))
        components = [
            {
                "code": {"coding": [{"system": LOINC, "code": code}]},
                "valueQuantity": {"value": Literal(value.encode()), "unit": "mmHg"},
            }
            for code, value in values
        ]
        return an_observation("1", component=components)

    await shelf.has("Observation", low=pressure("59", "40"), normal=pressure("120", "50"))
    assert await shelf.finds(f"Observation?component-code-value-quantity={LOINC}|8480-6$lt60") == {"low"}


async def test_a_composite_at_the_end_of_a_chain(shelf: Shelf) -> None:
    """`result.code-value-quantity=http://loinc.org|2823-3$gt5.4|http://unitsofmeasure.org|mmol/L`"""
    for name, value in (("high", "5.5"), ("normal", "4.5")):
        quantity = {"value": Literal(value.encode()), "system": UCUM, "code": "mmol/L"}
        code = {"coding": [{"system": LOINC, "code": "2823-3"}]}
        await shelf.has("Observation", **{name: an_observation("1", code=code, valueQuantity=quantity)})
        result = [shelf.to(name, "Observation")]
        report = {"status": "final", "code": {"text": "text"}, "result": result}
        await shelf.has("DiagnosticReport", **{name: report})
    value = f"{LOINC}|2823-3$gt5.4|{UCUM}|mmol/L"
    assert await shelf.finds(f"DiagnosticReport?result.code-value-quantity={value}") == {"high"}


async def test_a_characteristic_and_its_value(shelf: Shelf) -> None:
    """`Group?characteristic-value=gender$mixed`, and several with a comma: `gender$mixed,owner$Eve`"""

    def group(*pairs: tuple[str, str]) -> dict[str, Any]:
        characteristic = [
            {
                "code": {"coding": [{"code": code}]},
                "valueCodeableConcept": {"coding": [{"code": value}]},
                "exclude": False,
            }
            for code, value in pairs
        ]
        return {"type": "animal", "actual": True, "characteristic": characteristic}

    await shelf.has(
        "Group",
        mixed=group(("gender", "mixed"), ("owner", "Jo")),
        eve=group(("gender", "female"), ("owner", "Eve")),
        crossed=group(("gender", "Eve"), ("owner", "mixed")),
    )
    assert await shelf.finds("Group?characteristic-value=gender$mixed") == {"mixed"}
    assert await shelf.finds("Group?characteristic-value=gender$mixed,owner$Eve") == {"mixed", "eve"}


async def test_a_context_of_a_type_and_a_value(shelf: Shelf) -> None:
    """`Questionnaire?context-type-value=focus$http://snomed.info/sct|408934002`"""
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": "408934002"}]}
    context = {
        "code": {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": "focus"},
        "valueCodeableConcept": concept,
    }
    await shelf.has(
        "Questionnaire", it={"status": "draft", "useContext": [context]}, other={"status": "draft"}
    )
    value = "focus$http://snomed.info/sct|408934002"
    assert await shelf.finds(f"Questionnaire?context-type-value={value}") == {"it"}


async def test_a_composite_has_no_modifiers(shelf: Shelf) -> None:
    """Modifiers are not used on composites"""
    await shelf.refuses("Observation?code-value-quantity:not=a$1")


async def _allergies(shelf: Shelf) -> str:
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    patient = {"patient": {"reference": "Patient/1"}}
    coded = [{"system": system, "code": "active"}]
    await shelf.has(
        "AllergyIntolerance",
        active={**patient, "clinicalStatus": {"coding": coded}},
        wrong={
            **patient,
            "verificationStatus": {
                "coding": [{"system": f"{system[:-8]}verification", "code": "entered-in-error"}]
            },
        },
    )
    return f"{system}|active"


async def test_what_lacks_a_value_is_found_as_missing(shelf: Shelf) -> None:
    """`clinical-status:missing=true` and `false`"""
    await _allergies(shelf)
    assert await shelf.finds("AllergyIntolerance?clinical-status:missing=true") == {"wrong"}
    assert await shelf.finds("AllergyIntolerance?clinical-status:missing=false") == {"active"}


async def test_a_value_and_its_absence_find_nothing_together(shelf: Shelf) -> None:
    """`clinical-status=...|active&clinical-status:missing=true`: always empty"""
    status = await _allergies(shelf)
    assert await shelf.finds(f"AllergyIntolerance?clinical-status={status}") == {"active"}
    both = f"clinical-status={status}&clinical-status:missing=true"
    assert await shelf.finds(f"AllergyIntolerance?{both}") == set()


async def test_an_element_of_extensions_alone_is_missing(shelf: Shelf) -> None:
    """`:missing=true`: also where there are extensions but no value"""
    extension = [{"url": "http://example.org/why", "valueString": "unknown"}]
    await shelf.has("Patient", extended={"_birthDate": {"extension": extension}}, born={"birthDate": "1970"})
    assert await shelf.finds("Patient?birthdate:missing=true") == {"extended"}
    assert await shelf.finds("Patient?birthdate:missing=false") == {"born"}


@pytest.mark.parametrize(
    "name",
    [
        "birthdate",
        "name",
        "gender",
        "identifier",
        "general-practitioner",
        "_profile",
        "_id",
        "_lastUpdated",
        "_tag",
    ],
)
async def test_missing_is_there_for_each_type_of_parameter(shelf: Shelf, name: str) -> None:
    """`:missing` for all parameters"""
    await shelf.has("Patient", it={})
    always = name in ("_id", "_lastUpdated", "_tag")
    assert await shelf.finds(f"Patient?{name}:missing=true") == (set() if always else {"it"})
    assert await shelf.finds(f"Patient?{name}:missing=false") == ({"it"} if always else set())


async def test_an_escaped_comma_is_a_comma(shelf: Shelf) -> None:
    r"""`code=a,b`: a or b; `code=a\,b`: the code `a,b`"""
    for name, code in (("a", "a"), ("b", "b"), ("both", "a,b")):
        await shelf.has("Observation", **{name: an_observation("1", code={"coding": [{"code": code}]})})
    assert await shelf.finds("Observation?code=a,b") == {"a", "b"}
    assert await shelf.finds("Observation?code=a\\,b") == {"both"}
    assert await shelf.finds("Observation?code=a%2Cb") == {"a", "b"}
    assert await shelf.finds("Observation?code=a%5C%2Cb") == {"both"}


@pytest.mark.parametrize("character", ["$", "|", ",", "\\"])
async def test_each_separator_can_be_escaped(shelf: Shelf, character: str) -> None:
    r"""`\$`, `\|`, `\,` and `\\`: the character itself"""
    code = f"xx{character}xx"
    await shelf.has(
        "Observation", it=an_observation("1", code={"coding": [{"system": "urn:s", "code": code}]})
    )
    escaped = f"xx%5C%{ord(character):02X}xx"
    assert await shelf.finds(f"Observation?code={escaped}") == {"it"}
    assert await shelf.finds(f"Observation?code=urn:s|{escaped}") == {"it"}


async def test_a_backslash_alone_is_refused(shelf: Shelf) -> None:
    r"""`xx\xx` is illegal"""
    assert "\\" in await shelf.refuses("Observation?code=xx%5Cxx")


async def test_percent_encoding_is_taken_off_first(shelf: Shelf) -> None:
    r"""`url=http://acme.org/124\,125` is the same with each character percent-encoded"""
    url = f"http://acme.example/{shelf.id}/124,125"
    await shelf.has("ValueSet", it={"status": "draft", "url": url})
    plain = url.replace(",", "\\,")
    encoded = "".join(f"%{byte:02X}" for byte in plain.encode())
    assert await shelf.finds(f"ValueSet?url={plain}") == {"it"}
    assert await shelf.finds(f"ValueSet?url={encoded}") == {"it"}


async def test_a_query_by_a_name_that_is_not_known_is_refused(shelf: Shelf) -> None:
    """`_query=name`: a server shall refuse one that it does not know"""
    answer = await shelf.client.get("/Patient?_query=name")
    assert answer.status_code in (400, 501)
    assert "_query" in answer.json()["issue"][0]["diagnostics"]


async def test_near_is_a_special_parameter(shelf: Shelf) -> None:
    """`near` of Location: special"""
    position = {"latitude": Literal(b"52.5"), "longitude": Literal(b"13.4")}
    await shelf.has("Location", it={"position": position}, none={})
    assert await shelf.finds("Location?near=52.5|13.5|10|km") == {"it"}
    assert await shelf.finds("Location?near=52.5|14.5|10|km") == set()


async def _narratives(shelf: Shelf) -> None:
    for name, words in (("bone", "bone metastases"), ("liver", "liver"), ("lung", "lung metastases")):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'
        narrative = {"status": "generated", "div": div}
        condition = {
            "subject": {"reference": "Patient/1"},
            "text": narrative,
            "code": {"text": f"{name}code"},
        }
        await shelf.has("Condition", **{name: condition})


async def test_text_searches_the_narrative(shelf: Shelf) -> None:
    """`_text=(bone OR liver) and metastases`"""
    await _narratives(shelf)
    assert await shelf.finds("Condition?_text=metastases") == {"bone", "lung"}
    both = "(bone OR liver) and metastases"
    assert await shelf.finds(f"Condition?_text={both}") == {"bone"}


async def test_content_searches_everything(shelf: Shelf) -> None:
    """`_content`: the entire content"""
    await _narratives(shelf)
    assert await shelf.finds("Condition?_content=bonecode") == {"bone"}
