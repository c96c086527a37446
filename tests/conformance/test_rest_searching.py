"""
search, history and paging, as the specification has them; conformance/rest.md is the list.

https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/http.html#history,
https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.conformance.listening import Listening
from tests.server.running import a_patient, an_observation, issues_of

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ids_of(answer: httpx.Response, type: str = "searchset") -> list[str]:
    """The ids in the Bundle that must be the answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert (answer.json()["resourceType"], answer.json()["type"]) == ("Bundle", type)
    return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]


def link_of(answer: httpx.Response, relation: str) -> str | None:
    found = [link["url"] for link in answer.json()["link"] if link["relation"] == relation]
    return found[0] if found else None


async def _stored(client: httpx.AsyncClient, id: str) -> None:
    """A Patient named after `id`, with an Observation of the same id."""
    await client.put(f"/Patient/{id}", json=a_patient(id=id, name=[{"family": f"Fam{id}"}], gender="male"))
    await client.put(f"/Observation/{id}", json=an_observation(id, id=id))


async def test_a_search_of_a_type_answers_a_searchset(client: httpx.AsyncClient, id: str) -> None:
    await _stored(client, id)
    answer = await client.get(f"/Patient?family=Fam{id}")
    assert ids_of(answer) == [id]
    [entry] = answer.json()["entry"]
    assert entry["fullUrl"].endswith(f"/Patient/{id}")
    assert entry["search"]["mode"] == "match"
    assert entry["resource"]["meta"]["versionId"] == "1"
    assert "location" not in answer.headers


async def test_a_search_that_finds_nothing_is_no_error(client: httpx.AsyncClient, id: str) -> None:
    assert ids_of(await client.get(f"/Patient?family=Fam{id}")) == []


async def test_a_search_by_post_is_the_same_as_by_get(client: httpx.AsyncClient, id: str) -> None:
    await _stored(client, id)
    form = f"family=Fam{id}&gender=male"
    by_post = await client.post("/Patient/_search", content=form, headers=FORM)
    both = await client.post(f"/Patient/_search?family=Fam{id}", content="gender=male", headers=FORM)
    neither = await client.post(f"/Patient/_search?family=Fam{id}", content="gender=female", headers=FORM)
    by_query = await client.post(f"/Patient/_search?{form}", headers=FORM)
    assert ids_of(by_post) == ids_of(both) == ids_of(by_query) == [id]
    assert ids_of(neither) == []
    # A form that a browser makes, and a body that is none.
    assert (await client.post("/Patient/_search", json={})).status_code == 415


async def test_a_search_of_several_or_all_types_takes_what_they_have_in_common(
    client: httpx.AsyncClient, id: str
) -> None:
    await _stored(client, id)
    assert sorted(ids_of(await client.get(f"/?_id={id}"))) == [id, id]
    assert ids_of(await client.get(f"/?_type=Observation&_id={id}")) == [id]
    assert ids_of(await client.post("/_search", content=f"_type=Patient&_id={id}", headers=FORM)) == [id]
    assert (await client.get("/?_type=Patient,Observation&birthdate=1970")).status_code == 400
    assert (await client.get("/?_type=Nonsense")).status_code == 400


async def test_a_search_that_cannot_be_run_is_refused_with_an_outcome(client: httpx.AsyncClient) -> None:
    for query in ("birthdate=nonsense", "nonsense=1", "_sort=nonsense", "gender="):
        refused = await client.get(f"/Patient?{query}")
        assert refused.status_code == 400, query
        assert issues_of(refused)[0]["severity"] in ("error", "fatal")


