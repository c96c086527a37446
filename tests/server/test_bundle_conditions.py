"""
Conditional entries, references by criteria and patches in Bundles.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.server.running import Server, a_patient, an_observation, issues_of

SYSTEM = "http://hospital.example/bundle"


def identified(value: str, **stated: Any) -> dict[str, Any]:
    return a_patient(identifier=[{"system": SYSTEM, "value": value}], **stated)


def create(
    resource: dict[str, Any], sought: str | None = None, full_url: str | None = None
) -> dict[str, Any]:
    request = {"method": "POST", "url": resource["resourceType"]}
    if sought is not None:
        request["ifNoneExist"] = f"identifier={SYSTEM}|{sought}"
    entry: dict[str, Any] = {"resource": resource, "request": request}
    return entry if full_url is None else {"fullUrl": full_url, **entry}


def request(method: str, url: str, resource: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    return entry if resource is None else {**entry, "resource": resource}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def json_patch(*operations: dict[str, Any]) -> dict[str, Any]:
    data = b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def statuses(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [entry["response"]["status"][:3] for entry in response.json()["entry"]]


def ids(response: httpx.Response) -> list[str]:
    """The ids that the entries have written, from their locations."""
    return [
        entry["response"]["location"].split("/_history")[0].rsplit("/", 1)[1]
        for entry in response.json()["entry"]
        if "location" in entry["response"]
    ]


async def found(client: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in (await client.get(address)).json().get("entry", ())]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_conditional_create_in_a_bundle_creates_once(server: Server, kind: str) -> None:
    async with server.as_() as client:
        first = await client.post("", json=bundle(kind, create(identified(kind), kind)))
        again = await client.post("", json=bundle(kind, create(identified(kind), kind)))
        stored = await found(client, f"/Patient?identifier={SYSTEM}|{kind}")
    assert (statuses(first), statuses(again)) == (["201"], ["200"])
    assert ids(first) == ids(again) == [stored[0]["id"]]
    assert len(stored) == 1


async def test_identical_conditional_creates_in_a_transaction_give_one_resource(server: Server) -> None:
    urls = ["urn:uuid:00000000-0000-4000-8000-000000000001", "urn:uuid:00000000-0000-4000-8000-000000000002"]
    entries = [create(identified("same"), "same", url) for url in urls]
    entries += [create({**an_observation("x"), "subject": {"reference": url}}) for url in urls]
    async with server.as_() as client:
        answer = await client.post("", json=bundle("transaction", *entries))
        stored = await found(client, f"/Patient?identifier={SYSTEM}|same")
        observed = await found(client, f"/Observation?subject=Patient/{stored[0]['id']}")
    assert statuses(answer) == ["201", "200", "201", "201"]
    assert len(stored) == 1
    assert len(observed) == 2


async def test_an_entry_refers_to_what_a_conditional_create_has_found(server: Server) -> None:
    url = "urn:uuid:00000000-0000-4000-8000-000000000003"
    async with server.as_() as client:
        [patient] = ids(await client.post("", json=bundle("transaction", create(identified("there")))))
        about = {**an_observation("x"), "subject": {"reference": url}}
        answer = await client.post(
            "", json=bundle("transaction", create(identified("there"), "there", url), create(about))
        )
        observed = await found(client, f"/Observation?subject=Patient/{patient}")
    assert statuses(answer) == ["200", "201"]
    assert len(observed) == 1


async def test_a_reference_by_criteria_leads_to_what_matches(server: Server) -> None:
    by_criteria = {**an_observation("x"), "subject": {"reference": f"Patient?identifier={SYSTEM}|meant"}}
    async with server.as_() as client:
        [patient] = ids(await client.post("", json=bundle("transaction", create(identified("meant")))))
        answer = await client.post("", json=bundle("transaction", create(by_criteria)))
        observed = await found(client, f"/Observation?subject=Patient/{patient}")
    assert statuses(answer) == ["201"]
    assert observed[0]["subject"]["reference"] == f"Patient/{patient}"


async def test_a_reference_by_criteria_leads_to_what_the_same_transaction_makes(server: Server) -> None:
    by_criteria = {**an_observation("x"), "subject": {"reference": f"Patient?identifier={SYSTEM}|new"}}
    entries = [
        create(by_criteria),
        request("PUT", f"Patient?identifier={SYSTEM}|new", identified("new")),
    ]
    async with server.as_() as client:
        answer = await client.post("", json=bundle("transaction", *entries))
        [patient] = await found(client, f"/Patient?identifier={SYSTEM}|new")
        observed = await found(client, f"/Observation?subject=Patient/{patient['id']}")
    assert statuses(answer) == ["201", "201"]
    assert len(observed) == 1


@pytest.mark.parametrize(("value", "count"), [("none", 0), ("several", 2)])
async def test_a_reference_by_criteria_that_is_not_of_one_refuses_the_transaction(
    server: Server, value: str, count: int
) -> None:
    by_criteria = {**an_observation("x"), "subject": {"reference": f"Patient?identifier={SYSTEM}|{value}"}}
    async with server.as_() as client:
        for _ in range(count):
            await client.post("/Patient", json=identified(value))
        refused = await client.post(
            "", json=bundle("transaction", create(identified("kept-not")), create(by_criteria))
        )
        kept = await found(client, f"/Patient?identifier={SYSTEM}|kept-not")
    assert refused.status_code == 412
    assert issues_of(refused)[0]["expression"] == ["Bundle.entry[1].resource.subject.reference"]
    assert kept == []


async def test_a_reference_by_criteria_outside_of_a_transaction_is_refused(server: Server) -> None:
    by_criteria = {**an_observation("x"), "subject": {"reference": f"Patient?identifier={SYSTEM}|1"}}
    async with server.as_() as client:
        alone = await client.post("/Observation", json=by_criteria)
        batch = await client.post("", json=bundle("batch", create(by_criteria)))
        kept = await client.post("/Bundle", json=bundle("transaction", create(by_criteria)))
    assert alone.status_code == 422
    assert issues_of(alone)[0]["expression"] == ["Observation.subject.reference"]
    assert statuses(batch) == ["422"]
    assert kept.status_code == 201


async def test_conditional_updates_and_deletes_are_of_what_matches(server: Server) -> None:
    async with server.as_() as client:
        await client.post("/Patient", json=identified("updated", gender="male"))
        await client.post("/Patient", json=identified("deleted"))
        answer = await client.post(
            "",
            json=bundle(
                "transaction",
                request(
                    "PUT", f"Patient?identifier={SYSTEM}|updated", identified("updated", gender="female")
                ),
                request("DELETE", f"Patient?identifier={SYSTEM}|deleted"),
                request("DELETE", f"Patient?identifier={SYSTEM}|never"),
                request("GET", f"Patient?identifier={SYSTEM}|updated"),
                request("HEAD", f"Patient?identifier={SYSTEM}|updated"),
            ),
        )
        [updated] = await found(client, f"/Patient?identifier={SYSTEM}|updated")
        deleted = await found(client, f"/Patient?identifier={SYSTEM}|deleted")
    assert statuses(answer) == ["200", "204", "204", "200", "200"]
    assert updated["gender"] == "female"
    assert deleted == []
    assert "resource" in answer.json()["entry"][3]
    assert "resource" not in answer.json()["entry"][4]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_patch_in_a_bundle(server: Server, kind: str) -> None:
    by_path = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "replace"},
                    {"name": "path", "valueString": "Patient.gender"},
                    {"name": "value", "valueCode": "other"},
                ],
            }
        ],
    }
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1", gender="male"))
        await client.put("/Patient/p2", json=a_patient(id="p2", gender="male"))
        await client.put("/Patient/p3", json=identified(f"patched-{kind}", id="p3", gender="male"))
        answer = await client.post(
            "",
            json=bundle(
                kind,
                request(
                    "PATCH", "Patient/p1", json_patch({"op": "replace", "path": "/gender", "value": "female"})
                ),
                request("PATCH", "Patient/p2", by_path, ifMatch='W/"1"'),
                request("PATCH", f"Patient?identifier={SYSTEM}|patched-{kind}", by_path),
            ),
            headers={"Prefer": "return=representation"},
        )
        genders = [(await client.get(f"/Patient/p{n}")).json()["gender"] for n in (1, 2, 3)]
    assert statuses(answer) == ["200", "200", "200"]
    assert genders == ["female", "other", "other"]
    assert [entry["resource"]["gender"] for entry in answer.json()["entry"]] == genders


async def test_a_patch_that_fails_refuses_the_transaction(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/q1", json=a_patient(id="q1", gender="male"))
        refused = await client.post(
            "",
            json=bundle(
                "transaction",
                create(identified("not-kept")),
                request(
                    "PATCH", "Patient/q1", json_patch({"op": "test", "path": "/gender", "value": "female"})
                ),
            ),
        )
        kept = await found(client, f"/Patient?identifier={SYSTEM}|not-kept")
    assert refused.status_code == 422
    assert issues_of(refused)[0]["expression"][0].startswith("Bundle.entry[1]")
    assert kept == []


async def test_each_entry_has_its_record(server: Server) -> None:
    async with server.as_() as client:
        await client.post("/Patient", json=identified("recorded"))
        await client.post(
            "",
            json=bundle(
                "transaction",
                create(identified("recorded"), "recorded"),
                create(identified("recorded-2"), "recorded-2"),
                create(identified("recorded-2"), "recorded-2"),
                request("DELETE", f"Patient?identifier={SYSTEM}|recorded-3"),
            ),
            headers={"X-Request-Id": "each-entry"},
        )
    records = [record for record in await server.records() if record.request_id == "each-entry"]
    assert sorted((record.interaction, record.status, len(record.targets)) for record in records) == [
        ("create", 200, 1),
        ("create", 200, 1),
        ("create", 201, 1),
        ("delete", 204, 0),
        ("transaction", 200, 0),
    ]


async def test_hidden_matches_are_no_matches(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/mine", json=a_patient(id="mine"))
        hidden = an_observation("other", identifier=[{"system": SYSTEM, "value": "hidden"}])
        await client.post("/Observation", json=hidden)
    own = an_observation("mine", identifier=[{"system": SYSTEM, "value": "hidden"}])
    by_criteria = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/mine"},
        "result": [{"reference": f"Observation?identifier={SYSTEM}|hidden"}],
    }
    async with server.as_("patient/*.cruds", patient="mine") as app:
        refused = await app.post("", json=bundle("transaction", create(by_criteria)))
        created = await app.post("", json=bundle("transaction", create(own, "hidden"), create(by_criteria)))
    assert refused.status_code == 412
    assert statuses(created) == ["201", "201"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_many_bundles_create_one(server: Server, kind: str) -> None:
    url = "urn:uuid:00000000-0000-4000-8000-000000000009"
    about = {**an_observation("x"), "subject": {"reference": url}}
    value = f"race-{kind}"
    entries = [create(identified(value), value, url)]
    if kind == "transaction":
        entries.append(create(about))
    async with server.as_() as client:
        answers = await asyncio.gather(*(client.post("", json=bundle(kind, *entries)) for _ in range(30)))
        stored = await found(client, f"/Patient?identifier={SYSTEM}|{value}")
        observed = await found(client, f"/Observation?subject=Patient/{stored[0]['id']}")
    assert sorted(statuses(answer)[0] for answer in answers) == ["200"] * 29 + ["201"]
    assert len(stored) == 1
    assert len(observed) == (30 if kind == "transaction" else 0)


async def test_two_transactions_do_not_each_create_what_the_other_one_looks_for(server: Server) -> None:
    """What decides is in one entry, and what the other transaction looks for in another."""
    async with server.as_() as client:
        for n in range(10):
            one, other = (
                [create(identified(f"own-{a}-{n}"), f"{b}-{n}"), create(identified(f"{a}-{n}"))]
                for a, b in (("left", "right"), ("right", "left"))
            )
            answers = await asyncio.gather(
                *(client.post("", json=bundle("transaction", *entries)) for entries in (one, other))
            )
            assert sorted(statuses(answer)[0] for answer in answers) == ["200", "201"]


@pytest.mark.parametrize(
    ("method", "url", "more"),
    [
        ("POST", "Patient", {"ifMatch": 'W/"1"'}),
        ("PUT", "Patient/x", {"ifNoneExist": "identifier=1"}),
        ("PATCH", "Patient/x", {"ifNoneMatch": "*"}),
        ("DELETE", "Patient/x", {"ifNoneMatch": "*"}),
        ("GET", "Patient/x", {"ifMatch": 'W/"1"'}),
    ],
)
async def test_a_condition_that_a_method_does_not_know_refuses_the_transaction(
    server: Server, method: str, url: str, more: dict[str, str]
) -> None:
    content = a_patient(id="x") if method in ("POST", "PUT") else None
    async with server.as_() as client:
        refused = await client.post("", json=bundle("transaction", request(method, url, content, **more)))
    assert refused.status_code == 400, refused.text
    assert issues_of(refused)[0]["expression"] == [f"Bundle.entry[0].request.{next(iter(more))}"]
