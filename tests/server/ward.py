"""What a small ward is made of, and what a search of it finds: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import httpx

Resource = dict[str, Any]

LOINC: Final = "http://loinc.org"


def to(key: str) -> dict[str, str]:
    """A reference to `Type/id`."""
    return {"reference": key}


def coded(*codes: str, system: str = LOINC) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code} for code in codes]}


def an_encounter(id: str, patient: str, **stated: Any) -> Resource:
    """A valid Encounter of `patient` (an id)."""
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": class_,
        "subject": to(f"Patient/{patient}"),
        **stated,
    }


def an_organization(id: str, **stated: Any) -> Resource:
    """An Organization whose name is its id."""
    return {"resourceType": "Organization", "id": id, "name": id, **stated}


def a_group(id: str, *members: str) -> Resource:
    """A Group of persons."""
    return {
        "resourceType": "Group",
        "id": id,
        "type": "person",
        "actual": True,
        "name": id,
        "member": [{"entity": to(member)} for member in members],
    }


def a_list(id: str, *items: str) -> Resource:
    """A current List."""
    return {
        "resourceType": "List",
        "id": id,
        "status": "current",
        "mode": "working",
        "entry": [{"item": to(item)} for item in items],
    }


def a_provenance(id: str, *targets: str) -> Resource:
    """A valid Provenance of what it names."""
    return {
        "resourceType": "Provenance",
        "id": id,
        "target": [to(target) for target in targets],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }


async def put_all(client: httpx.AsyncClient, resources: Iterable[Resource]) -> None:
    """Stores each under its own id."""
    for one in resources:
        written = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
        assert written.status_code in (200, 201), written.text


def keys_of(answer: httpx.Response, mode: str) -> list[str]:
    """`Type/id` of each entry of a search mode, in the order of the answer."""
    assert answer.status_code == 200, answer.text
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in answer.json().get("entry", ())
        if entry["search"]["mode"] == mode
    ]


async def in_order(client: httpx.AsyncClient, address: str) -> list[str]:
    """The ids of what a search matches, in the order of the answer."""
    return [key.partition("/")[2] for key in keys_of(await client.get(address), "match")]


async def found(client: httpx.AsyncClient, address: str) -> set[str]:
    """The ids of what a search matches."""
    return set(await in_order(client, address))
