"""
patch, and the conditional create, update, patch and delete, as the specification has them.

conformance/rest.md is the list. https://hl7.org/fhir/R4/http.html#patch,
https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conformance.listening import Listening
from tests.server.running import a_patient, issues_of

SYSTEM = "http://hospital.example/conformance"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FEMALE = {
    "application/json-patch+json": '[{"op":"replace","path":"/gender","value":"female"}]',
    "application/xml-patch+xml": (
        '<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:gender/@value">female</replace></diff>'
    ),
    "application/fhir+json": json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "operation",
                    "part": [
                        {"name": "type", "valueCode": "replace"},
                        {"name": "path", "valueString": "Patient.gender"},
                        {"name": "value", "valueCode": "female"},
                    ],
                }
            ],
        }
    ),
    "application/fhir+xml": (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        '<part><name value="type"/><valueCode value="replace"/></part>'
        '<part><name value="path"/><valueString value="Patient.gender"/></part>'
        '<part><name value="value"/><valueCode value="female"/></part></parameter></Parameters>'
    ),
}
"""A patch of each media type that says the same."""


def identified(value: str, **stated: Any) -> dict[str, Any]:
    return a_patient(identifier=[{"system": SYSTEM, "value": value}], **stated)


def criteria(value: str) -> str:
    return f"identifier={SYSTEM}|{value}"


def json_patch(*operations: dict[str, Any]) -> str:
    return json.dumps(operations)


@pytest.mark.parametrize("media", FEMALE)
async def test_a_patch_of_each_kind_makes_a_new_version(
    client: httpx.AsyncClient, id: str, media: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male", birthDate="1970"))
    patched = await client.patch(f"/Patient/{id}", content=FEMALE[media], headers={"Content-Type": media})
    assert patched.status_code == 200, patched.text
    assert patched.headers["etag"] == 'W/"2"'
    assert "last-modified" in patched.headers
    assert patched.headers["content-type"].startswith("application/fhir+json")
    assert (patched.json()["gender"], patched.json()["birthDate"]) == ("female", "1970")


async def test_a_patch_of_a_version_that_is_not_current_is_a_412(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male"))
    change = FEMALE["application/json-patch+json"]
    for if_match, status in (('W/"9"', 412), ('W/"1"', 200)):
        headers = {**JSON_PATCH, "If-Match": if_match}
        assert (await client.patch(f"/Patient/{id}", content=change, headers=headers)).status_code == status


async def test_prefer_holds_for_a_patch(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    for number, (prefer, type) in enumerate(
        (("minimal", None), ("representation", "Patient"), ("OperationOutcome", "OperationOutcome"))
    ):
        change = json_patch({"op": "add", "path": "/birthDate", "value": f"197{number}"})
        headers = {**JSON_PATCH, "Prefer": f"return={prefer}"}
        answer = await client.patch(f"/Patient/{id}", content=change, headers=headers)
        assert answer.status_code == 200
        assert (answer.json()["resourceType"] if answer.content else None) == type


async def test_a_patch_that_cannot_be_read_is_a_bad_request(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    for body in ("", "{", '{"op":"add"}', '[{"op":"nonsense","path":"/gender"}]', '[{"op":"add"}]'):
        refused = await client.patch(f"/Patient/{id}", content=body, headers=JSON_PATCH)
        assert refused.status_code == 400, body
        assert issues_of(refused)


async def test_a_patch_whose_test_fails_or_whose_place_is_not_there_is_unprocessable(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male"))
    for operation in (
        {"op": "test", "path": "/gender", "value": "female"},
        {"op": "remove", "path": "/birthDate"},
        {"op": "replace", "path": "/gender", "value": "nonsense"},
        {"op": "replace", "path": "/id", "value": "stolen"},
    ):
        refused = await client.patch(f"/Patient/{id}", content=json_patch(operation), headers=JSON_PATCH)
        assert refused.status_code == 422, operation
        assert issues_of(refused)
    assert (await client.get(f"/Patient/{id}")).headers["etag"] == 'W/"1"'


async def test_a_patch_of_what_is_not_there_creates_nothing(client: httpx.AsyncClient, id: str) -> None:
    absent = await client.patch(f"/Patient/{id}", content="[]", headers=JSON_PATCH)
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    await client.delete(f"/Patient/{id}")
    deleted = await client.patch(f"/Patient/{id}", content="[]", headers=JSON_PATCH)
    assert (absent.status_code, deleted.status_code) == (404, 410)
    assert (await client.patch("/AuditEvent/x", content="[]", headers=JSON_PATCH)).status_code == 405


async def test_a_body_that_is_no_patch_is_of_a_wrong_media_type(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    for media in ("", "text/plain", "application/merge-patch+json"):
        refused = await client.patch(f"/Patient/{id}", content="[]", headers={"Content-Type": media})
        assert refused.status_code == 415, media


@pytest.mark.parametrize("media", FEMALE)
async def test_a_patch_does_not_leave_a_narrative_that_tells_what_was(
    client: httpx.AsyncClient, id: str, media: str
) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">male</div>'
    for status, answered in (("generated", 200), ("additional", 422)):
        narrative = {"status": status, "div": div}
        await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male", text=narrative))
        patched = await client.patch(f"/Patient/{id}", content=FEMALE[media], headers={"Content-Type": media})
        assert patched.status_code == answered, patched.text
        assert "text" not in patched.json()


async def test_a_conditional_patch_is_of_the_one_resource_that_matches(
    client: httpx.AsyncClient, id: str
) -> None:
    change = FEMALE["application/json-patch+json"]
    address = f"/Patient?{criteria(id)}"
    none = await client.patch(address, content=change, headers=JSON_PATCH)
    created = await client.post("/Patient", json=identified(id, gender="male"))
    one = await client.patch(address, content=change, headers=JSON_PATCH)
    await client.post("/Patient", json=identified(id))
    several = await client.patch(address, content=change, headers=JSON_PATCH)
    assert (none.status_code, one.status_code, several.status_code) == (404, 200, 412)
    assert (one.json()["id"], one.json()["gender"]) == (created.json()["id"], "female")
    assert one.headers["etag"] == 'W/"2"'


async def test_a_conditional_create_creates_when_nothing_matches(
    server: Listening, client: httpx.AsyncClient, id: str
) -> None:
    header = {"If-None-Exist": criteria(id)}
    none = await client.post("/Patient", json=identified(id), headers=header)
    one = await client.post("/Patient", json=identified(id, gender="male"), headers=header)
    await client.post("/Patient", json=identified(id))
    several = await client.post("/Patient", json=identified(id), headers=header)
    assert (none.status_code, one.status_code, several.status_code) == (201, 200, 412)
    assert none.headers["location"] == f"{server.base}/Patient/{none.json()['id']}/_history/1"
    # What was sent is ignored: the answer is what is there.
    assert one.json() == none.json()
    assert one.headers["etag"] == 'W/"1"'
    assert issues_of(several)[0]["code"] == "multiple-matches"


async def test_a_conditional_update_without_a_match_creates_with_or_without_an_id(
    client: httpx.AsyncClient, id: str
) -> None:
    without = await client.put(f"/Patient?{criteria(id + '-1')}", json=identified(id + "-1"))
    chosen = await client.put(f"/Patient?{criteria(id + '-2')}", json=identified(id + "-2", id=id))
    assert (without.status_code, chosen.status_code) == (201, 201)
    assert chosen.json()["id"] == id != without.json()["id"]
    for created in (without, chosen):
        assert created.headers["location"].endswith(f"/Patient/{created.json()['id']}/_history/1")


async def test_a_conditional_update_is_of_the_one_resource_that_matches(
    client: httpx.AsyncClient, id: str
) -> None:
    address = f"/Patient?{criteria(id)}"
    created = await client.post("/Patient", json=identified(id))
    known = created.json()["id"]
    updated = await client.put(address, json=identified(id, gender="male"))
    same = await client.put(address, json=identified(id, id=known, gender="female"))
    assert (updated.status_code, same.status_code) == (200, 200)
    assert {updated.json()["id"], same.json()["id"]} == {known}
    assert same.headers["etag"] == 'W/"3"'


async def test_a_conditional_update_of_another_id_is_a_bad_request(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.post("/Patient", json=identified(id))
    refused = await client.put(f"/Patient?{criteria(id)}", json=identified(id, id=id))
    assert refused.status_code == 400
    assert issues_of(refused)[0]["expression"] == ["Patient.id"]


async def test_a_conditional_update_of_several_is_a_412(client: httpx.AsyncClient, id: str) -> None:
    for _ in range(2):
        await client.post("/Patient", json=identified(id))
    refused = await client.put(f"/Patient?{criteria(id)}", json=identified(id, gender="male"))
    assert refused.status_code == 412
    assert issues_of(refused)[0]["code"] == "multiple-matches"


async def test_a_conditional_delete_is_of_one_or_none(client: httpx.AsyncClient, id: str) -> None:
    address = f"/Patient?{criteria(id)}"
    none = await client.delete(address)
    created = await client.post("/Patient", json=identified(id))
    one = await client.delete(address)
    gone = await client.get(f"/Patient/{created.json()['id']}")
    for _ in range(2):
        await client.post("/Patient", json=identified(id))
    several = await client.delete(address)
    assert [none.status_code, one.status_code, gone.status_code, several.status_code] == [204, 204, 410, 412]
    assert len((await client.get(f"/Patient?{criteria(id)}")).json()["entry"]) == 2


async def test_criteria_that_choose_nothing_are_refused(client: httpx.AsyncClient) -> None:
    for query in ("", "_count=1", "nonsense=1", "_sort=name"):
        answers = (
            await client.post("/Patient", json=a_patient(), headers={"If-None-Exist": query}),
            await client.put(f"/Patient?{query}", json=a_patient()),
            await client.patch(f"/Patient?{query}", content="[]", headers=JSON_PATCH),
            await client.delete(f"/Patient?{query}"),
        )
        assert [answer.status_code for answer in answers] == [400] * 4, query


async def test_a_condition_asks_for_the_right_to_search(server: Listening, id: str) -> None:
    async with server.as_("system/Patient.cud") as writer:
        answers = (
            await writer.post("/Patient", json=identified(id), headers={"If-None-Exist": criteria(id)}),
            await writer.put(f"/Patient?{criteria(id)}", json=identified(id)),
            await writer.delete(f"/Patient?{criteria(id)}"),
        )
    assert [answer.status_code for answer in answers] == [403] * 3


async def test_a_conditional_write_stands_in_the_history_as_a_direct_one(
    client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/http.html#history"""
    address = f"/Patient?{criteria(id)}"
    created = await client.post("/Patient", json=identified(id), headers={"If-None-Exist": criteria(id)})
    await client.put(address, json=identified(id, gender="male"))
    await client.patch(address, content=FEMALE["application/json-patch+json"], headers=JSON_PATCH)
    await client.delete(address)
    key = f"Patient/{created.json()['id']}"
    entries = (await client.get(f"/{key}/_history")).json()["entry"]
    assert [entry["request"]["url"] for entry in entries] == [key, key, key, "Patient"]
    assert [entry["request"]["method"] for entry in entries] == ["DELETE", "PUT", "PUT", "POST"]
