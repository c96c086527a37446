"""Search over HTTP: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of


async def _people(server: Server) -> None:
    people = [
        a_patient(
            id="a", name=[{"family": "Müller", "given": ["Zoë"]}], gender="female", birthDate="1970-03-30"
        ),
        a_patient(id="b", name=[{"family": "Muster"}], gender="male", birthDate="1980"),
        a_patient(id="c", identifier=[{"system": "urn:x", "value": "7"}], active=True),
    ]
    observations = [
        an_observation("a", id="o1", effectiveDateTime="2024-02-28T23:00:00Z"),
        an_observation("a", id="o2", effectiveDateTime="2024-03-01"),
        an_observation("b", id="o3", effectivePeriod={"start": "2024-02-01", "end": "2024-02-10"}),
        an_observation("b", id="o4"),
    ]
    async with server.as_() as client:
        for one in (*people, *observations):
            written = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert written.status_code == 201, written.text


def ids_of(answer: httpx.Response, mode: str = "match") -> list[str]:
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json().get("entry", [])
    return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == mode]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?gender=female", "a"),
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|female", "a"),
        ("Patient?gender=female,male", "ab"),
        ("Patient?name=mul", "a"),
        ("Patient?name=ZOE", "a"),
        ("Patient?family=mu", "ab"),
        ("Patient?family=mu&gender=male", "b"),
        ("Patient?birthdate=1970", "a"),
        ("Patient?birthdate=ge1980", "b"),
        ("Patient?birthdate=lt1980", "a"),
        ("Patient?identifier=urn:x|7", "c"),
        ("Patient?identifier=7", "c"),
        ("Patient?identifier=urn:y|7", ""),
        ("Patient?active=true", "c"),
        ("Patient?_id=a,c", "ac"),
        ("Patient?_lastUpdated=gt2020-01-01", "abc"),
        ("Patient?_lastUpdated=lt2020-01-01", ""),
        ("Patient?gender:missing=true", "c"),
        ("Patient?gender:not=female", "bc"),
    ],
)
async def test_patients_are_found_by_their_parameters(server: Server, query: str, expected: str) -> None:
    await _people(server)
    async with server.as_() as client:
        assert sorted(ids_of(await client.get(f"/{query}"))) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subject=Patient/a", ["o1", "o2"]),
        ("patient=a", ["o1", "o2"]),
        (f"subject={BASE}/Patient/b", ["o3", "o4"]),
        ("subject:Patient=b", ["o3", "o4"]),
        ("code=http://loinc.org|8867-4", ["o1", "o2", "o3", "o4"]),
        ("code=8867-4&patient=b", ["o3", "o4"]),
        ("date=2024-02", ["o1", "o3"]),
        ("date=ge2024-03", ["o2"]),
        ("date=sa2024-02-20", ["o1", "o2"]),
        ("date=eb2024-02-20", ["o3"]),
        ("date=gt2024-01&date=lt2024-02-15", ["o3"]),
        ("patient=a&_sort=-date", ["o2", "o1"]),
        ("_sort=date", ["o3", "o1", "o2", "o4"]),
        ("_sort=-_id&_count=2", ["o4", "o3"]),
    ],
)
async def test_observations_are_found_by_their_parameters(
    server: Server, query: str, expected: list[str]
) -> None:
    await _people(server)
    async with server.as_() as client:
        found = ids_of(await client.get(f"/Observation?{query}"))
    assert found == expected if "_sort" in query else sorted(found) == expected


async def test_an_include_brings_each_target_once(server: Server) -> None:
    await _people(server)
    async with server.as_() as client:
        answer = await client.get("/Observation?code=8867-4&_include=Observation:subject")
    assert sorted(ids_of(answer, "include")) == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("Patient?colour=blue", "colour"),
        ("Patient?gender:maybe=female", "maybe"),
        ("Patient?gender:missing=maybe", "missing"),
        ("Patient?birthdate=1970-13", "birthdate"),
        ("Patient?birthdate=xx1970", "birthdate"),
        ("Patient?gender=", "gender"),
        ("Patient?_sort=colour", "colour"),
        ("Patient?_count=-1", "_count"),
        ("Patient?_total=maybe", "_total"),
        ("Patient?general-practitioner.colour=x", "colour"),
        ("Patient?_has:Observation:patient:colour=x", "colour"),
        ("Observation?_include=Observation:nonsense", "nonsense"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(server: Server, query: str, named: str) -> None:
    async with server.as_() as client:
        refused = await client.get(f"/{query}")
    assert refused.status_code in (400, 501)
    assert named in issues_of(refused)[0]["diagnostics"]


async def test_lenient_handling_ignores_and_says_so(server: Server) -> None:
    """https://hl7.org/fhir/R4/search.html#errors"""
    await _people(server)
    async with server.as_() as client:
        answer = await client.get(
            "/Patient?gender=female&colour=blue", headers={"Prefer": "handling=lenient"}
        )
        assert ids_of(answer) == ["a"]
        (outcome,) = [entry for entry in answer.json()["entry"] if entry["search"]["mode"] == "outcome"]
        assert "colour" in outcome["resource"]["issue"][0]["diagnostics"]
        assert answer.json()["link"][0]["url"] == f"{BASE}/Patient?gender=female"
        malformed = await client.get("/Patient?birthdate=x", headers={"Prefer": "handling=lenient"})
        assert malformed.status_code == 400


