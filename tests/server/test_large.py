"""Resources beyond what one document of the database holds, over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.server.running import Server, a_patient, issues_of, serving

MEMBERS = 12_000
JSON = {"Content-Type": "application/fhir+json"}


@pytest_asyncio.fixture(loop_scope="session")
async def small(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that takes one megabyte."""
    async with serving(mongodb_url, database_name, tmp_path, resource_bytes_max=1 << 20) as running:
        yield running


def a_group(*members: str) -> dict[str, Any]:
    return {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in members],
    }


def ids(bundle: httpx.Response) -> list[str]:
    assert bundle.status_code == 200, bundle.text[:500]
    return [entry["resource"]["id"] for entry in bundle.json().get("entry", [])]


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    address = f"/{resource['resourceType']}/{resource['id']}"
    return await client.put(address, content=json.dumps(resource), headers=JSON)


async def test_a_large_group_is_found_by_each_member_and_counted_once(server: Server) -> None:
    members = [f"p{n}" for n in range(MEMBERS)]
    async with server.as_() as client:
        made = await put(client, a_group(*members))
        assert made.status_code == 201
        await put(client, {**a_group("p7"), "id": "other"})
        assert (await client.get("/Group/g")).json() == made.json()
        for asked, found in (
            ("member=Patient/p7", ["g", "other"]),
            (f"member=Patient/p{MEMBERS - 1}", ["g"]),
            (f"member=Patient/p{MEMBERS - 1},Patient/nobody", ["g"]),
            (f"member=Patient/p{MEMBERS - 1}&type=animal", []),
            ("member=Patient/nobody", []),
            ("member:missing=false", ["g", "other"]),
            ("member=Patient/p7&_sort=member", ["g", "other"]),
            ("member=Patient/p7&_sort=-_lastUpdated", ["other", "g"]),
        ):
            page = await client.get(f"/Group?{asked}&_total=accurate&_elements=type")
            assert ids(page) == found, asked
            assert page.json()["total"] == len(found), asked
        await put(client, a_group(*members[:-1]))
        gone = await client.get(f"/Group?member=Patient/p{MEMBERS - 1}&_total=accurate&_elements=type")
        assert (ids(gone), gone.json()["total"]) == ([], 0)
        assert ids(await client.get("/Group?member=Patient/p9000&_elements=type")) == ["g"]
        assert (await client.get("/Group/g/_history/1")).json() == made.json()
        assert (await client.delete("/Group/g")).status_code == 204
        assert ids(await client.get("/Group?member=Patient/p9000")) == []


async def test_a_large_group_is_shown_to_each_member_as_far_as_that_member(server: Server) -> None:
    member, stranger = f"p{MEMBERS - 1}", "p-stranger"
    async with server.as_() as client:
        for id in (member, stranger):
            await put(client, a_patient(id=id))
        await put(client, a_group(*(f"p{n}" for n in range(MEMBERS))))
    async with server.as_("patient/*.rs", patient=member) as client:
        shown = (await client.get("/Group/g")).json()
        assert [each["entity"]["reference"] for each in shown["member"]] == [f"Patient/{member}"]
        assert ids(await client.get("/Group")) == ["g"]
        assert ids(await client.get("/Group/_history")) == ["g"]
        assert ids(await client.get("/Group?member=Patient/p7")) == []
    async with server.as_("patient/*.rs", patient=stranger) as client:
        assert (await client.get("/Group/g")).status_code == 404
        assert ids(await client.get("/Group")) == []
        assert ids(await client.get("/Group/_history")) == []


async def test_one_member_who_denies_hides_a_large_group_everywhere(server: Server) -> None:
    consent = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "59284-0"}]}],
        "patient": {"reference": f"Patient/p{MEMBERS - 1}"},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
        "provision": {"type": "deny"},
    }
    async with server.as_() as client:
        await put(client, a_group(*(f"p{n}" for n in range(MEMBERS))))
        await put(client, {**a_group("p1"), "id": "other"})
        assert (await client.post("/Consent", json=consent)).status_code == 201
    async with server.as_("user/*.rs", user="Practitioner/1") as client:
        assert (await client.get("/Group/g")).status_code == 404
        assert (await client.get("/Group/g/_history/1")).status_code == 404
        page = await client.get("/Group?_total=accurate")
        assert (ids(page), page.json()["total"]) == (["other"], 1)
        assert ids(await client.get("/Group?member=Patient/p1&_elements=type")) == ["other"]
        assert ids(await client.get("/Group/_history")) == ["other"]


async def test_a_record_of_very_many_patients_is_found_by_each(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_group(*(f"p{n}" for n in range(MEMBERS))))
        created = [record for record in await server.records() if record.interaction == "update"]
        assert len(created) == 3
        assert {id for record in created for id in record.patients} == {f"p{n}" for n in range(MEMBERS)}
        for id in ("p0", "p6000", f"p{MEMBERS - 1}"):
            found = await client.get(f"/AuditEvent?patient=Patient/{id}")
            assert len(ids(found)) == 1


async def test_too_many_members_are_refused_with_the_number(server: Server) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [{"value": f"{n}"} for n in range(10_001)],
    }
    async with server.as_() as client:
        refused = await put(client, patient)
        assert refused.status_code == 413
        assert "the limit is 20000" in issues_of(refused)[0]["diagnostics"]
        assert (await client.get("/Patient/p")).status_code == 404


async def test_a_document_with_a_large_attachment_comes_back_whole(server: Server) -> None:
    document = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "content": [{"attachment": {"contentType": "application/pdf", "data": "QUFB" * (5 << 20)}}],
    }
    async with server.as_() as client:
        made = await put(client, document)
        assert made.status_code == 201
        assert len(made.content) > 20 << 20
        assert (await client.get("/DocumentReference/d")).content == made.content
        page = await client.get("/DocumentReference?status=current")
        assert page.json()["entry"][0]["resource"] == made.json()


async def test_what_is_larger_than_the_limit_is_refused_by_its_bytes(small: Server) -> None:
    async with small.as_() as client:
        content = b"x" * (1 << 20)
        refused = await client.post("/Binary", content=content, headers={"Content-Type": "text/plain"})
        assert refused.status_code == 413
        assert "the limit is 1048576" in issues_of(refused)[0]["diagnostics"]
        encoded = await client.post("/Binary", content=content[: 3 << 18], headers={"Content-Type": "a/b"})
        assert encoded.status_code == 413
        fits = await client.post("/Binary", content=content[: 3 << 17], headers={"Content-Type": "a/b"})
        assert fits.status_code == 201


async def test_others_are_answered_while_large_content_comes_and_goes(server: Server) -> None:
    content = os.urandom(12 << 20)
    waits: list[float] = []
    async with server.as_() as client:
        await put(client, a_patient(id="p"))

        async def ask_for_ever() -> None:
            while True:
                started = time.perf_counter()
                assert (await client.get("/Patient/p")).status_code == 200
                waits.append(time.perf_counter() - started)

        asking = asyncio.create_task(ask_for_ever())
        await client.put("/Binary/b", content=content, headers={"Content-Type": "application/pdf"})
        read = await client.get("/Binary/b")
        part = await client.get("/Binary/b", headers={"Range": "bytes=10000000-10000099"})
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert read.content == content
    assert part.content == content[10_000_000:10_000_100]
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.25
