"""Batch and transaction: https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of


def a_bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def a_post(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }
    return entry if full_url is None else {"fullUrl": full_url, **entry}


def a_put(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


def a_request(method: str, url: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}}


PATIENT = "urn:uuid:2b1c3d4e-0000-4000-8000-000000000001"
NOTE = "urn:uuid:2b1c3d4e-0000-4000-8000-000000000002"


async def test_references_between_entries_are_resolved_everywhere(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#trules"""
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{PATIENT}">who</a></div>'
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "text": {"status": "generated", "div": narrative},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": PATIENT}],
        "code": {"text": "x"},
        "subject": {"reference": PATIENT},
        "extension": [{"url": "http://x.example/e", "valueUri": PATIENT}],
    }
    async with server.as_() as client:
        answer = await client.post(
            "/", json=a_bundle("transaction", a_post(observation, NOTE), a_post(a_patient(), PATIENT))
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["type"] == "transaction-response"
        first, second = (entry["response"] for entry in body["entry"])
        assert (first["status"], second["status"]) == ("201 Created", "201 Created")
        patient = second["location"].removeprefix(f"{BASE}/").partition("/_history")[0]
        stored = (await client.get(first["location"])).json()
    assert stored["subject"]["reference"] == patient
    assert f'href="{patient}"' in stored["text"]["div"]
    assert stored["extension"][0]["valueUri"] == patient
    assert stored["identifier"][0]["value"] == PATIENT


async def test_a_transaction_keeps_all_or_nothing(server: Server) -> None:
    wrong = {"resourceType": "Observation", "status": "nonsense", "code": {"text": "x"}}
    bundle = a_bundle("transaction", a_put(a_patient(id="p1")), a_post(wrong))
    async with server.as_() as client:
        refused = await client.post("/", json=bundle)
        assert refused.status_code == 422
        assert issues_of(refused)[0]["expression"] == ["Bundle.entry[1].resource.status"]
        assert (await client.get("/Patient/p1")).status_code == 404


async def test_a_refusal_while_committing_names_its_entry(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        bundle = a_bundle(
            "transaction",
            a_put(a_patient(id="p2")),
            a_put(a_patient(id="p1", gender="male"), ifMatch='W/"7"'),
        )
        refused = await client.post("/", json=bundle)
        assert refused.status_code == 412
        assert issues_of(refused)[0]["expression"] == ["Bundle.entry[1]"]
        assert (await client.get("/Patient/p2")).status_code == 404


@pytest.mark.parametrize(
    ("entries", "expression"),
    [
        ([a_put(a_patient(id="p1")), a_put(a_patient(id="p1"))], "Bundle.entry[1]"),
        (
            [a_post(an_observation("x", subject={"reference": PATIENT}))],
            "Bundle.entry[0].resource.subject.reference",
        ),
        ([{"resource": a_patient()}], "Bundle.entry[0].request"),
        ([a_request("POST", "Patient")], "Bundle.entry[0].resource"),
        ([a_request("GET", "Nonsense/1")], "Bundle.entry[0].request.url"),
        ([{**a_post(a_patient()), "colour": "blue"}], "Bundle.entry[0].colour"),
        ([{**a_post(a_patient()), "request": {"method": "POST", "url": "Patient", "ifNoneExist": "a=b"}}],
         "Bundle.entry[0].request.ifNoneExist"),
        ([{"resource": a_patient(), "request": {"method": "PUT", "url": "Patient?nonsense=1"}}],
         "Bundle.entry[0].request.url"),
        ([a_request("DELETE", "Patient?_count=1")], "Bundle.entry[0].request.url"),
        ([{"resource": a_patient(), "request": {"method": "PATCH", "url": "Patient/1"}}],
         "Bundle.entry[0].resource"),
    ],
)  # fmt: skip
async def test_a_bundle_that_cannot_be_done_is_refused_with_its_entry(
    server: Server, entries: list[dict[str, Any]], expression: str
) -> None:
    async with server.as_() as client:
        refused = await client.post("/", json=a_bundle("transaction", *entries))
    assert 400 <= refused.status_code <= 501
    assert any(found.startswith(expression) for issue in issues_of(refused) for found in issue["expression"])


async def test_a_transaction_deletes_creates_updates_and_then_reads(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/old", json=a_patient(id="old"))
        bundle = a_bundle(
            "transaction",
            a_request("GET", "Patient/p1"),
            a_put(a_patient(id="p1", gender="male")),
            a_request("DELETE", "Patient/old"),
        )
        answer = (await client.post("/", json=bundle)).json()
        assert answer["entry"][0]["resource"]["gender"] == "male"
        assert [entry["response"]["status"] for entry in answer["entry"]] == [
            "200 OK",
            "201 Created",
            "204 No Content",
        ]
        assert (await client.get("/Patient/old")).status_code == 410


async def test_each_entry_of_a_batch_stands_alone(server: Server) -> None:
    wrong = {"resourceType": "Patient", "gender": "nonsense"}
    bundle = a_bundle(
        "batch",
        a_put(a_patient(id="p1")),
        a_post(wrong),
        a_request("GET", "Patient/p1"),
        a_request("GET", "Patient/p9"),
    )
    async with server.as_() as client:
        answer = (await client.post("/", json=bundle)).json()
    assert answer["type"] == "batch-response"
    statuses = [entry["response"]["status"].split()[0] for entry in answer["entry"]]
    assert statuses == ["201", "422", "200", "404"]
    outcome = answer["entry"][1]["response"]["outcome"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]


async def test_each_entry_has_a_record_tied_to_the_bundles(server: Server) -> None:
    bundle = a_bundle("transaction", a_put(a_patient(id="p1")), a_put(a_patient(id="p2")))
    async with server.as_() as client:
        await client.post("/", json=bundle, headers={"X-Request-Id": "together"})
    records = [record for record in await server.records() if record.request_id == "together"]
    assert sorted(record.interaction for record in records) == ["transaction", "update", "update"]
    assert {target.reference for record in records for target in record.targets} == {
        "Patient/p1",
        "Patient/p2",
    }


async def test_other_bundles_are_not_for_the_base(server: Server) -> None:
    async with server.as_() as client:
        for body in (a_bundle("collection"), a_patient(), {"resourceType": "Bundle"}):
            assert (await client.post("/", json=body)).status_code == 400
        stored = await client.post("/Bundle", json={"resourceType": "Bundle", "type": "collection"})
        assert stored.status_code == 201


async def test_too_many_entries_are_refused(server: Server) -> None:
    bundle = a_bundle("batch", *[a_request("GET", "Patient/1")] * 25_001)
    async with server.as_() as client:
        refused = await client.post("/", json=bundle)
    assert (refused.status_code, issues_of(refused)[0]["code"]) == (403, "too-costly")
