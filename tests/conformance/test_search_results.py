"""
Order, totals, pages and shapes of what is found; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

from typing import Any

from tests.conformance.shelf import SYSTEM, Shelf
from tests.server.running import an_observation


def link_of(bundle: dict[str, Any], relation: str) -> str | None:
    found: list[str] = [link["url"] for link in bundle["link"] if link["relation"] == relation]
    return found[0] if found else None


async def test_several_keys_in_their_order(shelf: Shelf) -> None:
    """`_sort=status,-date,category`: the first decides, `-` is descending"""
    category = [{"coding": [{"code": "b"}]}]
    await shelf.has(
        "Observation",
        late=an_observation("1", status="final", effectiveDateTime="2024-02-01"),
        b=an_observation("1", status="final", effectiveDateTime="2024-01-01", category=category),
        a=an_observation(
            "1", status="final", effectiveDateTime="2024-01-01", category=[{"coding": [{"code": "a"}]}]
        ),
        amended=an_observation("1", status="amended", effectiveDateTime="2020"),
    )
    assert await shelf.lists("Observation?_sort=status,-date,category") == ["amended", "late", "a", "b"]


async def test_of_several_values_the_earliest_in_the_order_counts(shelf: Shelf) -> None:
    """Of an element that repeats, the value that comes earliest in the order decides"""

    def named(*families: str) -> dict[str, Any]:
        return {"name": [{"family": family} for family in families]}

    await shelf.has("Patient", outer=named("a", "z"), inner=named("m", "n"))
    assert await shelf.lists("Patient?_sort=family") == ["outer", "inner"]
    assert await shelf.lists("Patient?_sort=-family") == ["outer", "inner"]


async def test_strings_are_ordered_whatever_their_case(shelf: Shelf) -> None:
    """Strings should be in order regardless of case"""
    names = {"a": "anna", "b": "Bert", "c": "carl"}
    await shelf.has("Patient", **{id: {"name": [{"family": name}]} for id, name in names.items()})
    assert await shelf.lists("Patient?_sort=family") == ["a", "b", "c"]


async def test_what_has_no_value_comes_last(shelf: Shelf) -> None:
    """What has no value to sort by comes last, in either order"""
    await shelf.has("Patient", none={}, born={"birthDate": "1970"}, later={"birthDate": "1980"})
    assert await shelf.lists("Patient?_sort=birthdate") == ["born", "later", "none"]
    assert await shelf.lists("Patient?_sort=-birthdate") == ["later", "born", "none"]


async def test_the_order_is_in_the_self_link(shelf: Shelf) -> None:
    """The sort that was performed is returned"""
    answer = await shelf.answer("Patient?_sort=-birthdate")
    assert "_sort=-birthdate" in (link_of(answer, "self") or "")


async def test_relevance_is_refused_by_name(shelf: Shelf) -> None:
    """`_sort=_score`, `_score`: where a search is by relevance"""
    for query in ("_sort=_score", "_score=1"):
        answer = await shelf.client.get(f"/Patient?{query}")
        assert answer.status_code in (400, 501)
        assert "_score" in answer.json()["issue"][0]["diagnostics"]


async def _three(shelf: Shelf) -> None:
    await shelf.has("Patient", a={"gender": "male"}, b={"gender": "male"}, c={"gender": "male"})


async def test_total_accurate(shelf: Shelf) -> None:
    """`_total=accurate`: an exact total, of all pages"""
    await _three(shelf)
    assert (await shelf.answer("Patient?_total=accurate&_count=1"))["total"] == 3


async def test_total_none(shelf: Shelf) -> None:
    """`_total=none`: no need of a total"""
    await _three(shelf)
    assert "total" not in await shelf.answer("Patient?_total=none")


async def test_total_estimate(shelf: Shelf) -> None:
    """`_total=estimate`: a rough one is enough"""
    await _three(shelf)
    assert (await shelf.answer("Patient?_total=estimate"))["total"] >= 0


async def test_a_total_counts_matches_alone(shelf: Shelf) -> None:
    """The total does not count what is included, nor outcomes"""
    await _three(shelf)
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-a"))
    answer = await shelf.answer("Observation?_total=accurate&_include=Observation:subject")
    assert (answer["total"], len(answer["entry"])) == (1, 2)


async def test_a_page_has_no_more_than_count(shelf: Shelf) -> None:
    """`_count`: never more matches on a page; the next page has the rest"""
    await _three(shelf)
    first = await shelf.answer("Patient?_count=2")
    assert len(first["entry"]) == 2
    url = link_of(first, "next")
    assert url is not None
    assert "_count=2" in url
    second = (await shelf.client.get(url)).json()
    ids = [entry["resource"]["id"] for page in (first, second) for entry in page["entry"]]
    assert sorted(ids) == [f"{shelf.id}-{name}" for name in "abc"]
    assert link_of(second, "next") is None


async def test_count_does_not_count_what_is_included(shelf: Shelf) -> None:
    """`_count` is of matches, not of what is included"""
    await _three(shelf)
    await shelf.has("Observation", **{name: an_observation(f"{shelf.id}-{name}") for name in "abc"})
    answer = await shelf.answer("Observation?_count=2&_include=Observation:subject")
    assert [entry["search"]["mode"] for entry in answer["entry"]].count("match") == 2
    assert [entry["search"]["mode"] for entry in answer["entry"]].count("include") == 2


async def test_count_0_is_the_total_alone(shelf: Shelf) -> None:
    """`_count=0`: as `_summary=count`: the total, no entries, no links to pages"""
    await _three(shelf)
    for query in ("_count=0", "_summary=count"):
        answer = await shelf.answer(f"Patient?{query}")
        assert answer["total"] == 3
        assert "entry" not in answer
        assert [link["relation"] for link in answer["link"]] == ["self"]


async def test_sort_and_count_give_the_latest(shelf: Shelf) -> None:
    """`_sort=-date&_count=1`: the last one that matches"""
    for name, when in (("old", "2020"), ("new", "2024"), ("middle", "2022")):
        await shelf.has("Observation", **{name: an_observation("1", effectiveDateTime=when)})
    assert await shelf.lists("Observation?_sort=-date&_count=1") == ["new"]


async def _medications(shelf: Shelf) -> str:
    """One by itself and one that is contained; the search that finds them by their code."""
    code = {"coding": [{"system": "http://acme.org/medications", "code": shelf.id}]}
    request = {
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/1"},
        "medicationReference": {"reference": "#m"},
        "contained": [{"resourceType": "Medication", "id": "m", "code": code}],
    }
    await shelf.has("MedicationRequest", it=request)
    await shelf.has("Medication", own={"code": code})
    return f"/Medication?code={shelf.id}"


async def _addresses(shelf: Shelf, address: str) -> set[str]:
    bundle = (await shelf.client.get(address)).json()
    assert all(entry["search"]["mode"] == "match" for entry in bundle["entry"])
    return {"/".join(entry["fullUrl"].split("/")[-2:]) for entry in bundle["entry"]}


async def test_contained_resources_are_not_found_by_themselves(shelf: Shelf) -> None:
    """`_contained=false`, the default: no contained resource is found"""
    medications = await _medications(shelf)
    assert await _addresses(shelf, medications) == {shelf.at("own", "Medication")}
    assert await _addresses(shelf, f"{medications}&_contained=false") == {shelf.at("own", "Medication")}


async def test_contained_resources_alone_are_found(shelf: Shelf) -> None:
    """`_contained=true`: contained resources alone; the one that contains them is returned"""
    medications = await _medications(shelf)
    assert await _addresses(shelf, f"{medications}&_contained=true") == {shelf.at("it", "MedicationRequest")}


async def test_contained_and_other_resources_are_found(shelf: Shelf) -> None:
    """`_contained=both`: contained resources and others"""
    medications = await _medications(shelf)
    found = {shelf.at("it", "MedicationRequest"), shelf.at("own", "Medication")}
    assert await _addresses(shelf, f"{medications}&_contained=both") == found
    container = f"{medications}&_contained=both&_containedType=container"
    assert await _addresses(shelf, container) == found


async def test_a_contained_resource_is_returned_alone(shelf: Shelf) -> None:
    """`_containedType=contained`: the contained resource, its fullUrl a fragment of what contains it"""
    medications = await _medications(shelf)
    alone = f"{medications}&_contained=true&_containedType=contained"
    assert await _addresses(shelf, alone) == {shelf.at("it", "MedicationRequest") + "#m"}
    [entry] = (await shelf.client.get(alone)).json()["entry"]
    assert (entry["resource"]["resourceType"], entry["resource"]["id"]) == ("Medication", "m")


async def _described(shelf: Shelf) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">text</div>'
    one = {
        "status": "draft",
        "url": f"http://example.org/{shelf.id}",
        "purpose": "text",
        "name": "Text",
        "text": {"status": "generated", "div": div},
    }
    await shelf.has("ValueSet", it=one)


async def _shown(shelf: Shelf, query: str) -> dict[str, Any]:
    await _described(shelf)
    [entry] = (await shelf.answer(f"ValueSet?{query}"))["entry"]
    resource: dict[str, Any] = entry["resource"]
    return resource


def is_subsetted(resource: dict[str, Any]) -> bool:
    return any(tag["code"] == "SUBSETTED" for tag in resource["meta"]["tag"])


async def test_summary_true(shelf: Shelf) -> None:
    """`_summary=true`: the elements that are marked as summary, and SUBSETTED"""
    shown = await _shown(shelf, "_summary=true")
    assert {"url", "status", "name"} <= shown.keys()
    assert {"purpose", "text"}.isdisjoint(shown)
    assert is_subsetted(shown)


async def test_summary_text(shelf: Shelf) -> None:
    """`_summary=text`: text, id, meta and mandatory elements"""
    shown = await _shown(shelf, "_summary=text")
    assert shown.keys() == {"resourceType", "id", "meta", "text", "status"}
    assert is_subsetted(shown)


async def test_summary_data(shelf: Shelf) -> None:
    """`_summary=data`: all but the text"""
    shown = await _shown(shelf, "_summary=data")
    assert shown.keys() == {"resourceType", "id", "meta", "status", "url", "purpose", "name"}
    assert is_subsetted(shown)


async def test_summary_false(shelf: Shelf) -> None:
    """`_summary=false`: everything"""
    shown = await _shown(shelf, "_summary=false")
    assert {"text", "purpose", "name"} <= shown.keys()
    assert not is_subsetted(shown)


async def test_summary_text_excludes_includes(shelf: Shelf) -> None:
    """`_include` and `_revinclude` cannot be mixed with `_summary=text`"""
    await shelf.refuses("Observation?_summary=text&_include=Observation:subject")
    await shelf.refuses("Patient?_summary=text&_revinclude=Observation:subject")


async def test_elements(shelf: Shelf) -> None:
    """`_elements=identifier,active,link`: those listed and mandatory ones, and SUBSETTED"""
    shown = await _shown(shelf, "_elements=name,purpose")
    assert shown.keys() == {"resourceType", "id", "meta", "name", "purpose", "status"}
    assert is_subsetted(shown)


async def test_elements_are_not_those_of_what_is_included(shelf: Shelf) -> None:
    """`_elements` does not apply to what is included"""
    await shelf.has("Patient", it={"gender": "male", "birthDate": "1970"})
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-it", effectiveDateTime="2024"))
    answer = await shelf.answer("Observation?_elements=subject&_include=Observation:subject")
    match, included = (entry["resource"] for entry in answer["entry"])
    assert "effectiveDateTime" not in match
    assert (included["gender"], included["birthDate"]) == ("male", "1970")


async def test_each_match_says_that_it_is_one(shelf: Shelf) -> None:
    """`entry.search.mode`: match, include or outcome"""
    await shelf.has("Patient", it={})
    await shelf.has("Observation", it=an_observation(f"{shelf.id}-it"))
    query = f"/Observation?_tag={SYSTEM}|{shelf.id}&_include=Observation:subject&nonsense=1"
    answer = await shelf.client.get(query, headers={"Prefer": "handling=lenient"})
    assert [entry["search"]["mode"] for entry in answer.json()["entry"]] == ["match", "include", "outcome"]
