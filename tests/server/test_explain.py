"""`_explain=true` over HTTP: the plan of a search, for operators, and nothing that was searched for."""

from __future__ import annotations

from datetime import date, timedelta
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


async def _of_many_days(server: Server) -> None:
    """300 Observations, a day apart; every tenth lasts for a week."""
    entries = []
    for number in range(300):
        start = date(2024, 1, 1) + timedelta(days=number)
        when = (
            {"effectiveDateTime": start.isoformat()}
            if number % 10
            else {"effectivePeriod": {"start": f"{start}", "end": f"{start + timedelta(days=7)}"}}
        )
        one = an_observation(f"p{number % 50}", id=f"o{number}", **when)
        entries.append({"resource": one, "request": {"method": "PUT", "url": f"Observation/o{number}"}})
    async with server.as_() as client:
        stored = await client.post(
            "/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
        )
    assert stored.status_code == 200, stored.text


@pytest.mark.parametrize(
    ("query", "returned", "examined_max"),
    [
        # A week among 300 days: what begins in it, and the thirty that last.
        ("code=8867-4&date=ge2024-05-01&date=lt2024-05-08", 8, 50),
        ("code=8867-4&date=2024-05-03", 1, 40),
        ("code=8867-4&_sort=-date&_count=10", 10, 25),
        ("code=8867-4&_sort=date&_count=10", 10, 25),
        ("patient=p7&code=8867-4&date=ge2024-05-01", 3, 12),
    ],
)
async def test_a_search_by_date_looks_at_little_more_than_it_finds(
    server: Server, query: str, returned: int, examined_max: int
) -> None:
    await _of_many_days(server)
    async with server.as_() as client:
        answer = await client.get(f"/Observation?{query}")
    assert len(answer.json()["entry"]) == returned
    told = await _told(server, f"/Observation?{query}&_explain=true")
    [total] = _parts(told, "total")
    assert total["documentsExamined"] <= total["keysExamined"] <= examined_max


async def test_what_is_searched_by_its_clinical_date_comes_latest_first(server: Server) -> None:
    await _of_many_days(server)
    query = "/Observation?code=8867-4&date=ge2024-02-03&date=lt2024-02-13&_count=4"
    dates: list[str] = []
    async with server.as_() as client:
        address: str | None = query
        while address is not None:
            page = (await client.get(address)).json()
            dates += [
                one["resource"].get("effectiveDateTime") or one["resource"]["effectivePeriod"]["start"]
                for one in page.get("entry", [])
            ]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert dates == sorted(dates, reverse=True)
    # Ten begin within the days asked for, and one of the week before lasts into them.
    assert len(dates) == len(set(dates)) == 11
    assert dates[-1] == "2024-01-31"


async def test_the_records_of_a_pages_patients_are_read_and_not_the_whole_type(server: Server) -> None:
    await _of_many_days(server)
    async with server.as_() as client:
        for number in range(50):
            await client.put(f"/Patient/p{number}", json=a_patient(id=f"p{number}"))
    told = await _told(server, "/Patient?_count=5&_revinclude=Observation:patient&_explain=true")
    [includes] = [stage for stage in _parts(told, "stage") if stage["name"] == "includes"]
    assert includes["query"]["index"] == "pt_1_tok_1_d_-1_seq_1"
    assert includes["documentsExamined"] == 30
