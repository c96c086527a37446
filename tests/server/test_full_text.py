"""`_text` and `_content` over HTTP: https://hl7.org/fhir/R4/search.html#content"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.pipeline.full_text import begin_to_write, reindexed
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.words import LEVELS
from fhir_server.store.database import Unsuitable
from tests.server.declaring import ended
from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient, issues_of, serving
from tests.server.test_search import ids_of

NARRATIVES = {
    "c1": "Metastases in the <b>liver</b>.",
    "c2": "Metastases in the bone",
    "c3": "A healthy bone, a healthy liver",
    "c4": "Na&#239;ve M&#252;ller cells",
}


def a_narrative(inside: str) -> dict[str, str]:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'}


def a_condition(id: str, told: str, patient: str = "a", **stated: Any) -> dict[str, Any]:
    status = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": id,
        "text": a_narrative(told),
        "clinicalStatus": {"coding": [status]},
        "subject": {"reference": f"Patient/{patient}"},
        **stated,
    }


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    for resource in resources:
        answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text


@pytest_asyncio.fixture(loop_scope="session")
async def reading(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that keeps all words, with some conditions."""
    async with serving(mongodb_url, database_name, tmp_path, full_text="content") as server:
        async with server.as_() as client:
            await put(client, a_patient(id="a"), a_patient(id="b"))
            await put(client, *(a_condition(id, told) for id, told in NARRATIVES.items()))
            await put(client, a_condition("c5", "Elsewhere", "b", code={"text": "Liver failure 8480-6"}))
        yield server


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_text=(bone OR liver) and metastases", ["c1", "c2"]),
        ("_text=liver", ["c1", "c3"]),
        ("_text=LIVER bone", ["c3"]),
        ("_text=muller,elsewhere", ["c4", "c5"]),
        ("_text=metas*&_text=NOT bone", ["c1"]),
        ("_text=NOT metastases", ["c3", "c4", "c5"]),
        ("_text=b", []),
        ("_content=liver", ["c1", "c3", "c5"]),
        ("_content=liver&_text=liver", ["c1", "c3"]),
        ("_content=8480-6", ["c5"]),
        ("_content=fail*", ["c5"]),
        ("_content=active", []),
        ("patient=b&_content=liver", ["c5"]),
        ("_text=$where", []),
        ("_text=liver&_sort=-_lastUpdated", ["c1", "c3"]),
    ],
)
async def test_resources_are_found_by_their_words(reading: Server, query: str, expected: list[str]) -> None:
    async with reading.as_() as client:
        assert sorted(ids_of(await client.get(f"/Condition?{query}"))) == expected
        counted = await client.get(f"/Condition?{query}&_summary=count")
        assert counted.json()["total"] == len(expected)
        by_post = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await client.post("/Condition/_search", content=query, headers=by_post)
        assert sorted(ids_of(posted)) == expected


async def test_all_types_are_asked_at_once(reading: Server) -> None:
    async with reading.as_() as client:
        await put(client, a_patient(id="liver", text=a_narrative("Liver donor")))
        assert sorted(ids_of(await client.get("/?_text=liver"))) == ["c1", "c3", "liver"]
        assert ids_of(await client.get("/?_type=Patient,Condition&_text=donor")) == ["liver"]
        assert sorted(ids_of(await client.get("/Patient/a/Condition?_text=liver"))) == ["c1", "c3"]
        refused = await client.get("/Binary?_text=liver")
        assert (refused.status_code, issues_of(refused)[0]["code"]) == (400, "invalid")


async def test_words_are_asked_for_at_the_end_of_a_chain(reading: Server) -> None:
    async with reading.as_() as client:
        await put(client, a_patient(id="b", text=a_narrative("Told")))
        for query, expected in {
            "Condition?patient._text=told": ["c5"],
            "Condition?subject:Patient._content=told": ["c5"],
            "Condition?subject._text=told": ["c5"],
            "Patient?_has:Condition:patient:_content=8480 failure": ["b"],
            "Patient?_has:Condition:patient:_text=8480": [],
        }.items():
            assert ids_of(await client.get(f"/{query}")) == expected, query
    async with reading.as_("patient/*.rs", patient="a") as client:
        assert ids_of(await client.get("/Patient?_has:Condition:patient:_content=8480")) == []


