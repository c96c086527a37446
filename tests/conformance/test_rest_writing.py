"""
create, update and delete, as the specification has them; conformance/rest.md is the list.

https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#create,
https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conformance.listening import Listening
from tests.server.running import a_patient, issues_of

META = {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z", "source": "http://a.example/feed"}
JSON = {"Content-Type": "application/fhir+json"}


async def test_a_create_answers_the_address_of_the_version_that_it_made(
    server: Listening, client: httpx.AsyncClient
) -> None:
    created = await client.post("/Patient", json=a_patient(gender="other"))
    resource = created.json()
    assert created.status_code == 201
    assert created.headers["location"] == f"{server.base}/Patient/{resource['id']}/_history/1"
    assert created.headers["etag"] == 'W/"1"'
    assert "last-modified" in created.headers
    read = await client.get(created.headers["location"])
    assert read.json() == resource


async def test_a_create_takes_no_id_version_or_time_from_the_body(client: httpx.AsyncClient, id: str) -> None:
    resource = (await client.post("/Patient", json=a_patient(id=id, meta=META))).json()
    assert resource["id"] != id
    assert resource["meta"]["versionId"] == "1"
    assert resource["meta"]["lastUpdated"] > "2026"
    assert resource["meta"]["source"] == META["source"]


async def test_an_update_takes_no_version_or_time_from_the_body(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    updated = await client.put(f"/Patient/{id}", json=a_patient(id=id, meta=META))
    meta = updated.json()["meta"]
    assert (meta["versionId"], meta["source"]) == ("2", META["source"])
    assert meta["lastUpdated"] > "2026"


async def test_an_update_of_what_is_there_answers_the_new_version(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    updated = await client.put(f"/Patient/{id}", json=a_patient(id=id, active=True))
    assert updated.status_code == 200
    assert updated.headers["etag"] == 'W/"2"'
    assert "last-modified" in updated.headers
    assert updated.headers["content-type"].startswith("application/fhir+json")
    assert updated.json()["active"] is True


async def test_an_update_of_what_is_not_there_creates_it_under_that_id(
    server: Listening, client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/http.html#upsert"""
    created = await client.put(f"/Patient/{id}", json=a_patient(id=id))
    assert (created.status_code, created.json()["id"]) == (201, id)
    assert created.headers["location"] == f"{server.base}/Patient/{id}/_history/1"
    assert created.headers["etag"] == 'W/"1"'
    assert "last-modified" in created.headers


