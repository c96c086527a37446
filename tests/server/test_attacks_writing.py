"""
What is hidden cannot be written, and a write does not tell it from what never was.

https://hl7.org/fhir/R4/security.html#AccessDenied
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.server.hiding import (
    CALLERS,
    CONFINED,
    OTHER,
    PRACTITIONER,
    SECRET,
    SEEN,
    Ask,
    Who,
    a_consent,
    differences,
    hiding,
)
from tests.server.running import BASE, Server, a_patient, an_observation

IF_MATCH = {"If-Match": 'W/"1"'}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file."""
    async with hiding(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


def a_provenance(*targets: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }


def a_binary(context: str) -> dict[str, Any]:
    return {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "data": "aGk=",
        "securityContext": {"reference": context},
    }


def a_group(*patients: str, **stated: Any) -> dict[str, Any]:
    members = [{"entity": {"reference": f"Patient/{id}"}} for id in patients]
    return {"resourceType": "Group", "type": "person", "actual": True, "member": members, **stated}


def an_appointment(*patients: str) -> dict[str, Any]:
    actors = [{"actor": {"reference": f"Patient/{id}"}, "status": "accepted"} for id in patients]
    return {"resourceType": "Appointment", "status": "booked", "participant": actors}


def a_bundle(kind: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    listed = []
    for method, url, resource in entries:
        entry: dict[str, Any] = {"request": {"method": method, "url": url}}
        if resource is not None:
            entry["resource"] = resource
        listed.append(entry)
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


FIRST = ("POST", "Observation", an_observation(SEEN))
WRITES = [
    *(Ask("DELETE", key) for key in ("Observation/o-{}", "Observation/x-{}", "Patient/{}", "Group/g-{}")),
    Ask("DELETE", "Observation/o-{}", headers=IF_MATCH),
    Ask("PUT", "Observation/o-{}", an_observation(SEEN, id="o-{}"), IF_MATCH),
    Ask("PUT", "Observation/o-{}", an_observation(SEEN, id="o-{}"), {"If-Match": 'W/"7"'}),
    Ask("PUT", "Observation/x-{}", an_observation(SEEN, id="x-{}"), {"If-Match": 'W/"2"'}),
    Ask("POST", "Provenance", a_provenance("Observation/o-{}")),
    Ask("POST", "Provenance", a_provenance("Observation/o-p1", "Observation/o-{}/_history/1")),
    Ask("POST", "Provenance", a_provenance(f"{BASE}/Observation/o-{{}}")),
    Ask("POST", "Binary", a_binary("Observation/o-{}")),
    Ask("POST", "Binary", a_binary("Patient/{}")),
    Ask("POST", "Binary", a_binary(f"{BASE}/Patient/{{}}")),
    Ask("POST", "", a_bundle("transaction", ("DELETE", "Observation/o-{}", None), FIRST)),
    Ask("POST", "", a_bundle("transaction", FIRST, ("POST", "Provenance", a_provenance("Observation/o-{}")))),
    Ask("POST", "", a_bundle("batch", *(("GET", f"Observation{rest}", None) for rest in (
        "/o-{}", "/o-{}/_history", "/o-{}/_history/1", "?_id=o-{}")), ("DELETE", "Observation/o-{}", None))),
]  # fmt: skip

OF_CONFINED = [
    Ask("PUT", "Observation/o-{}", an_observation(SEEN, id="o-{}")),
    Ask("PUT", "Observation/x-{}", an_observation(SEEN, id="x-{}")),
    Ask("PUT", "Observation/o-{}", an_observation("{}", id="o-{}")),
    Ask("PUT", "Patient/{}", a_patient(id="{}")),
    Ask("POST", "Observation", an_observation("{}")),
    Ask("POST", "Group", a_group(SEEN, "{}")),
    Ask("POST", "Appointment", an_appointment(SEEN, "{}")),
    Ask("POST", "Consent", a_consent("{}", "x", {"type": "deny"})),
    Ask("POST", "", a_bundle("transaction", ("PUT", "Observation/o-{}", an_observation(SEEN, id="o-{}")))),
    Ask("POST", "", a_bundle("transaction", ("POST", "Observation", an_observation("{}")))),
]  # fmt: skip


async def _state(server: Server) -> list[tuple[str, str]]:
    """All that is stored, version by version."""
    async with server.as_() as client:
        versions = (await client.get("/_history?_count=1000")).json()["entry"]
    return [(entry["fullUrl"], entry["response"]["etag"]) for entry in versions]


@pytest.mark.parametrize("who", CALLERS, ids=lambda who: who.name)
async def test_no_write_tells_what_is_hidden_or_changes_it(server: Server, who: Who) -> None:
    before = await _state(server)
    async with who.client(server) as client:
        found = await differences(client, WRITES + (OF_CONFINED if who in CONFINED else []), who.hidden)
    assert not found, "\n".join(found)
    assert await _state(server) == before


@pytest.mark.parametrize(("method", "status"), [("PUT", 404), ("DELETE", 404), ("GET", 200)])
async def test_who_sees_only_a_part_of_a_group_writes_none_of_it(
    server: Server, method: str, status: int
) -> None:
    """What a patient puts back would lack the members that they were not shown."""
    async with server.as_("patient/*.cruds", patient=SEEN) as client:
        body = a_group(SEEN, id="z-6") if method == "PUT" else None
        assert (await client.request(method, "/Group/z-6", json=body)).status_code == status


async def test_a_related_person_writes_into_no_record_but_the_one_that_was_launched(server: Server) -> None:
    performer = [{"reference": "RelatedPerson/r1"}]
    for context, about, status in ((None, OTHER, 403), (SEEN, OTHER, 403), (SEEN, SEEN, 201)):
        async with server.as_("user/*.cruds", user="RelatedPerson/r1", patient=context) as client:
            written = await client.post("/Observation", json=an_observation(about, performer=performer))
        assert written.status_code == status


async def test_a_system_may_write_before_what_it_writes_about_arrives(server: Server) -> None:
    async with server.as_("system/*.cud") as feed:
        assert (await feed.post("/Provenance", json=a_provenance("Observation/later"))).status_code == 201
    async with server.as_("user/*.cud", user="Practitioner/8") as person:
        assert (await person.post("/Provenance", json=a_provenance("Observation/later"))).status_code == 403


async def test_a_refused_read_does_not_undo_what_a_transaction_wrote(server: Server) -> None:
    reads = [("GET", path, None) for path in ("Observation/o-d0", "Observation/o-d9", "Observation/o-p1")]
    bundle = a_bundle("transaction", ("POST", "Observation", an_observation(SEEN)), *reads)
    async with PRACTITIONER.client(server) as client:
        answer = await client.post("/", json=bundle)
    assert answer.status_code == 200
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["201", "404", "404", "200"]
    assert SECRET not in answer.text


REFUSED = [
    ("DELETE", "Observation/o-d6", None),
    ("PUT", "Observation/o-d6", an_observation(SEEN, id="o-d6")),
    ("GET", "Observation/o-d6", None),
    ("GET", "Observation/o-d6/_history", None),
    ("GET", "Observation/w-6/_history/1", None),
    ("POST", "Observation", an_observation("d6")),
    ("POST", "", a_bundle("transaction", ("DELETE", "Observation/o-d6", None))),
    ("POST", "", a_bundle("transaction", ("POST", "Observation", an_observation("d6")))),
    ("POST", "Provenance", a_provenance("Observation/o-d6")),
]


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
async def test_a_refusal_is_recorded_with_the_patient_it_protected(
    server: Server, method: str, path: str, body: Any
) -> None:
    before = len(await server.records())
    async with server.as_("patient/*.cruds", patient=SEEN) as client:
        answer = await client.request(method, f"/{path}", json=body)
    assert 400 <= answer.status_code < 500
    (record,) = (await server.records())[before:]
    assert record.outcome == "refused"
    assert OTHER in record.patients
