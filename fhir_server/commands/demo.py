"""
What `serve --demo` does once the server is up: some synthetic patients, and a line to paste.

It comes in through the front door, with a token like anybody else's.
"""

from __future__ import annotations

import ssl
import sys
from datetime import date
from typing import Final

import httpx

from fhir_server.commands.token import issue
from fhir_server.population import population
from fhir_server.r4.resource import to_text
from fhir_server.settings import Settings
from fhir_server.smart.tokens import Grant
from fhir_server.supervisor.plan import Serving

PATIENTS: Final = 12
SEED: Final = 2026
AS_OF: Final = date(2026, 6, 30)
TOKEN_SECONDS: Final = 12 * 3600
ANSWER_SECONDS_MAX: Final = 120.0


class Demo:
    """Called when all workers serve."""

    def __init__(self, told: Settings) -> None:
        self._settings = told

    async def __call__(self, serving: Serving) -> None:
        base_url = self._settings.served_at(serving.port)
        told = self._settings.model_copy(update={"mongodb_url": serving.mongodb_url})
        loading = await issue(told, _grant("demo-loader", 600), base_url)
        token = await issue(told, _grant("demo", TOKEN_SECONDS), base_url)
        local = self._settings.local_address(serving.port)
        async with httpx.AsyncClient(
            base_url=local, timeout=ANSWER_SECONDS_MAX, trust_env=False, verify=_trusting(self._settings)
        ) as client:
            client.headers["Authorization"] = f"Bearer {loading}"
            patients = await _count(client)
            if patients == 0:
                await _load(client)
                patients = await _count(client)
        _show(local, token, patients, serving.mllp_port)


def _trusting(told: Settings) -> ssl.SSLContext | bool:
    """Our own certificate, whatever name it is for: we call ourselves by an address."""
    if told.tls_cert is None:
        return True
    context = ssl.create_default_context(cafile=told.tls_cert)
    context.check_hostname = False
    return context


async def _count(client: httpx.AsyncClient) -> int:
    answer = await client.get("/Patient", params={"_summary": "count"})
    answer.raise_for_status()
    return int(answer.json()["total"])


async def _load(client: httpx.AsyncClient) -> None:
    for bundle in population(SEED, PATIENTS, AS_OF):
        headers = {"Content-Type": "application/fhir+json"}
        answer = await client.post("/", content=to_text(bundle), headers=headers)
        answer.raise_for_status()


def _show(base_url: str, token: str, patients: int, mllp_port: int | None) -> None:
    lines = [f"FHIR R4 at {base_url} with {patients} patients."]
    if mllp_port is not None:
        lines.append(f"HL7 v2 over MLLP at 127.0.0.1:{mllp_port}.")
    lines += [
        "Try it (the token holds for 12 hours):",
        "",
        f"  curl -H 'Authorization: Bearer {token}' '{base_url}/Patient?_count=2'",
        "",
        "Ctrl-C stops all of it.",
    ]
    sys.stdout.write("\n".join(["", *lines, ""]))
    sys.stdout.flush()


def _grant(client: str, seconds: int) -> Grant:
    return Grant(client=client, scope="system/*.cruds", lifetime_seconds=seconds)
