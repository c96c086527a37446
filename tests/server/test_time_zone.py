"""
Dates that state no zone are in the zone of the server, wherever one is read.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.store.database import Unsuitable
from fhir_server.store.time_zone import require_time_zone
from tests.server.running import Server, a_patient, an_observation, serving
from tests.server.test_gate import a_consent
from tests.server.test_search import ids_of

NEW_YORK = "America/New_York"


@pytest_asyncio.fixture(loop_scope="session")
async def server(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Server]:
    told: dict[str, Any] = {"time_zone": NEW_YORK, "bundle_inline_bytes_max": 1_000}
    async with serving(mongodb_url, database_name, tmp_path, **told) as running:
        yield running


OBSERVATIONS: dict[str, dict[str, Any]] = {
    "day": {"effectiveDateTime": "2024-03-10"},
    "month": {"effectiveDateTime": "2024-03"},
    "late": {"effectiveDateTime": "2024-03-11T03:30:00Z"},
    "next": {"effectiveDateTime": "2024-03-11T04:00:00Z"},
    "period": {"effectivePeriod": {"start": "2024-03-11", "end": "2024-03-12"}},
    "timing": {"effectiveTiming": {"event": ["2024-03-10"]}},
}


async def _stored(server: Server) -> None:
    """In one Bundle, so large that another process prepares it."""
    resources = [
        a_patient(id="a", birthDate="2024-03-10"),
        *(an_observation("a", id=id, **stated) for id, stated in OBSERVATIONS.items()),
    ]
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in resources
    ]
    async with server.as_() as client:
        answer = await client.post(
            "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?date=2024-03-10", ["day", "late", "timing"]),
        ("Observation?date=2024-03-11", ["next"]),
        ("Observation?date=ge2024-03-11", ["month", "next", "period"]),
        ("Observation?date=lt2024-03-10", ["month"]),
        ("Observation?date=sa2024-03-10", ["next", "period"]),
        ("Observation?date=2024-03", ["day", "late", "month", "next", "period", "timing"]),
        # The day begins at 5:00 and ends, an hour shorter, at 4:00.
        ("Observation?date=ge2024-03-11T04:00:00Z", ["month", "next", "period"]),
        ("Observation?date=sa2024-03-10T04:59:59Z", ["day", "late", "next", "period", "timing"]),
        ("Observation?date=sa2024-03-10T05:00:00Z", ["late", "next", "period"]),
        ("Observation?date=2024-03-10T23:30", ["late"]),
        ("Observation?date=2024-03-10T23:30:00-04:00", ["late"]),
        ("Observation?date=2024-03-10T23:30:00", ["late"]),
        ("Patient?birthdate=2024-03-10", ["a"]),
        ("Patient?birthdate=2024-03-09,2024-03-11", []),
        ("Patient?birthdate=gt2024-03-10", []),
        ("Patient?_has:Observation:patient:date=2024-03-11", ["a"]),
        ("Patient?_has:Observation:patient:date=2024-03-13", []),
    ],
)
async def test_a_date_is_a_day_of_the_zone(server: Server, query: str, expected: list[str]) -> None:
    await _stored(server)
    async with server.as_() as client:
        assert sorted(ids_of(await client.get(f"/{query}"))) == expected


async def test_criteria_and_updates_are_of_the_zone(server: Server) -> None:
    await _stored(server)
    async with server.as_() as client:
        one = {"If-None-Exist": "patient=Patient/a&date=2024-03-11"}
        assert (await client.post("/Observation", json=an_observation("a"), headers=one)).status_code == 200
        moved = an_observation("a", id="next", effectiveDateTime="2024-03-12")
        await client.put("/Observation/next", json=moved)
        assert ids_of(await client.get("/Observation?date=sa2024-03-12T03:59:59Z")) == ["next"]
        assert ids_of(await client.get("/Observation?date=sa2024-03-12T04:00:00Z")) == []


async def test_a_consent_ends_with_the_day_of_the_zone(server: Server) -> None:
    await _stored(server)
    today = server.services.clock().astimezone(server.services.zone).date().isoformat()
    consent = a_consent("a", "deny", period={"start": today, "end": today})
    async with server.as_() as client:
        assert (await client.put(f"/Consent/{consent['id']}", json=consent)).status_code == 201
    # Wherever the day has begun already or is over: it is this one in New York.
    async with server.as_("user/*.rs", user="Practitioner/7") as client:
        assert (await client.get("/Patient/a")).status_code == 404


async def test_a_database_keeps_its_zone(
    server: Server, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    with pytest.raises(Unsuitable, match=f"in the time zone {NEW_YORK}; the setting time_zone is UTC"):
        await require_time_zone(server.services.store.state, "UTC")
    async with serving(mongodb_url, database_name, tmp_path, time_zone=NEW_YORK) as again:
        assert again.services.settings.time_zone == NEW_YORK