async def test_words_follow_what_is_written(reading: Server) -> None:
    async with reading.as_() as client:
        await put(client, a_condition("c1", "Nothing left"))
        assert (await client.delete("/Condition/c3")).status_code == 204
        assert ids_of(await client.get("/Condition?_text=liver")) == []
        assert ids_of(await client.get("/Condition?_text=nothing left")) == ["c1"]


async def test_pages_of_an_order_that_changes_find_what_matched_at_the_first(reading: Server) -> None:
    async with reading.as_() as client:
        first = await client.get("/Condition?_text=liver,bone&_sort=_lastUpdated&_count=1")
        assert ids_of(first) == ["c1"]
        await put(client, a_condition("c2", "Bone again"))
        met = []
        page = first.json()
        while following := [link["url"] for link in page["link"] if link["relation"] == "next"]:
            answer = await client.get(following[0])
            met += ids_of(answer)
            page = answer.json()
        assert met == ["c2", "c3"]


async def test_more_words_than_a_document_has_are_found_too(reading: Server) -> None:
    told = " ".join(f"word{number}" for number in range(5_000))
    async with reading.as_() as client:
        await put(client, a_condition("long", told))
        for query in ("_text=word4999", "_text=word1 word4000", "_content=word42*&_text=word17"):
            assert ids_of(await client.get(f"/Condition?{query}")) == ["long"], query
        assert "long" not in ids_of(await client.get("/Condition?_text=NOT word4999"))
        await put(client, a_condition("long", "short"))
        assert ids_of(await client.get("/Condition?_text=word4999")) == []
        await put(client, a_condition("long", told))
        assert (await client.delete("/Condition/long")).status_code == 204
        assert ids_of(await client.get("/Condition?_text=word4999")) == []
        history = await client.get("/Condition/long/_history")
        assert len(history.json()["entry"]) == 4


async def test_what_is_hidden_is_not_found_by_its_words(reading: Server) -> None:
    async with reading.as_() as client:
        await put(client, a_consent("b", "no", {"type": "deny"}))
    async with reading.as_("user/*.rs", user="Practitioner/7") as client:
        found = await client.get("/Condition?_content=liver&_total=accurate")
        assert sorted(ids_of(found)) == ["c1", "c3"]
        assert found.json()["total"] == 2
        assert "c5" not in ids_of(await client.get("/Condition?_content=NOT xyz"))
    async with reading.as_("patient/Condition.rs", patient="b") as client:
        assert "c1" not in ids_of(await client.get("/Condition?_content=liver"))


async def test_the_members_of_a_group_are_not_found_by_who_is_not_shown_them(reading: Server) -> None:
    members = [{"entity": {"reference": f"Patient/{id}", "display": f"Person {id * 3}"}} for id in "ab"]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
    async with reading.as_() as client:
        await put(client, {**group, "text": a_narrative("Person bbb")})
        assert ids_of(await client.get("/Group?_content=bbb")) == ["g"]
    async with reading.as_("patient/*.rs", patient="a") as client:
        assert ids_of(await client.get("/Group")) == ["g"]
        for query in ("_content=bbb", "_text=bbb", "_content=bb*", "_content=aaa"):
            assert ids_of(await client.get(f"/Group?{query}")) == [], query
        assert ids_of(await client.get("/Group?_content=NOT bbb")) == ["g"]
        assert ids_of(await client.get("/Group?_content=NOT ccc")) == ["g"]


