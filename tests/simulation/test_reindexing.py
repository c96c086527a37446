"""A search parameter is built while others write and workers are killed; then nothing is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.server.declaring import a_parameter
from tests.simulation.server import Serving, Victim

PATIENTS: Final = 2_000
IN_BUNDLE: Final = 500
WRITERS: Final = 4
KILLS: Final = 3
BUILT_SECONDS_MAX: Final = 120.0
BETWEEN_KILLS_SECONDS: Final = 1.5

MARRIAGE: Final = a_parameter("marriage", "token", "Patient.maritalStatus")


@pytest_asyncio.fixture(loop_scope="session")
async def serving(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """Slow enough at it that a kill falls into the middle."""
    monkeypatch.setenv("FHIR_SERVER_REINDEX_SHARE", "0.1")
    one = Serving(short_folder)
    try:
        await one.start()
        yield one
        await one.stop()
    finally:
        await one.end()


def _married(random: Random) -> dict[str, Any]:
    code = random.choice("MSDW")
    return {"resourceType": "Patient", "maritalStatus": {"coding": [{"code": code}]}}


async def _load(client: httpx.AsyncClient, random: Random) -> None:
    for start in range(0, PATIENTS, IN_BUNDLE):
        entries = [
            {
                "resource": {**_married(random), "id": f"p{number}"},
                "request": {"method": "PUT", "url": f"Patient/p{number}"},
            }
            for number in range(start, start + IN_BUNDLE)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        response = await client.post("", json=bundle)
        assert response.status_code == 200, response.text[:300]


async def _write(client: httpx.AsyncClient, random: Random, done: asyncio.Event) -> int:
    """Creates, updates and deletes; who is cut off goes on. How many were acknowledged."""
    acknowledged = 0
    while not done.is_set():
        id = f"p{random.randrange(PATIENTS)}"
        with suppress(httpx.TransportError):
            match random.randrange(4):
                case 0:
                    response = await client.post("Patient", json=_married(random))
                case 1:
                    response = await client.delete(f"Patient/{id}")
                case _:
                    response = await client.put(f"Patient/{id}", json={**_married(random), "id": id})
            acknowledged += response.status_code in (200, 201, 204)
    return acknowledged


async def _answers(client: httpx.AsyncClient) -> bool:
    """A search by it is answered. Until then it is refused, whoever is asked."""
    try:
        response = await client.get("Patient?marriage=M&_count=0")
    except httpx.TransportError:
        return False
    assert response.status_code in (200, 503), response.text
    return response.status_code == 200


async def _built(client: httpx.AsyncClient) -> None:
    while True:
        if await _answers(client):
            return
        await asyncio.sleep(0.2)


async def _all(client: httpx.AsyncClient, question: str) -> dict[str, str]:
    """The marital status of each Patient that is found, by id."""
    found: dict[str, str] = {}
    url: str | None = question
    while url is not None:
        page = (await client.get(url)).json()
        for entry in page.get("entry", ()):
            resource = entry["resource"]
            found[resource["id"]] = resource["maritalStatus"]["coding"][0]["code"]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    return found


async def test_no_resource_is_missing_when_it_answers_whoever_wrote_and_died(serving: Serving) -> None:
    random = Random(5)
    token = await serving.token()
    async with serving.client(token) as client:
        await _load(client, random)
        done = asyncio.Event()
        writers = [asyncio.create_task(_write(client, Random(number), done)) for number in range(WRITERS)]
        response = await client.post("SearchParameter", json=MARRIAGE)
        assert response.status_code == 201, response.text
        answered_early = False
        for _ in range(KILLS):
            await asyncio.sleep(BETWEEN_KILLS_SECONDS)
            answered_early = answered_early or await _answers(client)
            await serving.kill(Victim.WORKER, random)
        async with asyncio.timeout(BUILT_SECONDS_MAX):
            await _built(client)
        at_once = await _all(client, "Patient?marriage=M&_count=1000")
        done.set()
        acknowledged = await asyncio.gather(*writers)
        everybody = await _all(client, "Patient?_count=1000")
        for code in "MSDW":
            found = await _all(client, f"Patient?marriage={code}&_count=1000")
            assert found == {id: status for id, status in everybody.items() if status == code}
        assert set(at_once.values()) == {"M"}
    assert not answered_early, "the kills came too late to be of use"
    assert min(acknowledged) > 0
    began = [event for event in serving.events() if event["event"] == "reindex_began"]
    assert any(event["count"] > 0 for event in began), "somebody went on where another one was killed"
