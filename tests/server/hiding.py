"""
A server with patients who are hidden from somebody, and callers from whom they are hidden.

Each hidden patient has an absent twin: an id of the same length that nobody ever used. Whatever is
asked about the one is asked about the other, and the answers must be the same, names aside.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.databases import a_database
from tests.server.running import Server, a_patient, an_observation, serving

SECRET = "Xylophone-Quux"
"""Stands with the patient's id in each resource of a hidden patient, and in no answer."""

RECIPIENT = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
}
PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def an_actor(reference: str) -> dict[str, Any]:
    return {"role": RECIPIENT, "reference": {"reference": reference}}


def a_consent(patient: str, id: str, provision: dict[str, Any], **stated: Any) -> dict[str, Any]:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "policyRule": {"text": "x"},
        "provision": provision,
        **stated,
    }


PROVISIONS: dict[str, dict[str, Any]] = {
    "d0": {"type": "deny"},
    "d1": {"type": "deny", "actor": [an_actor("Practitioner/7"), an_actor("RelatedPerson/r1")]},
    "d2": {"type": "deny", "purpose": [{"system": PURPOSES, "code": "TREAT"}]},
    "d3": {"type": "permit", "actor": [an_actor("Practitioner/8")]},
    "d4": {"type": "permit", "provision": [{"type": "deny", "actor": [an_actor("Practitioner/8")]}]},
    "d5": {"type": "permit", "period": {"start": "2020-01-01"}, "code": [{"text": "x"}]},
}
"""By patient: why they are hidden from Practitioner/7 who treats."""

SEEN = "p1"
ABSENT = "d9"
OTHER = "d6"
"""A patient without a Consent: hidden from who is confined to another one."""
EVERYBODY = (*PROVISIONS, OTHER, SEEN)


@dataclass(frozen=True, slots=True)
class Who:
    """A caller from whom the patients `hidden` are hidden."""

    name: str
    scope: str
    user: str | None = None
    patient: str | None = None
    purpose: str | None = None
    hidden: tuple[str, ...] = tuple(PROVISIONS)

    def client(self, server: Server) -> httpx.AsyncClient:
        return server.as_(self.scope, user=self.user, patient=self.patient, purpose=self.purpose)


PRACTITIONER = Who("a practitioner whom consents deny", "user/*.cruds", user="Practitioner/7")
CONFINED = (
    Who("an app for one patient", "patient/*.cruds", patient=SEEN, hidden=(OTHER,)),
    Who("a patient's app", "patient/*.cruds", user="Patient/p1", patient=SEEN, hidden=("d0", OTHER)),
    Who("a patient", "user/*.cruds", user="Patient/p1", hidden=(OTHER,)),
    Who("a related person", "user/*.cruds", user="RelatedPerson/r1", hidden=(OTHER,)),
    Who(
        "both contexts",
        "user/*.cruds patient/*.cruds",
        user="RelatedPerson/r1",
        patient=SEEN,
        hidden=("d0", OTHER),
    ),
)
SYSTEM = Who("a system for marketing", "system/*.cruds", purpose="HMARKT", hidden=("d0",))
CALLERS = (PRACTITIONER, *CONFINED)


def resources_of(patient: str) -> list[dict[str, Any]]:
    """One of each kind that belongs to a patient in a way of its own."""
    word = "ordinary" if patient == SEEN else f"{SECRET}-{patient}"
    note = [{"text": word}]
    observation = an_observation(patient, id=f"o-{patient}", note=note)
    return [
        a_patient(id=patient, name=[{"family": word}], birthDate="1970-01-01"),
        observation,
        an_observation(patient, id=f"m-{patient}", note=note, effectiveDateTime="2020-01-01"),
        an_observation(patient, id=f"x-{patient}", note=note),
        *_following(patient, word),
        *_besides(patient, word, observation),
    ]


def _following(patient: str, word: str) -> list[dict[str, Any]]:
    """What belongs where something else belongs."""
    about = {"reference": f"Observation/o-{patient}"}
    return [
        {
            "resourceType": "Provenance",
            "id": f"v-{patient}",
            "target": [about],
            "recorded": "2026-01-01T00:00:00Z",
            "agent": [{"who": {"display": word}}],
        },
        {
            "resourceType": "Binary",
            "id": f"b-{patient}",
            "contentType": "text/plain",
            "data": "aGk=",
            "securityContext": about,
        },
        {
            "resourceType": "Binary",
            "id": f"n-{patient}",
            "contentType": "text/plain",
            "data": "aGk=",
            "securityContext": {"reference": f"http://fhir.example/fhir/Observation/o-{patient}"},
        },
    ]


