"""Apps that keep state, and what they keep."""

from __future__ import annotations

from typing import Any

import httpx

from fhir_server.smart.clients import Client
from tests.server.running import BASE, Server, a_patient

SYSTEM = "https://growth.example.org"
CODES = ("prefs", "config", "keys")
PATIENT = f"{BASE}/Patient/ann"
DOCTOR = f"{BASE}/Practitioner/7"


def state(code: str = "prefs", subject: str | None = None, /, **stated: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "resourceType": "Basic",
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "extension": [{"url": f"{SYSTEM}/value", "valueString": '{"colour": "blue"}'}],
    }
    if subject is not None:
        told["subject"] = {"reference": subject}
    return {**told, **stated}


def a_client(server: Server, id: str, *codes: str) -> Client:
    address = f"https://{id}.example.org/"
    scope = "user/Basic.cruds patient/Basic.cruds"
    return Client(id, id, scope, None, None, server.services.clock(), (address,), state_codes=codes)


async def register(server: Server) -> None:
    """`growth` keeps state, `admin` keeps that of all of its users too, `companion` looks at some of it."""
    own = [f"{SYSTEM}|{code}" for code in CODES]
    clients = server.services.store.clients
    assert await clients.register(a_client(server, "growth", *own))
    assert await clients.register(a_client(server, "admin", f"global:{SYSTEM}|config"))
    assert await clients.register(a_client(server, "companion", f"read:{SYSTEM}|keys"))
    assert await clients.register(a_client(server, "other"))


async def with_apps(server: Server) -> Server:
    await register(server)
    async with server.as_() as http:
        assert (await http.put("/Patient/ann", json=a_patient(id="ann"))).status_code == 201
        assert (await http.put("/Patient/bob", json=a_patient(id="bob"))).status_code == 201
    return server


def app(
    server: Server,
    client: str = "growth",
    scope: str = "user/*.cruds",
    user: str | None = "Practitioner/7",
    patient: str | None = None,
) -> httpx.AsyncClient:
    return server.bearing(server.token(scope, client=client, user=user, patient=patient))


async def created(server: Server, resource: dict[str, Any], client: str = "growth") -> dict[str, Any]:
    async with app(server, client) as http:
        answer = await http.post("/Basic", json=resource)
    assert answer.status_code == 201, answer.text
    kept: dict[str, Any] = answer.json()
    return kept


async def found(http: httpx.AsyncClient, query: str = "") -> list[str]:
    answer = await http.get(f"/Basic?_total=accurate&{query}")
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    entries = [entry["resource"]["id"] for entry in bundle.get("entry", ())]
    assert bundle["total"] == len(entries)
    return entries