async def test_a_transaction_and_a_large_one_write_words_too(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    told: dict[str, Any] = {"full_text": "narrative", "bundle_inline_bytes_max": 1}
    async with serving(mongodb_url, database_name, tmp_path, **told) as server, server.as_() as client:
        resource = a_condition("c", "Liver")
        entry = {"resource": resource, "request": {"method": "PUT", "url": "Condition/c"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        answer = await client.post("/", json=bundle)
        assert answer.status_code == 200, answer.text
        assert ids_of(await client.get("/Condition?_text=liver")) == ["c"]


async def test_what_is_not_indexed_is_refused_with_the_setting(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async def refusals(setting: str) -> dict[str, str]:
        async with serving(mongodb_url, database_name, tmp_path, full_text=setting) as server:
            return await refused(server)

    async def refused(server: Server) -> dict[str, str]:
        told = {}
        async with server.as_() as client:
            for name in ("_text", "_content"):
                answer = await client.get(f"/Patient?{name}=x")
                if answer.status_code != 200:
                    assert (answer.status_code, issues_of(answer)[0]["code"]) == (501, "not-supported")
                    told[name] = issues_of(answer)[0]["diagnostics"]
            await put(client, a_patient(id="a"))
        return told

    assert await refusals("content") == {}
    less = await refusals("narrative")
    assert list(less) == ["_content"]
    assert "needs the setting `full_text` to be `content`" in less["_content"]
    again = await refusals("content")
    assert list(again) == ["_content"]
    assert "for Patient: some was written while the setting `full_text` was `narrative`" in again["_content"]
    assert list(await refusals("off")) == ["_text", "_content"]
    assert list(await refusals("narrative")) == ["_text", "_content"]


async def test_processes_that_serve_together_have_the_same_setting(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    where = (mongodb_url, database_name, tmp_path)
    async with serving(*where, full_text="content"), serving(*where, full_text="content") as server:
        async with server.as_() as client:
            assert (await client.get("/Patient?_content=x")).status_code == 200
        for other in LEVELS[:2]:
            with pytest.raises(Unsuitable, match=f"full_text content, this one has {other}"):
                await begin_to_write(server.services.store, other)
    async with serving(*where, full_text="off") as server, server.as_() as client:
        assert (await client.get("/Patient?_content=x")).status_code == 501


async def test_what_was_reindexed_is_answered_until_less_is_written_again(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async def statuses(setting: str, *done: str) -> list[int]:
        async with serving(mongodb_url, database_name, tmp_path, full_text=setting) as server:
            for type in done:
                await reindexed(server.services.store, type, server.services.settings.full_text)
            async with server.as_() as client:
                await put(client, a_patient(id="a"))
                asked = ("/Patient?_text=x", "/Patient?_content=x", "/Condition?_text=x", "/?_text=x")
                return [(await client.get(query)).status_code for query in asked]

    assert await statuses("off") == [501] * 4
    assert await statuses("content", "Patient") == [200, 200, 501, 501]
    assert await statuses("narrative") == [200, 501, 501, 501]
    assert await statuses("content") == [200, 501, 501, 501]
    assert await statuses("off") == [501] * 4
    assert await statuses("content") == [501] * 4
    assert await statuses("content", *definitions().resource_types) == [200] * 4


async def test_reindexing_makes_up_for_what_was_stored_with_less(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    people = [a_patient(id=f"p{number}", name=[{"text": f"Person {number}"}]) for number in range(60)]
    where = (mongodb_url, database_name, tmp_path)
    async with serving(*where, full_text="off") as server, server.as_() as client:
        await put(client, *people, a_condition("c", "Liver"))
    async with serving(*where, full_text="content") as server, server.as_() as client:
        assert (await client.get("/Patient?_content=person 59")).status_code == 501
        assert (await client.post("/Patient/$reindex")).is_success
        await ended(client)
        assert ids_of(await client.get("/Patient?_content=person 59")) == ["p59"]
        assert (await client.get("/Condition?_text=liver")).status_code == 501


@pytest.mark.parametrize(
    ("setting", "listed"), [("off", []), ("narrative", ["_text"]), ("content", ["_content", "_text"])]
)
async def test_metadata_lists_what_the_setting_has(
    mongodb_url: str, database_name: str, tmp_path: Path, setting: str, listed: list[str]
) -> None:
    async with serving(mongodb_url, database_name, tmp_path, full_text=setting) as server:
        async with server.as_() as client:
            [rest] = (await client.get("/metadata")).json()["rest"]
        by_type = {
            told["type"]: {p["name"] for p in told.get("searchParam", ())} for told in rest["resource"]
        }
        both = {"_text", "_content"}
        assert sorted(by_type["Condition"] & both) == listed
        assert sorted(by_type["Binary"] & both) == [name for name in listed if name == "_content"]
        assert by_type["AuditEvent"] & both == set()
        assert sorted({p["name"] for p in rest["searchParam"]} & both) == listed


async def test_a_lenient_client_is_told_what_was_left_out(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(id="a"))
        answer = await client.get("/Patient?_content=x", headers={"Prefer": "handling=lenient"})
        assert ids_of(answer) == ["a"]
        assert "`_content`" in answer.text
        assert (await client.get("/AuditEvent?_text=x")).status_code == 501
        in_a_filter = await client.get('/Patient?_filter=_text co "x"')
        assert (in_a_filter.status_code, "beside it" in in_a_filter.text) == (501, True)
        assert (
            await client.post("/Patient", json=a_patient(), headers={"If-None-Exist": "_text=x"})
        ).status_code == 501
