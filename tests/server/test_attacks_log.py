"""
The log of accesses does not tell what the accesses were refused to tell.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.server.hiding import ABSENT, CALLERS, OTHER, SEEN, Ask, Who, hiding
from tests.server.running import Server, an_observation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file."""
    async with hiding(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


PROBES = [
    *(Ask("GET", path) for path in """
        Patient/{} Patient/{}/_history Observation/o-{} Observation/o-{}/_history/1 Observation/x-{}
        Provenance/v-{}
        Observation?subject=Patient/{} Observation?_id=o-{} Patient?_id={} ?_type=Patient&_id={},p1
    """.split()),
    Ask("DELETE", "Observation/o-{}"),
    Ask("PUT", "Observation/o-{}", an_observation(SEEN, id="o-{}"), {"If-Match": 'W/"1"'}),
]  # fmt: skip


@pytest.mark.parametrize("who", CALLERS, ids=lambda who: who.name)
async def test_nobody_finds_in_the_log_what_their_requests_did_not_tell(server: Server, who: Who) -> None:
    """A probe of a hidden id and one of an absent id leave the prober the same events to see."""
    asked = {patient: f"{who.name.replace(' ', '-')}-{patient}" for patient in (who.hidden[0], ABSENT)}
    async with who.client(server) as client:
        for patient, name in asked.items():
            for number, probe in enumerate(PROBES):
                await probe.of(client, patient, f"{name}-{number}".replace("'", ""))
        events = await _events(client)
    told = {
        patient: [event for event in events if name.replace("'", "") in event]
        for patient, name in asked.items()
    }
    assert _nameless(told[who.hidden[0]], who.hidden[0]) == _nameless(told[ABSENT], ABSENT)


async def _events(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/AuditEvent?_count=1000")
    assert answer.status_code == 200
    return [json.dumps(entry["resource"]) for entry in answer.json().get("entry", [])]


def _nameless(events: list[str], patient: str) -> list[str]:
    told = [re.sub(rf"\b{patient}\b", "ID", event) for event in events]
    return sorted(re.sub(r'"(id|recorded|lastUpdated|query)": "[^"]*"', "", event) for event in told)


async def test_a_patient_reads_no_query_that_may_name_others(server: Server) -> None:
    async with server.as_("user/*.rs", user="Practitioner/8") as doctor:
        await doctor.get(
            f"/Observation?subject=Patient/{SEEN},Patient/{OTHER}", headers={"X-Request-Id": "both"}
        )
    async with server.as_("patient/*.rs", patient=SEEN) as patient:
        (event,) = [json.loads(event) for event in await _events(patient) if '"both"' in event]
    assert not [entity for entity in event["entity"] if "query" in entity]
    assert OTHER not in json.dumps(event)
    assert event["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_nobody_reviews_their_own_requests(server: Server) -> None:
    async with server.as_("user/*.rs", user="Practitioner/8") as doctor:
        await doctor.get("/Observation/o-p1", headers={"X-Request-Id": "mine"})
        assert not [event for event in await _events(doctor) if '"mine"' in event]
    async with server.as_("user/*.rs", user="Practitioner/9") as officer:
        assert [event for event in await _events(officer) if '"mine"' in event]
