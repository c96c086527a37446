"""`_explain=true` over HTTP: the plan of a search, for operators, and nothing that was searched for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.server.running import Server, a_patient, an_observation, issues_of

SECRET = "Extraordinaryname"


async def _stored(server: Server) -> None:
    async with server.as_() as client:
        for number in range(30):
            await client.put(
                f"/Patient/p{number}", json=a_patient(id=f"p{number}", name=[{"family": SECRET}])
            )
            await client.put(
                f"/Observation/o{number}",
                json=an_observation(f"p{number}", id=f"o{number}", effectiveDateTime="2024-03-01"),
            )


async def _told(server: Server, address: str) -> dict[str, Any]:
    async with server.as_() as client:
        answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["resourceType"] == "Parameters"
    return body


def _parts(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The parts of each parameter called `name`, by their names; of several of a name the last."""
    return [
        {part["name"]: _value(part) for part in parameter["part"]}
        for parameter in body["parameter"]
        if parameter["name"] == name
    ]


def _value(part: dict[str, Any]) -> Any:
    if "part" in part:
        return {inner["name"]: _value(inner) for inner in part["part"]}
    return next(value for name, value in part.items() if name != "name")


async def test_the_plan_tells_the_index_and_what_was_examined(server: Server) -> None:
    await _stored(server)
    told = await _told(server, "/Observation?code=8867-4&_count=10&_explain=true")
    [page] = _parts(told, "stage")
    assert page["name"] == "page"
    assert page["query"]["collection"] == "resources"
    assert page["query"]["index"].startswith("tok_1_")
    assert page["query"]["plan"].endswith("IXSCAN")
    assert page["query"]["documentsReturned"] == 11
    assert 11 <= page["documentsExamined"] <= page["keysExamined"] <= 40
    assert page["milliseconds"] > 0


async def test_each_stage_is_told_by_itself_and_all_together(server: Server) -> None:
    await _stored(server)
    told = await _told(
        server,
        "/Observation?code=8867-4&_count=10&_total=accurate&_include=Observation:subject&_explain=true",
    )
    stages = _parts(told, "stage")
    assert sorted(stage["name"] for stage in stages) == ["count", "includes", "page"]
    [total] = _parts(told, "total")
    assert total["keysExamined"] == sum(stage["keysExamined"] for stage in stages)
    assert total["documentsExamined"] == sum(stage["documentsExamined"] for stage in stages)
    assert total["milliseconds"] >= sum(stage["milliseconds"] for stage in stages)


@pytest.mark.parametrize(
    "query",
    [
        f"Patient?name={SECRET}",
        f"Patient?name:contains={SECRET[3:9]}",
        f"Patient?name:exact={SECRET}&_sort=-birthdate",
        "Observation?patient=p7&date=ge2024-03-01&_sort=-date",
        "Observation?date=ge2024-03-01&_total=accurate",
        "Patient?_id=p7&_revinclude=Observation:patient",
        "AuditEvent?patient=p7",
    ],
)
async def test_no_value_of_the_query_and_no_resource_is_in_the_plan(server: Server, query: str) -> None:
    await _stored(server)
    async with server.as_() as client:
        answer = await client.get(f"/{query}&_explain=true")
    assert answer.status_code == 200, answer.text
    # Of dates also as the index has them: microseconds since 1970.
    values = (SECRET, SECRET.lower(), SECRET[3:9], "p7", "2024", "17092512")
    assert [value for value in values if value in answer.text] == []


@pytest.mark.parametrize(
    ("scope", "context"),
    [
        ("patient/*.rs", {"patient": "p1"}),
        ("user/*.cruds", {"user": "Practitioner/1"}),
        ("system/Observation.s", {}),
        ("system/*.cr", {}),
    ],
)
async def test_who_may_not_search_everything_is_told_no_plan(
    server: Server, scope: str, context: dict[str, str]
) -> None:
    await _stored(server)
    async with server.as_(scope, **context) as client:
        answer = await client.get("/Observation?code=8867-4&_explain=true")
    assert answer.status_code == 403
    assert "system/*.s" in issues_of(answer)[0]["diagnostics"]


async def test_a_plan_is_audited_without_the_resources_that_did_not_leave(server: Server) -> None:
    await _stored(server)
    await _told(server, "/Observation?code=8867-4&_explain=true")
    await _told(server, "/Observation?patient=p3&_explain=true")
    of_all, of_one = (await server.records())[-2:]
    assert (of_all.interaction, of_all.outcome, of_all.status) == ("search-type", "success", 200)
    assert of_all.query is not None
    assert of_all.query.endswith("_explain=true")
    assert (of_all.targets, of_all.patients) == ((), ())
    assert (of_one.targets, of_one.patients) == ((), ("p3",))


async def test_not_to_be_explained_is_to_be_answered(server: Server) -> None:
    await _stored(server)
    async with server.as_("patient/*.rs", patient="p1") as client:
        answer = await client.get("/Observation?_explain=false")
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["o1"]


@pytest.mark.parametrize("query", ["_explain=maybe", "_explain=true&_explain=true", "_explain="])
async def test_what_is_neither_yes_nor_no_is_refused(server: Server, query: str) -> None:
    async with server.as_() as client:
        answer = await client.get(f"/Patient?{query}")
    assert answer.status_code == 400
    assert "_explain" in issues_of(answer)[0]["diagnostics"]


async def test_what_the_search_is_refused_with_the_plan_is_too(server: Server) -> None:
    async with server.as_() as client:
        answer = await client.get("/Patient?colour=blue&_explain=true")
    assert answer.status_code == 400


async def test_a_search_by_post_and_one_in_a_batch_are_explained(server: Server) -> None:
    await _stored(server)
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Observation?code=8867-4&_explain=true"}}],
    }
    async with server.as_() as client:
        posted = await client.post("/Observation/_search", data={"code": "8867-4", "_explain": "true"})
        answered: httpx.Response = await client.post("/", json=batch)
    assert posted.json()["resourceType"] == "Parameters"
    assert answered.json()["entry"][0]["resource"]["resourceType"] == "Parameters"
