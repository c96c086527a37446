"""Searches that are slow, or too much: what the log and the metrics tell of them, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from fhir_server.pipeline import perform, slowness
from tests.server.running import BASE, Server, a_patient, issues_of, serving

Started = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers that were used before keep what they were configured with then: new ones are listened to."""
    monkeypatch.setattr(slowness, "log", structlog.get_logger())
    monkeypatch.setattr(perform, "log", structlog.get_logger())


@pytest_asyncio.fixture(loop_scope="session")
async def started(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Started]:
    """Starts a server with the settings that it is given."""

    def start(**told: Any) -> AbstractAsyncContextManager[Server]:
        return serving(mongodb_url, database_name, tmp_path, **told)

    yield start


async def _metrics(server: Server) -> str:
    transport = httpx.ASGITransport(server.application)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        return (await client.get("http://127.0.0.1/metrics")).text


async def test_a_slow_search_is_logged_by_its_parameters_and_never_by_their_values(started: Started) -> None:
    async with started(slow_search_ms=0) as server, server.as_() as client:
        with capture_logs() as lines:
            answer = await client.get(
                "/Patient?name:exact=Muster&gender=female&_sort=-birthdate,family&_count=7"
                "&_revinclude=Observation:patient",
                headers={"X-Request-Id": "request-1"},
            )
        assert answer.status_code == 200, answer.text
        [line] = [line for line in lines if line["event"] == "slow_search"]
    assert line["duration_ms"] > 0
    assert {name: value for name, value in line.items() if name != "duration_ms"} == {
        "event": "slow_search",
        "log_level": "warning",
        "request_id": "request-1",
        "client": "test",
        "type": "Patient",
        "parameters": ["_count", "_revinclude", "_sort", "gender", "name:exact"],
        "order": ["-birthdate", "family"],
        "count": 7,
        "status": 200,
    }


async def test_a_search_that_is_not_slow_is_not_logged_as_one(started: Started) -> None:
    async with started(slow_search_ms=600_000) as server, server.as_() as client:
        with capture_logs() as lines:
            await client.get("/Patient?name=Muster")
        assert [line["event"] for line in lines] == ["interaction"]


async def test_what_a_lenient_client_writes_in_place_of_a_name_is_not_logged(started: Started) -> None:
    async with started(slow_search_ms=0) as server, server.as_() as client:
        with capture_logs() as lines:
            await client.get("/Patient?Muster=1&gender=male", headers={"Prefer": "handling=lenient"})
            await client.get("/Patient?Muster=1")
    assert [line["parameters"] for line in lines if line["event"] == "slow_search"] == [["gender"]]


async def test_slow_searches_are_counted_by_type(started: Started) -> None:
    async with started(slow_search_ms=0) as server, server.as_() as client:
        await client.get("/Patient?name=Muster")
        await client.get("/?_type=Patient,Observation&_lastUpdated=gt2020")
        await client.get("/Patient/1")
        told = await _metrics(server)
    assert 'fhir_slow_searches_total{type="Patient"} 1.0' in told
    assert 'fhir_slow_searches_total{type="*"} 1.0' in told
    assert "fhir_search_seconds_count 2.0" in told


@pytest.mark.parametrize("query", ["name=a,b,c,d", "name=a,b&gender=male,female"])
async def test_more_alternatives_than_the_setting_allows_are_refused(started: Started, query: str) -> None:
    async with started(search_values_max=3) as server, server.as_() as client:
        allowed = await client.get("/Patient?name=a,b&gender=male")
        refused = await client.get(f"/Patient?{query}")
        condition = await client.post(
            "/Patient", json=a_patient(), headers={"If-None-Exist": "identifier=a,b,c,d"}
        )
    assert allowed.status_code == 200
    assert (refused.status_code, condition.status_code) == (403, 403)
    assert issues_of(refused)[0]["code"] == issues_of(condition)[0]["code"] == "too-costly"
    assert "3 values" in issues_of(refused)[0]["diagnostics"]


async def test_a_search_beyond_its_time_is_refused_logged_and_recorded(started: Started) -> None:
    async with started(query_seconds_max=0.001, slow_search_ms=0) as server, server.as_() as client:
        people = [a_patient(id=f"p{number}", name=[{"family": "Muster" * 30}]) for number in range(400)]
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"Patient/{one['id']}"}} for one in people
        ]
        loaded = await client.post(
            "/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
        )
        assert loaded.status_code == 200, loaded.text
        with capture_logs() as lines:
            refused = await client.get("/Patient?name:contains=nobody&_total=accurate")
        [*_, record] = await server.records()
    assert refused.status_code == 403
    assert issues_of(refused)[0]["code"] == "too-costly"
    assert "longer than this server allows" in issues_of(refused)[0]["diagnostics"]
    assert [line["status"] for line in lines if line["event"] == "slow_search"] == [403]
    assert (record.outcome, record.reason) == ("refused", "TooCostly")