async def test_a_search_by_post_adds_its_body(server: Server) -> None:
    await _people(server)
    async with server.as_() as client:
        answer = await client.post("/Patient/_search?family=mu", data={"gender": "male"})
        assert ids_of(answer) == ["b"]
        everywhere = await client.post("/_search", data={"_type": "Patient,Observation", "_id": "a,o1"})
        assert sorted(ids_of(everywhere)) == ["a", "o1"]


@pytest.mark.parametrize("order", ["", "_sort=-_lastUpdated", "_sort=-date", "_sort=status"])
async def test_pages_show_each_match_once(server: Server, order: str) -> None:
    async with server.as_() as client:
        for number in range(11):
            body = an_observation("a", id=f"o{number}", effectiveDateTime=f"2024-01-{number % 4 + 1:02}")
            await client.put(f"/Observation/o{number}", json=body)
        answer = await client.get(f"/Observation?patient=a&_count=3&_total=accurate&{order}")
        assert answer.json()["total"] == 11
        seen = ids_of(answer)
        while onward := [link for link in answer.json()["link"] if link["relation"] == "next"]:
            answer = await client.get(onward[0]["url"])
            seen += ids_of(answer)
    assert sorted(seen) == sorted(f"o{number}" for number in range(11))


async def test_a_search_after_a_write_finds_it(server: Server) -> None:
    async with server.as_() as client:
        for number in range(5):
            await client.put("/Patient/a", json=a_patient(id="a", name=[{"family": f"Name{number}"}]))
            assert ids_of(await client.get(f"/Patient?family=name{number}")) == ["a"]
            assert ids_of(await client.get(f"/Patient?family=name{number + 1}")) == []
        await client.delete("/Patient/a")
        assert ids_of(await client.get("/Patient?family=name4")) == []


async def test_the_total_counts_what_the_caller_may_see(server: Server) -> None:
    await _people(server)
    async with server.as_("patient/*.rs", patient="a") as client:
        answer = await client.get("/Observation?_total=accurate&_count=1&_include=Observation:subject")
        assert answer.json()["total"] == 2
        assert len(ids_of(answer)) == 1
        counted = await client.get("/Observation?_summary=count")
        assert counted.json()["total"] == 2
        assert ids_of(counted) == []
        other = await client.get("/Observation?subject=Patient/b&_total=accurate")
        assert other.json()["total"] == 0
