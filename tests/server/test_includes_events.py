"""`_revinclude` of AuditEvents, over HTTP: https://hl7.org/fhir/R4/search.html#revinclude"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient, an_observation, serving
from tests.server.test_includes_beyond import keys_in, walked
from tests.server.ward import keys_of, put_all, to

ABOUT = "_revinclude=AuditEvent:entity"


async def events(client: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return [
        entry["resource"]
        for entry in answer.json().get("entry", ())
        if entry["search"]["mode"] == "include" and entry["resource"]["resourceType"] == "AuditEvent"
    ]


async def _stored(client: httpx.AsyncClient) -> None:
    await put_all(client, [a_patient(id="p"), a_patient(id="q")])
    await put_all(client, [an_observation("p", id="o"), an_observation("q", id="other")])
    await client.get("/Observation/o")


async def test_what_was_recorded_of_a_match_is_included(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        searched = await client.get("/AuditEvent?entity=Observation/o")
        found = await events(client, f"/Observation?_id=o&{ABOUT}")
        assert {one["id"] for one in found} == {key.partition("/")[2] for key in keys_of(searched, "match")}
        assert {one["action"] for one in found} >= {"U", "R"}
        both = await events(client, f"/Patient?{ABOUT}&_revinclude=AuditEvent:patient")
        assert len(both) > len(found)
        assert len({one["id"] for one in both}) == len(both)


async def test_a_wildcard_leaves_records_out(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        assert await events(client, "/Observation?_revinclude=*") == []
        assert len(await events(client, "/Observation?_id=o&_revinclude=AuditEvent:*")) >= 2


async def test_records_are_followed_on(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        answer = await client.get(f"/Observation?_id=o&{ABOUT}&_include:iterate=AuditEvent:patient")
        assert "Patient/p" in keys_of(answer, "include")


async def test_they_take_the_scope_of_audit_events(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
    async with server.as_("system/Observation.rs") as client:
        assert await events(client, f"/Observation?{ABOUT}") == []


async def test_a_patient_sees_what_is_about_them_without_its_query(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        await client.get("/Observation?subject=Patient/p,Patient/q")
    async with server.as_("patient/*.rs", patient="p") as client:
        found = await events(client, f"/Patient?{ABOUT}&_revinclude=AuditEvent:patient")
        assert found
        assert not [entity for one in found for entity in one["entity"] if "query" in entity]
        assert "Patient/q" not in str(found)


async def test_records_of_whom_consent_hides_do_not_come(server: Server) -> None:
    organization = {"resourceType": "Organization", "id": "all", "name": "x"}
    async with server.as_() as client:
        await put_all(client, [organization])
        for id in ("p", "q"):
            await put_all(client, [a_patient(id=id, managingOrganization=to("Organization/all"))])
    async with server.as_("user/*.rs", user="Practitioner/7", purpose="TREAT") as doctor:
        address = "/Patient?_revinclude=AuditEvent:entity"
        assert "Patient/p" in str(await events(doctor, address))
        async with server.as_() as client:
            await put_all(client, [a_consent("p", "deny", {"type": "deny"})])
        found = await events(doctor, address)
        assert "Patient/q" in str(found)
        assert "Patient/p" not in str(found)


async def test_more_records_than_a_page_may_have_come_in_parts(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=5) as server,
        server.as_() as client,
    ):
        await _stored(client)
        await put_all(client, [an_observation("p", id="child", derivedFrom=[to("Observation/o")])])
        for _ in range(9):
            await client.get("/Observation/o")
        searched = keys_of(await client.get("/AuditEvent?entity=Observation/o&_count=100"), "match")
        pages = await walked(client, f"/Observation?_id=o&{ABOUT}")
        assert len(pages) > 2
        once = [key for page in pages for key in keys_in(page, "include")]
        assert len(set(once)) == len(once)
        for more in ("", "&_revinclude=Observation:derived-from"):
            pages = await walked(client, f"/Observation?code:missing=false&{ABOUT}{more}")
            matches = [key for page in pages for key in keys_in(page, "match")]
            included = [key for page in pages for key in keys_in(page, "include")]
            assert sorted(matches) == ["Observation/child", "Observation/o", "Observation/other"]
            assert all(len(keys_in(page, "include")) <= 5 for page in pages)
            assert set(searched) <= set(included)
            assert ("Observation/child" in included) is bool(more)
