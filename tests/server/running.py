"""A whole server in this process, on a real mongod, spoken to over HTTP."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import httpx

from audit.chain import record_of
from audit.record import Record
from fhir_server.app import Application
from fhir_server.pipeline.services import Services
from fhir_server.settings import Settings
from fhir_server.smart.tokens import Grant

BASE = "http://fhir.example/fhir"


@dataclass(slots=True)
class Server:
    """What a test speaks to; `as_` gives a client with a token of its own."""

    application: Application
    services: Services
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def token(
        self,
        scope: str = "system/*.cruds",
        *,
        user: str | None = None,
        patient: str | None = None,
        purpose: str | None = None,
        client: str = "test",
    ) -> str:
        now = int(self.services.clock().timestamp())
        grant = Grant(client, scope, 3600, user, patient, purpose)
        return self.services.tokens.issue(grant, now=now, token_id=f"token-{next(self._numbers)}")

    def as_(
        self,
        scope: str = "system/*.cruds",
        *,
        user: str | None = None,
        patient: str | None = None,
        purpose: str | None = None,
    ) -> httpx.AsyncClient:
        """A client of the FHIR base with a token for this scope."""
        return self.bearing(self.token(scope, user=user, patient=patient, purpose=purpose))

    def bearing(self, token: str | None) -> httpx.AsyncClient:
        """A client with this token, or none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.application, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def records(self) -> list[Record]:
        """All records of the ledger, by time."""
        store = self.services.store
        found = [
            record_of(link.payload) for shard in await store.shards() async for link in store.links(shard)
        ]
        return sorted(found, key=lambda record: record.time)


@asynccontextmanager
async def serving(
    mongodb_url: str, database: str, data_dir: Path, *, mllp: socket | None = None, **told: Any
) -> AsyncIterator[Server]:
    """A server on a database of its own, until the block ends; it listens for HL7 v2 on `mllp`."""
    told = {"base_url": BASE, **told}
    settings = Settings(mongodb_url=mongodb_url, mongodb_database=database, data_dir=data_dir, **told)
    application = Application(settings, f"test-{database}", mllp)
    services = await application.start()
    try:
        yield Server(application, services)
    finally:
        await application.stop()


def a_patient(**stated: Any) -> dict[str, Any]:
    """A valid Patient with the least said."""
    return {"resourceType": "Patient", **stated}


def an_observation(patient: str, **stated: Any) -> dict[str, Any]:
    """A valid Observation about `patient` (an id)."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        **stated,
    }


def issues_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The issues of an OperationOutcome."""
    body = response.json()
    assert body["resourceType"] == "OperationOutcome", json.dumps(body)[:500]
    issues: list[dict[str, Any]] = body["issue"]
    return issues
