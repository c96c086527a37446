"""$meta, $meta-add and $meta-delete over HTTP. https://hl7.org/fhir/R4/resource-operation-meta.html"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient, an_observation, issues_of

RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
VIP = {"system": "http://a.example/tags", "code": "v|p"}
NEW = {"system": "http://a.example/tags", "code": "new", "display": "New"}
PROFILE = "http://a.example/profile"


def a_meta(**lists: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": lists}]}


def meta_of(answer: httpx.Response) -> dict[str, Any]:
    """The Meta that is returned."""
    assert answer.status_code == 200, answer.text
    (returned,) = answer.json()["parameter"]
    assert returned["name"] == "return"
    meta: dict[str, Any] = returned["valueMeta"]
    return meta


async def _store(client: httpx.AsyncClient) -> None:
    meta = {"tag": [VIP], "security": [RESTRICTED], "profile": [PROFILE]}
    for resource in (
        a_patient(id="p1", meta=meta),
        a_patient(id="p2", meta={"tag": [VIP, NEW]}),
        an_observation("p1", id="o1", meta={"tag": [NEW], "security": [{"code": "N"}]}),
        an_observation("p2", id="o2"),
    ):
        stored = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert stored.status_code == 201, stored.text


async def test_the_meta_of_a_resource(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        read = (await client.get("/Patient/p1")).json()["meta"]
        for method in ("GET", "POST"):
            assert meta_of(await client.request(method, "/Patient/p1/$meta")) == read
        assert (await client.get("/Patient/absent/$meta")).status_code == 404
        await client.delete("/Patient/p1")
        assert (await client.get("/Patient/p1/$meta")).status_code == 410


async def test_the_meta_of_a_type_has_each_label_once(server: Server) -> None:
    without_display = {name: NEW[name] for name in ("system", "code")}
    async with server.as_() as client:
        await _store(client)
        patients = meta_of(await client.get("/Patient/$meta"))
        assert patients == {
            "profile": [PROFILE],
            "security": [RESTRICTED],
            "tag": [without_display, VIP],
        }
        observations = meta_of(await client.post("/Observation/$meta"))
        assert observations == {"security": [{"code": "N"}], "tag": [without_display]}
        nothing = await client.get("/Encounter/$meta")
        assert nothing.json() == {"resourceType": "Parameters"}


async def test_the_meta_of_all_there_is(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        whole = meta_of(await client.get("/$meta"))
    assert {label["code"] for label in whole["security"]} == {"N", "R"}
    assert {tag["code"] for tag in whole["tag"]} == {"new", "v|p"}


async def test_a_type_with_more_labels_than_one_question_finds(server: Server) -> None:
    async with server.as_() as client:
        for number in range(12):
            tag = [{"system": "http://a.example/tags", "code": f"{number:02}"}]
            await client.post(
                "/Basic",
                json={"resourceType": "Basic", "code": {}, "meta": {"tag": tag}} | {"code": {"text": "x"}},
            )
        found = meta_of(await client.get("/Basic/$meta"))
    assert [tag["code"] for tag in found["tag"]] == [f"{number:02}" for number in range(12)]


async def test_labels_are_those_of_what_the_caller_sees(server: Server) -> None:
    async with server.as_(purpose="HOPERAT") as client:
        await _store(client)
        await client.put("/Consent/c1", json=a_consent("p1", "c1", {"type": "deny"}))
    async with server.as_("user/*.cruds", user="Practitioner/7") as client:
        assert "security" not in meta_of(await client.get("/Patient/$meta"))
        hidden = await client.get("/Patient/p1/$meta")
        absent = await client.get("/Patient/p9/$meta")
        assert (hidden.status_code, hidden.text.replace("p1", "p9")) == (404, absent.text)
    async with server.as_("patient/*.rs", patient="p2") as client:
        assert meta_of(await client.get("/Patient/$meta")).keys() == {"tag"}
        assert "parameter" not in (await client.get("/Observation/$meta")).json()
        assert meta_of(await client.get("/$meta")).keys() == {"tag"}


async def test_a_label_that_is_added_is_a_new_version(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        added = meta_of(
            await client.post(
                "/Patient/p1/$meta-add", json=a_meta(tag=[NEW, VIP], profile=["http://a.example/2"])
            )
        )
        assert added["tag"] == [VIP, NEW]
        assert added["profile"] == [PROFILE, "http://a.example/2"]
        assert added["security"] == [RESTRICTED]
        assert added["versionId"] == "2"
        assert (await client.get("/Patient/p1")).json()["meta"] == added
        found = await client.get("/Patient", params={"_tag": "http://a.example/tags|new"})
        assert {entry["resource"]["id"] for entry in found.json()["entry"]} == {"p1", "p2"}
        assert (await client.get("/Patient/p1/_history/1")).json()["meta"]["tag"] == [VIP]


async def test_adding_what_is_there_and_deleting_what_is_not_change_nothing(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        assert meta_of(await client.post("/Patient/p1/$meta-add", json=a_meta(tag=[VIP])))["versionId"] == "1"
        assert (
            meta_of(await client.post("/Patient/p1/$meta-delete", json=a_meta(tag=[NEW])))["versionId"] == "1"
        )


async def test_a_label_that_is_deleted_is_known_by_system_and_code(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        left = meta_of(
            await client.post(
                "/Patient/p2/$meta-delete", json=a_meta(tag=[{"system": NEW["system"], "code": "new"}])
            )
        )
        assert left["tag"] == [VIP]
        none = meta_of(await client.post("/Patient/p2/$meta-delete", json=a_meta(tag=[VIP, {"code": "v|p"}])))
        assert "tag" not in none


async def test_what_stands_beside_a_profile_stays_beside_it(server: Server) -> None:
    beside = [None, {"id": "second"}]
    meta = {"profile": [PROFILE, "http://a.example/2"], "_profile": beside}
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1", meta=meta))
        added = meta_of(
            await client.post("/Patient/p1/$meta-add", json=a_meta(profile=["http://a.example/3"]))
        )
        assert added["_profile"] == [*beside, None]
        left = meta_of(await client.post("/Patient/p1/$meta-delete", json=a_meta(profile=[PROFILE])))
        assert (left["profile"][0], left["_profile"][0]) == ("http://a.example/2", {"id": "second"})


async def test_the_rest_of_the_resource_keeps_its_digits(server: Server) -> None:
    body = (
        '{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},'
        '"valueQuantity":{"value":1.00}}'
    )
    headers = {"Content-Type": "application/fhir+json"}
    async with server.as_() as client:
        await client.put("/Observation/o1", content=body, headers=headers)
        meta_of(await client.post("/Observation/o1/$meta-add", json=a_meta(tag=[VIP])))
        assert '"value":1.00' in (await client.get("/Observation/o1")).text


async def test_if_match_is_honoured(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        late = await client.post(
            "/Patient/p1/$meta-add", json=a_meta(tag=[NEW]), headers={"If-Match": 'W/"7"'}
        )
        assert late.status_code == 412
        right = await client.post(
            "/Patient/p1/$meta-add", json=a_meta(tag=[NEW]), headers={"If-Match": 'W/"1"'}
        )
        assert meta_of(right)["versionId"] == "2"


async def test_labels_added_at_once_are_all_there(server: Server) -> None:
    tags = [{"system": "http://a.example/tags", "code": f"t{number}"} for number in range(10)]
    async with server.as_() as client:
        await _store(client)
        answers = await asyncio.gather(
            *(client.post("/Patient/p1/$meta-add", json=a_meta(tag=[tag])) for tag in tags)
        )
        assert {answer.status_code for answer in answers} == {200}
        stored = (await client.get("/Patient/p1")).json()["meta"]
    assert stored["versionId"] == "11"
    assert {tag["code"] for tag in stored["tag"]} == {"v|p", *(tag["code"] for tag in tags)}


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueCode": "x"}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "meta", "resource": {"resourceType": "Basic", "code": {"text": "x"}}}],
        },
        {"resourceType": "Parameters", "parameter": [{"name": "other", "valueMeta": {"tag": [VIP]}}]},
        a_meta(versionId="7"),
        a_meta(lastUpdated="2024-01-01T00:00:00Z"),
        a_meta(source="http://a.example"),
    ],
)
async def test_what_cannot_be_changed_is_refused(server: Server, body: Any) -> None:
    async with server.as_() as client:
        await _store(client)
        answer = await client.request(
            "POST", "/Patient/p1/$meta-add", **({} if body is None else {"json": body})
        )
        assert answer.status_code == 400, answer.text
        assert issues_of(answer)
        assert (await client.get("/Patient/p1")).headers["etag"] == 'W/"1"'


async def test_a_parameter_of_meta_is_refused(server: Server) -> None:
    async with server.as_() as client:
        assert (await client.get("/Patient/$meta?nonsense=1")).status_code == 400


@pytest.mark.parametrize("operation", ["$meta-add", "$meta-delete"])
async def test_changing_takes_the_rights_to_read_and_to_update(server: Server, operation: str) -> None:
    async with server.as_() as client:
        await _store(client)
    for scope, status in (("system/*.r", 403), ("system/*.u", 403), ("system/*.ru", 200)):
        async with server.as_(scope) as client:
            answer = await client.post(f"/Patient/p1/{operation}", json=a_meta(tag=[VIP]))
        assert answer.status_code == status, scope
    async with server.as_("patient/*.cruds", patient="p1") as client:
        hidden = await client.post(f"/Patient/p2/{operation}", json=a_meta(tag=[VIP]))
        absent = await client.post(f"/Patient/p9/{operation}", json=a_meta(tag=[VIP]))
    assert (hidden.status_code, hidden.text.replace("p2", "p9")) == (404, absent.text)


async def test_nobody_labels_the_log(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        event = (await client.get("/AuditEvent?_count=1")).json()["entry"][0]["resource"]["id"]
        assert meta_of(await client.get(f"/AuditEvent/{event}/$meta"))["versionId"] == "1"
        answer = await client.post(f"/AuditEvent/{event}/$meta-add", json=a_meta(tag=[VIP]))
    assert answer.status_code == 405


async def test_each_is_recorded(server: Server) -> None:
    async with server.as_() as client:
        await _store(client)
        await client.get("/Patient/p1/$meta")
        await client.get("/Patient/$meta")
        await client.post("/Patient/p1/$meta-add", json=a_meta(tag=[NEW]))
        await client.post("/Patient/p9/$meta-delete", json=a_meta(tag=[NEW]))
    records = [record for record in await server.records() if record.interaction.startswith("$")]
    assert [(record.interaction, record.status, record.patients) for record in records] == [
        ("$meta", 200, ("p1",)),
        ("$meta", 200, ()),
        ("$meta-add", 200, ("p1",)),
        ("$meta-delete", 404, ()),
    ]
    assert records[2].targets[0].version == 2
