"""
Conditional writes of many clients on two workers at once: one creates, the others find it.

https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.server.running import a_patient, an_observation
from tests.simulation.raced import Raced

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

CLIENTS: Final = 200
SYSTEM: Final = "http://races.example/mrn"


def identified(value: str, **stated: Any) -> dict[str, Any]:
    return a_patient(identifier=[{"system": SYSTEM, "value": value}], **stated)


async def _stored(client: httpx.AsyncClient, value: str) -> list[dict[str, Any]]:
    page = (await client.get("/Patient", params={"identifier": f"{SYSTEM}|{value}"})).json()
    return [entry["resource"] for entry in page.get("entry", ())]


async def test_of_many_conditional_creates_one_creates(raced: Raced) -> None:
    async def create(client: httpx.AsyncClient) -> httpx.Response:
        sought = {"If-None-Exist": f"identifier={SYSTEM}|created"}
        return await client.post("/Patient", json=identified("created"), headers=sought)

    async with raced.clients(CLIENTS) as clients:
        answers = await asyncio.gather(*map(create, clients))
        [stored] = await _stored(clients[0], "created")
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: CLIENTS - 1}
    assert {answer.json()["id"] for answer in answers} == {stored["id"]}
    assert raced.workers_at_work("create") == {"worker-0", "worker-1"}


async def test_of_many_conditional_updates_one_creates_and_all_are_kept(raced: Raced) -> None:
    async def update(number: int, client: httpx.AsyncClient) -> httpx.Response:
        changed = identified("updated", name=[{"text": f"{number}"}])
        return await client.put(f"/Patient?identifier={SYSTEM}|updated", json=changed)

    async with raced.clients(CLIENTS) as clients:
        answers = await asyncio.gather(*(update(*item) for item in enumerate(clients)))
        [stored] = await _stored(clients[0], "updated")
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: CLIENTS - 1}
    versions = sorted(int(answer.json()["meta"]["versionId"]) for answer in answers)
    assert versions == list(range(1, CLIENTS + 1))
    assert stored["meta"]["versionId"] == str(CLIENTS)


async def test_of_many_transactions_with_one_condition_one_creates(raced: Raced) -> None:
    """Two entries of each look for the same; a third refers to what is found or made."""
    url = "urn:uuid:00000000-0000-4000-8000-00000000000a"
    request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|together"}
    patient = {"resource": identified("together"), "request": request}
    about = {**an_observation("x"), "subject": {"reference": url}}
    entries = [
        {**patient, "fullUrl": url},
        patient,
        {"resource": about, "request": {"method": "POST", "url": "Observation"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    async def submit(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("", json=bundle)

    async with raced.clients(CLIENTS) as clients:
        answers = await asyncio.gather(*map(submit, clients))
        [stored] = await _stored(clients[0], "together")
        count = await clients[0].get(f"/Observation?subject=Patient/{stored['id']}&_summary=count")
    assert {answer.status_code for answer in answers} == {httpx.codes.OK}
    told = Counter(answer.json()["entry"][0]["response"]["status"][:3] for answer in answers)
    assert told == {"201": 1, "200": CLIENTS - 1}
    assert count.json()["total"] == CLIENTS
    assert raced.workers_at_work("transaction") == {"worker-0", "worker-1"}
