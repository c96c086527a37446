"""Search parameters of one's own in tests: declared, waited for, asked by."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.server.running import issues_of

SECONDS_MAX = 30.0


def a_parameter(code: str, type: str, expression: str, *bases: str, **stated: Any) -> dict[str, Any]:
    """A SearchParameter that is active, of Patients if nothing else is said."""
    return {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/fhir/SearchParameter/{code}",
        "name": "Ours",
        "status": "active",
        "description": "One of our own",
        "code": code,
        "base": list(bases) or ["Patient"],
        "type": type,
        "expression": expression,
        **stated,
    }


async def declare(client: httpx.AsyncClient, parameter: dict[str, Any]) -> str:
    """Its id, as soon as it is declared."""
    response = await client.post("SearchParameter", json=parameter)
    assert response.status_code == 201, response.text
    id: str = response.json()["id"]
    return id


async def declared(client: httpx.AsyncClient, parameter: dict[str, Any]) -> str:
    """Its id, when it answers."""
    id = await declare(client, parameter)
    await complete(client, parameter)
    return id


async def complete(client: httpx.AsyncClient, parameter: dict[str, Any]) -> None:
    """Returns when a search by it is answered; until then it is refused with the reason."""
    question = f"{parameter['base'][0]}?{parameter['code']}:missing=false&_count=0"
    if parameter["type"] == "composite":
        question = f"{parameter['base'][0]}?{parameter['code']}=a$b&_count=0"
    async with asyncio.timeout(SECONDS_MAX):
        while (response := await client.get(question)).status_code != 200:
            assert response.status_code == 503, response.text
            assert "is being indexed" in issues_of(response)[0]["diagnostics"]
            await asyncio.sleep(0.05)


async def ids(client: httpx.AsyncClient, question: str) -> list[str]:
    """The ids on the first page, in order."""
    response = await client.get(question)
    assert response.status_code == 200, response.text
    return [entry["resource"]["id"] for entry in response.json().get("entry", ())]


async def put(client: httpx.AsyncClient, resource: dict[str, Any], id: str) -> None:
    response = await client.put(f"{resource['resourceType']}/{id}", json={**resource, "id": id})
    assert response.status_code in (200, 201), response.text


async def status(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    """What $reindex-status tells of a SearchParameter, by name; passes aside."""
    response = await client.get(f"SearchParameter/{id}/$reindex-status")
    assert response.status_code == 200, response.text
    told = response.json()["parameter"]
    return {
        one["name"]: next(value for name, value in one.items() if name != "name")
        for one in told
        if one["name"] != "pass"
    }


async def ended(client: httpx.AsyncClient) -> None:
    """Returns when all passes that were asked for have ended."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            told = (await client.get("$reindex-status")).json()["parameter"]
            if told[0]["valueCode"] == "ended":
                return
            await asyncio.sleep(0.05)