def _besides(patient: str, word: str, observation: dict[str, Any]) -> list[dict[str, Any]]:
    """What R4 has in no compartment, or in several."""
    return [
        {
            "resourceType": "Group",
            "id": f"g-{patient}",
            "type": "person",
            "actual": True,
            "name": word,
            "member": [{"entity": {"reference": f"Patient/{patient}"}}],
        },
        {
            "resourceType": "Bundle",
            "id": f"u-{patient}",
            "type": "collection",
            "entry": [
                {"fullUrl": f"http://fhir.example/fhir/Observation/o-{patient}", "resource": observation}
            ],
        },
        {
            "resourceType": "Parameters",
            "id": f"a-{patient}",
            "parameter": [{"name": "x", "resource": observation}],
        },
        {
            "resourceType": "GuidanceResponse",
            "id": f"r-{patient}",
            "moduleUri": "http://a.example/module",
            "status": "success",
            "subject": {"reference": f"Patient/{patient}"},
            "note": [{"text": word}],
        },
        {
            "resourceType": "Contract",
            "id": f"t-{patient}",
            "title": word,
            "subject": [{"reference": f"Patient/{patient}"}],
        },
    ]


@asynccontextmanager
async def hiding(mongodb_url: str, data_dir: Path, **told: Any) -> AsyncIterator[Server]:
    """A server with everybody, on a database of its own."""
    async with a_database(mongodb_url) as name, serving(mongodb_url, name, data_dir, **told) as server:
        await hide(server)
        yield server


async def hide(server: Server) -> None:
    """Store everybody; of each hidden patient one Observation is deleted and one moved away."""
    async with server.as_(purpose="HOPERAT") as client:
        for patient in EVERYBODY:
            for resource in resources_of(patient):
                await put(client, resource)
            await deleted(client, f"Observation/x-{patient}")
        for patient in (*PROVISIONS, OTHER):
            moved = f"w-{patient[1]}"
            await put(client, an_observation(SEEN, id=moved, note=[{"text": "before"}]))
            await put(client, an_observation(patient, id=moved, note=[{"text": f"{SECRET}-{patient}"}]))
            both = {"resourceType": "Group", "id": f"z-{patient[1]}", "type": "person", "actual": True}
            members = [{"entity": {"reference": f"Patient/{id}"}} for id in (SEEN, patient)]
            await put(client, {**both, "quantity": 2, "member": members})
        await put(
            client, {"resourceType": "RelatedPerson", "id": "r1", "patient": {"reference": "Patient/p1"}}
        )
        for patient, provision in PROVISIONS.items():
            await put(client, a_consent(patient, f"c-{patient}", provision))


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    written = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert written.status_code in (200, 201), written.text


async def deleted(client: httpx.AsyncClient, key: str) -> None:
    assert (await client.delete(f"/{key}")).status_code == 204


@dataclass(frozen=True, slots=True)
class Ask:
    """A request about a patient, whose id stands wherever `{}` does."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    async def of(self, client: httpx.AsyncClient, patient: str, request_id: str = "asked") -> httpx.Response:
        text = None if self.body is None else json.dumps(self.body).replace("{}", patient)
        headers = {"Content-Type": "application/fhir+json"} if text else {}
        # How well a body packs depends on times and ids, which are told apart here.
        headers |= {"Accept-Encoding": "identity", **self.headers, "X-Request-Id": request_id}
        return await client.request(
            self.method, f"/{self.path}".replace("{}", patient), content=text, headers=headers
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.headers or ''}"


def told(answer: httpx.Response, patient: str) -> tuple[int, dict[str, str], str]:
    """An answer as it is but for the id that was asked about, and for the time."""
    headers = {
        name: re.sub(rf"\b([a-z]-)?{patient}\b", "ID", value)
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "date")
    }
    body = re.sub(r"_cursor=[A-Za-z0-9_-]+", "_cursor=CURSOR", answer.text)
    body = re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "TIME", body)
    return answer.status_code, headers, re.sub(rf"\b{patient}\b", "ID", body)


async def differences(client: httpx.AsyncClient, asks: Sequence[Ask], patients: Sequence[str]) -> list[str]:
    """Where the answer about one of the patients is not that about the absent one, or shows too much."""

    async def compared(ask: Ask) -> list[str]:
        absent = told(await ask.of(client, ABSENT), ABSENT)
        answers = [(patient, await ask.of(client, patient)) for patient in patients]
        return [
            f"{ask} of {patient}: {told(answer, patient)} instead of {absent}"
            for patient, answer in answers
            if told(answer, patient) != absent or f"{SECRET}-{patient}" in answer.text
        ]

    found = []
    for start in range(0, len(asks), _AT_ONCE):
        for some in await asyncio.gather(*(compared(ask) for ask in asks[start : start + _AT_ONCE])):
            found += some
    return found


_AT_ONCE = 32