async def test_lenient_handling_ignores_what_is_unknown_and_says_so(
    client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/search.html#errors"""
    await _stored(client, id)
    answer = await client.get(f"/Patient?_id={id}&nonsense=1", headers={"Prefer": "handling=lenient"})
    match, outcome = answer.json()["entry"]
    assert (match["search"]["mode"], outcome["search"]["mode"]) == ("match", "outcome")
    assert "nonsense" in outcome["resource"]["issue"][0]["diagnostics"]
    assert {issue["severity"] for issue in outcome["resource"]["issue"]} <= {"warning", "information"}
    self_link = link_of(answer, "self")
    assert self_link is not None
    assert "nonsense" not in self_link


async def test_a_search_without_a_scope_for_it_is_forbidden(server: Listening) -> None:
    async with server.as_("system/Patient.r system/Observation.s") as reader:
        assert (await reader.get("/Patient?gender=male")).status_code == 403
        assert (await reader.post("/Patient/_search", content="", headers=FORM)).status_code == 403
        assert (await reader.get("/Observation?_count=0")).status_code == 200


async def test_a_search_of_all_types_without_a_scope_is_forbidden(server: Listening) -> None:
    async with server.as_("system/Patient.r") as reader:
        assert (await reader.get("/?_id=x")).status_code == 403


async def test_a_search_of_a_compartment_finds_what_is_in_it(client: httpx.AsyncClient, id: str) -> None:
    """https://hl7.org/fhir/R4/http.html#vsearch"""
    await _stored(client, id)
    assert ids_of(await client.get(f"/Patient/{id}/Observation?code=8867-4")) == [id]
    assert id in ids_of(await client.get(f"/Patient/{id}/*"))


async def test_each_page_says_where_it_is_and_where_the_next_one_is(
    server: Listening, client: httpx.AsyncClient, id: str
) -> None:
    for number in range(5):
        await client.put(f"/Observation/{id}-{number}", json=an_observation(id, id=f"{id}-{number}"))
    answer = await client.get(f"/Observation?patient={id}&_count=2&_total=accurate")
    seen = ids_of(answer)
    assert answer.json()["total"] == 5
    assert link_of(answer, "self") == f"{server.base}/Observation?patient={id}&_count=2&_total=accurate"
    while onward := link_of(answer, "next"):
        answer = await client.get(onward)
        assert link_of(answer, "self")
        assert len(ids_of(answer)) <= 2
        seen += ids_of(answer)
    assert sorted(seen) == [f"{id}-{number}" for number in range(5)]


async def test_a_search_by_post_is_continued_by_get(client: httpx.AsyncClient, id: str) -> None:
    for number in range(3):
        await client.put(f"/Observation/{id}-{number}", json=an_observation(id, id=f"{id}-{number}"))
    first = await client.post("/Observation/_search", content=f"patient={id}&_count=2", headers=FORM)
    onward = link_of(first, "next")
    assert onward is not None
    assert sorted(ids_of(first) + ids_of(await client.get(onward))) == [f"{id}-{n}" for n in range(3)]


def told(bundle: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Method, status and version of each entry."""
    return [
        (entry["request"]["method"], entry["response"]["status"][:3], entry["response"]["etag"])
        for entry in bundle["entry"]
    ]


async def test_the_history_of_an_instance_has_each_version_newest_first(
    server: Listening, client: httpx.AsyncClient
) -> None:
    created = (await client.post("/Patient", json=a_patient())).json()
    address = f"Patient/{created['id']}"
    await client.put(f"/{address}", json={**created, "active": True})
    await client.delete(f"/{address}")
    answer = await client.get(f"/{address}/_history")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    bundle = answer.json()
    assert bundle["type"] == "history"
    assert told(bundle) == [
        ("DELETE", "204", 'W/"3"'),
        ("PUT", "200", 'W/"2"'),
        ("POST", "201", 'W/"1"'),
    ]
    assert ["resource" in entry for entry in bundle["entry"]] == [False, True, True]
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [address, address, "Patient"]
    assert {entry["fullUrl"] for entry in bundle["entry"]} == {f"{server.base}/{address}"}
    times = [entry["response"]["lastModified"] for entry in bundle["entry"]]
    assert times == sorted(times, reverse=True)


async def test_the_histories_of_a_type_and_of_all_have_the_newest_first(
    client: httpx.AsyncClient, id: str
) -> None:
    await _stored(client, id)
    of_type = await client.get("/Observation/_history?_count=1")
    assert ids_of(of_type, "history") == [id]
    of_all = (await client.get("/_history?_count=2")).json()
    assert [entry["request"]["url"] for entry in of_all["entry"]] == [f"Observation/{id}", f"Patient/{id}"]


async def test_a_history_is_paged(client: httpx.AsyncClient, id: str) -> None:
    for number in range(5):
        await client.put(f"/Patient/{id}", json=a_patient(id=id, multipleBirthInteger=number))
    answer = await client.get(f"/Patient/{id}/_history?_count=2")
    seen = [entry["response"]["etag"] for entry in answer.json()["entry"]]
    assert len(seen) == 2
    while onward := link_of(answer, "next"):
        answer = await client.get(onward)
        seen += [entry["response"]["etag"] for entry in answer.json()["entry"]]
    assert seen == [f'W/"{number}"' for number in (5, 4, 3, 2, 1)]


async def test_a_history_is_of_the_time_that_is_asked_for(client: httpx.AsyncClient, id: str) -> None:
    first = (await client.put(f"/Patient/{id}", json=a_patient(id=id))).json()["meta"]["lastUpdated"]
    await asyncio.sleep(0.02)
    second = await client.put(f"/Patient/{id}", json=a_patient(id=id, active=True))
    since = await client.get(f"/Patient/{id}/_history?_since={second.json()['meta']['lastUpdated']}")
    assert told(since.json()) == [("PUT", "200", 'W/"2"')]
    at = await client.get(f"/Patient/{id}/_history?_at={first}")
    assert told(at.json()) == [("PUT", "201", 'W/"1"')]


async def test_a_history_of_what_was_never_there_is_not_found(client: httpx.AsyncClient, id: str) -> None:
    refused = await client.get(f"/Patient/{id}/_history")
    assert refused.status_code == 404
    assert issues_of(refused)[0]["code"] == "not-found"


async def test_a_parameter_that_no_history_has_is_refused_by_name(client: httpx.AsyncClient, id: str) -> None:
    await _stored(client, id)
    for query in ("_list=Patient/1/x", "nonsense=1", "_since=nonsense"):
        refused = await client.get(f"/Patient/{id}/_history?{query}")
        assert refused.status_code in (400, 501), query
        assert query.partition("=")[0] in issues_of(refused)[0]["diagnostics"]


async def test_no_version_can_be_changed_or_deleted(client: httpx.AsyncClient, id: str) -> None:
    await _stored(client, id)
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        refused = await client.request(method, f"/Patient/{id}/_history/1", json=a_patient(id=id))
        assert refused.status_code == 405, method
        assert "GET" in refused.headers["allow"]