async def test_what_was_deleted_comes_back_by_an_update(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    await client.delete(f"/Patient/{id}")
    for stale in ('W/"1"', "*"):
        refused = await client.put(f"/Patient/{id}", json=a_patient(id=id), headers={"If-Match": stale})
        assert refused.status_code == 412
    back = await client.put(f"/Patient/{id}", json=a_patient(id=id), headers={"If-Match": 'W/"2"'})
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')
    assert (await client.get(f"/Patient/{id}")).status_code == 200


async def test_an_update_needs_the_id_of_its_address_in_the_body(client: httpx.AsyncClient, id: str) -> None:
    for body in (a_patient(), a_patient(id="another")):
        refused = await client.put(f"/Patient/{id}", json=body)
        assert refused.status_code == 400
        assert issues_of(refused)[0]["expression"] == ["Patient.id"]


async def test_a_body_that_is_no_resource_is_a_bad_request(client: httpx.AsyncClient, id: str) -> None:
    for body in (b"", b"{", b"[]", b'{"resourceType":"Nonsense"}', b'{"resourceType":"Observation"}'):
        for method, address in (("POST", "/Patient"), ("PUT", f"/Patient/{id}")):
            refused = await client.request(method, address, content=body, headers=JSON)
            assert refused.status_code == 400, body
            assert issues_of(refused)[0]["severity"] in ("error", "fatal")


async def test_a_resource_that_breaks_a_rule_is_unprocessable(client: httpx.AsyncClient, id: str) -> None:
    wrong = a_patient(id=id, gender="nonsense", contact=[{}])
    for method, address in (("POST", "/Patient"), ("PUT", f"/Patient/{id}")):
        refused = await client.request(method, address, json=wrong)
        assert refused.status_code == 422
        expressions = {expression for issue in issues_of(refused) for expression in issue["expression"]}
        assert {"Patient.gender", "Patient.contact[0]"} <= expressions
    assert (await client.get(f"/Patient/{id}")).status_code == 404


async def test_a_type_that_r4_has_not_is_not_found(client: httpx.AsyncClient, id: str) -> None:
    body: dict[str, Any] = {"resourceType": "SubscriptionTopic", "id": id}
    for method, address in (
        ("POST", "/SubscriptionTopic"),
        ("PUT", f"/SubscriptionTopic/{id}"),
        ("PATCH", f"/SubscriptionTopic/{id}"),
        ("DELETE", f"/SubscriptionTopic/{id}"),
    ):
        refused = await client.request(method, address, json=body)
        assert refused.status_code == 404, method
        assert issues_of(refused)[0]["code"] == "not-found"


async def test_a_type_that_nobody_may_write_is_not_allowed(client: httpx.AsyncClient, id: str) -> None:
    """AuditEvents are the ledger's: nobody creates, changes or deletes one."""
    event = {
        "resourceType": "AuditEvent",
        "id": id,
        "type": {"code": "rest"},
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
    }
    for method, address in (
        ("POST", "/AuditEvent"),
        ("PUT", f"/AuditEvent/{id}"),
        ("DELETE", f"/AuditEvent/{id}"),
    ):
        refused = await client.request(method, address, json=event)
        assert refused.status_code == 405, method
        assert issues_of(refused)[0]["code"] == "not-supported"


async def test_an_update_of_a_version_that_is_not_current_is_a_412_and_changes_nothing(
    client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/http.html#concurrency: 412, not the 409 of STU3"""
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male"))
    changed = a_patient(id=id, gender="female")
    stale = await client.put(f"/Patient/{id}", json=changed, headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert issues_of(stale)[0]["code"] == "conflict"
    assert (await client.get(f"/Patient/{id}")).json()["gender"] == "male"
    held = await client.put(f"/Patient/{id}", json=changed, headers={"If-Match": 'W/"2"'})
    assert (held.status_code, held.headers["etag"]) == (200, 'W/"3"')


async def test_a_delete_of_a_version_that_is_not_current_is_a_412(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    assert (await client.delete(f"/Patient/{id}", headers={"If-Match": 'W/"9"'})).status_code == 412
    assert (await client.delete(f"/Patient/{id}", headers={"If-Match": 'W/"1"'})).status_code == 204


async def test_a_delete_answers_no_content_and_the_version_of_the_deletion(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    deleted = await client.delete(f"/Patient/{id}")
    assert (deleted.status_code, deleted.content, deleted.headers["etag"]) == (204, b"", 'W/"2"')
    assert "content-type" not in deleted.headers
    assert "content-length" not in deleted.headers
    again = await client.delete(f"/Patient/{id}")
    assert (again.status_code, again.content) == (204, b"")
    history = (await client.get(f"/Patient/{id}/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT"]


async def test_a_deleted_resource_is_found_by_no_search(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    assert len((await client.get(f"/Patient?_id={id}")).json()["entry"]) == 1
    await client.delete(f"/Patient/{id}")
    assert "entry" not in (await client.get(f"/Patient?_id={id}")).json()


async def test_a_delete_of_what_was_never_there_is_not_found(client: httpx.AsyncClient, id: str) -> None:
    answer = await client.delete(f"/Patient/{id}")
    assert answer.status_code == 404
    assert issues_of(answer)[0]["code"] == "not-found"


async def test_a_delete_of_what_others_refer_to_is_no_conflict(client: httpx.AsyncClient, id: str) -> None:
    """References may dangle: real feeds arrive, and are taken back, out of order."""
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    link = {"other": {"reference": f"Patient/{id}"}, "type": "seealso"}
    await client.post("/Patient", json=a_patient(link=[link]))
    assert (await client.delete(f"/Patient/{id}")).status_code == 204


@pytest.mark.parametrize(("prefer", "type"), [("minimal", None), ("OperationOutcome", "OperationOutcome")])
async def test_prefer_holds_for_create_update_and_delete(
    client: httpx.AsyncClient, id: str, prefer: str, type: str | None
) -> None:
    """https://hl7.org/fhir/R4/http.html#ops"""
    headers = {"Prefer": f"return={prefer}"}
    answers = [
        await client.post("/Patient", json=a_patient(), headers=headers),
        await client.put(f"/Patient/{id}", json=a_patient(id=id), headers=headers),
        await client.put(f"/Patient/{id}", json=a_patient(id=id, active=True), headers=headers),
        await client.delete(f"/Patient/{id}", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200 if type else 204]
    for answer in answers:
        assert "etag" in answer.headers
        assert ("content-type" in answer.headers) == (type is not None)
        assert (answer.json()["resourceType"] if answer.content else None) == type
    if type:
        severities = {issue["severity"] for answer in answers for issue in issues_of(answer)}
        assert severities <= {"information", "warning"}


async def test_without_prefer_a_write_answers_the_resource(client: httpx.AsyncClient, id: str) -> None:
    for headers in ({}, {"Prefer": "return=representation"}):
        created = await client.post("/Patient", json=a_patient(gender="male"), headers=headers)
        updated = await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male"), headers=headers)
        assert created.json()["gender"] == updated.json()["gender"] == "male"


async def test_prefer_is_about_success_alone(client: httpx.AsyncClient, id: str) -> None:
    refused = await client.put(
        f"/Patient/{id}", json=a_patient(id=id, gender="x"), headers={"Prefer": "return=minimal"}
    )
    assert refused.status_code == 422
    assert issues_of(refused)


async def test_what_is_read_is_what_was_written(client: httpx.AsyncClient, id: str) -> None:
    """https://hl7.org/fhir/R4/http.html#transactional-integrity"""
    unknown = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    sent = a_patient(
        id=id,
        extension=[{"url": "http://a.example/x", "valueDecimal": 1.5}],
        name=[{"family": "Grüße 你好 😀", "given": ["A", None], "_given": [None, {"extension": [unknown]}]}],
        contained=[{"resourceType": "Organization", "id": "o", "name": "O"}],
        managingOrganization={"reference": "#o"},
    )
    await client.put(f"/Patient/{id}", json=sent)
    read = (await client.get(f"/Patient/{id}")).json()
    del read["meta"]
    assert read == sent


async def test_writes_need_a_content_type_that_is_read_here(client: httpx.AsyncClient, id: str) -> None:
    body = f'{{"resourceType":"Patient","id":"{id}"}}'.encode()
    for media in ("", "text/plain", "text/turtle", "application/fhir+turtle", "multipart/form-data"):
        for method, address in (("POST", "/Patient"), ("PUT", f"/Patient/{id}"), ("POST", "/")):
            headers = {"Content-Type": media} if media else {}
            refused = await client.request(method, address, content=body, headers=headers)
            assert refused.status_code == 415, (method, media)
            assert issues_of(refused)[0]["code"] == "not-supported"
