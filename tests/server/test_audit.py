"""Every access leaves an AuditEvent: https://hl7.org/fhir/R4/auditevent.html"""

from __future__ import annotations

from typing import Any

import httpx

from audit.chain import first_break, start_of
from tests.server.running import Server, a_patient, an_observation


async def _events(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


async def test_who_saw_what_of_a_patient_is_found(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        await client.put("/Observation/o1", json=an_observation("p1", id="o1"))
        async with server.as_("user/*.rs", user="Practitioner/7", purpose="ETREAT") as doctor:
            await doctor.get("/Observation/o1")
        events = await _events(client, "patient=Patient/p1&_sort=-date")
        assert [event["subtype"][0]["code"] for event in events] == ["read", "update", "update"]
        seen = events[0]
        assert seen["action"] == "R"
        assert seen["purposeOfEvent"][0]["coding"][0]["code"] == "ETREAT"
        users = [agent["who"]["reference"] for agent in seen["agent"] if "reference" in agent["who"]]
        assert users == ["Practitioner/7"]
        what = {
            entity["what"]["reference"] for entity in seen["entity"] if "reference" in entity.get("what", {})
        }
        assert what == {"Patient/p1", "Observation/o1/_history/1"}
        for query in ("agent=Practitioner/7", "entity=Observation/o1&action=R", f"_id={seen['id']}"):
            assert [event["id"] for event in await _events(client, query)] == [seen["id"]]
        again = await client.get(f"/AuditEvent/{seen['id']}")
        assert again.json() == seen
        assert (await client.get(f"/AuditEvent/{seen['id']}/_history/1")).json() == seen


async def test_a_search_over_two_patients_is_an_event_for_each(server: Server) -> None:
    async with server.as_() as client:
        for id in ("p1", "p2"):
            await client.put(f"/Observation/o-{id}", json=an_observation(id, id=f"o-{id}"))
        await client.get("/Observation?code=8867-4", headers={"X-Request-Id": "wide"})
        events = [
            event for event in await _events(client, "subtype=search-type&type=rest") if "wide" in str(event)
        ]
        patients = [
            entity["what"]["reference"]
            for event in events
            for entity in event["entity"]
            if entity.get("role", {}).get("code") == "1"
        ]
        assert sorted(patients) == ["Patient/p1", "Patient/p2"]
        of_one = await _events(client, "subtype=search-type&patient=Patient/p2")
        assert len([event for event in of_one if "wide" in str(event)]) == 1


async def test_refusals_are_events_too(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p2", json=a_patient(id="p2"))
        async with server.as_("patient/*.rs", patient="p1") as other:
            assert (await other.get("/Patient/p2")).status_code == 404
            assert (await other.delete("/Patient/p2")).status_code == 403
        async with server.bearing(None) as nobody:
            assert (await nobody.get("/Patient/p2")).status_code == 401
        refused = await _events(client, "outcome=4&_sort=date")
        descriptions = [event["outcomeDesc"] for event in refused]
        assert [text[:8] for text in descriptions] == ["HTTP 404", "HTTP 403", "HTTP 401"]
        of_patient = await _events(client, "outcome=4&patient=Patient/p2")
        assert [event["subtype"][0]["code"] for event in of_patient] == ["delete", "read"]


async def test_pages_of_the_log_show_each_event_once(server: Server) -> None:
    async with server.as_() as client:
        for number in range(7):
            await client.put(f"/Observation/a{number}", json=an_observation("p1", id=f"a{number}"))
            await client.put(f"/Observation/b{number}", json=an_observation("p2", id=f"b{number}"))
        for _ in range(5):
            await client.get("/Observation")
        wanted = "date=gt2020-01-01&action=E&_total=accurate&_count=3"
        answer = (await client.get(f"/AuditEvent?{wanted}")).json()
        total, seen = answer["total"], []
        while True:
            assert len(answer.get("entry", [])) <= 3
            seen += [entry["resource"]["id"] for entry in answer.get("entry", [])]
            onward = [link["url"] for link in answer["link"] if link["relation"] == "next"]
            if not onward:
                break
            answer = (await client.get(onward[0])).json()
    assert total == 10
    # Turning the pages is itself searched for (action E), newest first: they are not behind the cursor.
    assert len(seen) == len(set(seen)) == 10


async def test_nobody_writes_the_log(server: Server) -> None:
    event = {
        "resourceType": "AuditEvent",
        "type": {"code": "rest"},
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
    }
    async with server.as_() as client:
        await client.get("/Patient/1")
        (known,) = await _events(client, "action=R")
        assert (await client.post("/AuditEvent", json=event)).status_code == 405
        put = await client.put(f"/AuditEvent/{known['id']}", json={**event, "id": known["id"]})
        assert put.status_code == 405
        assert (await client.delete(f"/AuditEvent/{known['id']}")).status_code == 405
        entry = {"resource": event, "request": {"method": "POST", "url": "AuditEvent"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        assert (await client.post("/", json=bundle)).status_code == 405


async def test_the_chain_holds_and_counts_every_request(server: Server) -> None:
    async with server.as_() as client:
        for number in range(5):
            await client.put("/Patient/p1", json=a_patient(id="p1", multipleBirthInteger=number))
            await client.get("/Patient/p1")
    store = server.services.store
    counted = 0
    for shard in await store.shards():
        links = [link async for link in store.links(shard)]
        assert first_break(links, start_of(shard)) is None
        counted += len(links)
    assert counted == 10


async def test_a_patient_sees_who_saw_their_own_data_and_nothing_else(server: Server) -> None:
    async with server.as_() as client:
        for id in ("p1", "p2"):
            await client.put(f"/Patient/{id}", json=a_patient(id=id))
    async with server.as_("patient/*.rs", patient="p1") as patient:
        events = await _events(patient, "")
        assert events
        assert all("p2" not in str(event) for event in events)
