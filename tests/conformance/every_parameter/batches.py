"""
Many writes and many searches over HTTP, in batches: each entry is an interaction of its own.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx

from fhir_server.r4.resource import from_text, to_text

PER_BUNDLE: Final = 250
AT_ONCE: Final = 4
"""Bundles on their way together."""

JSON: Final = {"Content-Type": "application/fhir+json"}


async def put_all(client: httpx.AsyncClient, resources: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Stores each under its own id, anew; when it was stored, by its address."""
    addresses = [f"{one['resourceType']}/{one['id']}" for one in resources]
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": address}}
        for one, address in zip(resources, addresses, strict=True)
    ]
    moments = {}
    for address, entry in zip(addresses, await _answers(client, entries), strict=True):
        assert entry["response"]["status"].startswith("201"), f"{address}: {entry['response']}"
        moments[address] = entry["response"]["lastModified"]
    return moments


async def answered(client: httpx.AsyncClient, queries: Sequence[str]) -> list[frozenset[str] | str]:
    """The ids that each search finds; what was said where it was refused."""
    entries = [{"request": {"method": "GET", "url": f"{query}&_elements=id"}} for query in queries]
    return [_found(entry) for entry in await _answers(client, entries)]


def _found(entry: dict[str, Any]) -> frozenset[str] | str:
    if not entry["response"]["status"].startswith("200"):
        issues: list[dict[str, Any]] = entry["response"]["outcome"]["issue"]
        return f"{entry['response']['status']}: {issues[0].get('diagnostics')}"
    return frozenset(one["resource"]["id"] for one in entry["resource"].get("entry", ()))


async def _answers(client: httpx.AsyncClient, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": some}
        async with gate:
            answer = await client.post("/", content=to_text(bundle), headers=JSON, timeout=None)
        assert answer.status_code == httpx.codes.OK, answer.text[:500]
        found: list[dict[str, Any]] = from_text(answer.content)["entry"]
        return found

    parts = [entries[start : start + PER_BUNDLE] for start in range(0, len(entries), PER_BUNDLE)]
    return [entry for part in await asyncio.gather(*map(send, parts)) for entry in part]
