"""Histories over HTTP: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.server.running import BASE, Server, a_patient, an_observation


def versions_of(bundle: dict[str, Any]) -> list[str]:
    """`Type/id/version` of each entry, in order."""
    assert bundle["type"] == "history"
    found = []
    for entry in bundle.get("entry", []):
        address = entry["fullUrl"].removeprefix(f"{BASE}/")
        found.append(f"{address}/{entry['response']['etag'][3:-1]}")
    return found


async def test_the_history_of_a_resource_tells_each_version_and_its_request(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p", gender="male"))
        await client.put("/Patient/p", json=a_patient(id="p", gender="female"))
        await client.delete("/Patient/p")
        await client.put("/Patient/p", json=a_patient(id="p"))
        bundle = (await client.get("/Patient/p/_history")).json()
    assert versions_of(bundle) == ["Patient/p/4", "Patient/p/3", "Patient/p/2", "Patient/p/1"]
    assert [entry["request"]["method"] for entry in bundle["entry"]] == ["PUT", "DELETE", "PUT", "PUT"]
    assert ["resource" in entry for entry in bundle["entry"]] == [True, False, True, True]


async def test_histories_of_a_type_and_of_all(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p"))
        await client.put("/Observation/o", json=an_observation("p", id="o"))
        await client.delete("/Observation/o")
        assert versions_of((await client.get("/Observation/_history")).json()) == [
            "Observation/o/2",
            "Observation/o/1",
        ]
        everything = versions_of((await client.get("/_history")).json())
    assert sorted(everything) == ["Observation/o/1", "Observation/o/2", "Patient/p/1"]


async def test_since_and_at_choose_by_time(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p", gender="male"))
        await asyncio.sleep(0.02)
        between = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await asyncio.sleep(0.02)
        await client.put("/Patient/p", json=a_patient(id="p", gender="female"))
        since = await client.get(f"/Patient/_history?_since={between}")
        assert versions_of(since.json()) == ["Patient/p/2"]
        at = await client.get(f"/Patient/p/_history?_at={between}")
        assert versions_of(at.json()) == ["Patient/p/1"]
        assert (await client.get("/Patient/p/_history?_since=nonsense")).status_code == 400
        assert (await client.get("/Patient/p/_history?colour=blue")).status_code == 400


async def test_pages_of_a_history_show_each_version_once(server: Server) -> None:
    async with server.as_() as client:
        for number in range(7):
            await client.put("/Patient/p", json=a_patient(id="p", multipleBirthInteger=number))
        bundle = (await client.get("/Patient/p/_history?_count=3")).json()
        seen = versions_of(bundle)
        while onward := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
            bundle = (await client.get(onward[0])).json()
            seen += versions_of(bundle)
    assert seen == [f"Patient/p/{number}" for number in range(7, 0, -1)]


async def test_a_history_shows_what_the_caller_may_see(server: Server) -> None:
    async with server.as_() as client:
        for id in ("a", "b"):
            await client.put(f"/Observation/o{id}", json=an_observation(id, id=f"o{id}"))
            await client.delete(f"/Observation/o{id}")
    async with server.as_("patient/*.rs", patient="a") as client:
        assert versions_of((await client.get("/Observation/_history")).json()) == [
            "Observation/oa/2",
            "Observation/oa/1",
        ]
        assert (await client.get("/Observation/ob/_history")).status_code == 404
        assert (await client.get("/Observation/never/_history")).status_code == 404
