"""A revoked token is refused by each process from the next request on: RFC 7009, [F4]."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from fhir_server.smart.revocations import of_client, of_token
from tests.server.running import Server, a_patient, issues_of, serving

LONGEST = timedelta(days=30)

REQUESTS: dict[str, Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]] = {
    "read": lambda http: http.get("/Patient/ann"),
    "vread": lambda http: http.get("/Patient/ann/_history/1"),
    "history": lambda http: http.get("/Patient/ann/_history"),
    "search": lambda http: http.get("/Patient"),
    "search of events": lambda http: http.get("/AuditEvent"),
    "create": lambda http: http.post("/Patient", json=a_patient()),
    "update": lambda http: http.put("/Patient/ann", json=a_patient(id="ann", active=True)),
    "delete": lambda http: http.delete("/Patient/ann"),
    "conditional create": lambda http: http.post(
        "/Patient", json=a_patient(), headers={"If-None-Exist": "identifier=a"}
    ),
    "patch": lambda http: http.patch(
        "/Patient/ann",
        content=b'[{"op": "add", "path": "/active", "value": true}]',
        headers={"Content-Type": "application/json-patch+json"},
    ),
    "transaction": lambda http: http.post(
        "/",
        json={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": a_patient(), "request": {"method": "POST", "url": "Patient"}}],
        },
    ),
    "$meta": lambda http: http.get("/Patient/ann/$meta"),
}


@pytest_asyncio.fixture(loop_scope="session")
async def two(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """Two processes' worth of one server: what the one revokes, the other has to hear of."""
    async with (
        serving(mongodb_url, database_name, tmp_path) as one,
        serving(mongodb_url, database_name, tmp_path) as other,
    ):
        async with one.as_() as http:
            await http.put("/Patient/ann", json=a_patient(id="ann"))
        yield one, other


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_revoked_token_is_refused_on_each_path_by_another_process(
    two: tuple[Server, Server], name: str
) -> None:
    one, other = two
    token = one.token()
    [token_id] = [other.services.tokens.verify(token, now=_now()).token_id]
    async with other.bearing(token) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        now = datetime.now(UTC)
        await one.services.store.revocations.add(of_token(token_id, now, now + LONGEST))
        answer = await REQUESTS[name](http)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert issues_of(answer)[0]["diagnostics"] == "The access token has been revoked"
    async with other.as_() as http:
        assert (await http.get("/Patient")).json()["entry"][0]["resource"]["meta"]["versionId"] == "1"
        assert len((await http.get("/Patient")).json()["entry"]) == 1


async def test_each_process_hears_of_one_revocation_after_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    now = datetime.now(UTC)
    for _ in range(3):
        token = one.token()
        async with other.bearing(token) as http:
            assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
            token_id = other.services.tokens.verify(token, now=_now()).token_id
            await one.services.store.revocations.add(of_token(token_id, now, now + LONGEST))
            assert (await http.get("/Patient/ann")).status_code == httpx.codes.UNAUTHORIZED


async def test_a_revoked_client_is_out_and_may_come_back(two: tuple[Server, Server]) -> None:
    one, other = two
    before, others = one.token(client="lost"), one.token(client="kept")
    now = datetime.now(UTC)
    await one.services.store.revocations.add(of_client("lost", now, now + LONGEST))
    await asyncio.sleep(1.1 - now.microsecond / 1e6)
    after = one.token(client="lost")
    for token, expected in ((before, 401), (others, 200), (after, 200)):
        async with other.bearing(token) as http:
            assert (await http.get("/Patient/ann")).status_code == expected


async def test_a_refusal_is_recorded_with_who_it_was(two: tuple[Server, Server]) -> None:
    one, other = two
    token = one.token(client="lost")
    now = datetime.now(UTC)
    await one.services.store.revocations.add(of_client("lost", now, now + LONGEST))
    async with other.bearing(token) as http:
        await http.get("/Patient/ann")
    last = (await one.records())[-1]
    assert (last.outcome, last.status, last.client) == ("refused", 401, "lost")


async def test_what_is_over_is_forgotten(two: tuple[Server, Server]) -> None:
    one, _ = two
    now = datetime.now(UTC)
    for number in range(3):
        await one.services.store.revocations.add(
            of_token(f"t{number}", now, now + timedelta(seconds=number - 1))
        )
    assert [found.name for found in await one.services.store.revocations.after(0)] == [
        "token/t0",
        "token/t1",
        "token/t2",
    ]
    assert len(await one.services.store.revocations.after(2)) == 1


def _now() -> int:
    return int(datetime.now(UTC).timestamp())
