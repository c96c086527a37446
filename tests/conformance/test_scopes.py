"""
Scopes against interactions: each cell of conformance/scopes.md is asked for over HTTP.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation
from tests.server.ward import Resource, an_encounter, coded, to

LIST: Final = Path(__file__).parents[2] / "conformance" / "scopes.md"

LABORATORY: Final = coded("laboratory")
VITAL_SIGNS: Final = coded("vital-signs")


def an_entry(patient: str, id: str, category: dict[str, Any], code: str, **stated: Any) -> Resource:
    return an_observation(patient, id=id, category=[category], code=coded(code), **stated)


WARD: Final = (
    a_patient(id="ann"),
    a_patient(id="bob"),
    an_encounter("visit", "ann"),
    an_entry(
        "ann", "lab", LABORATORY, "1-1", encounter=to("Encounter/visit"), meta={"tag": [{"code": "kept"}]}
    ),
    an_entry("ann", "vital", VITAL_SIGNS, "2-2", encounter=to("Encounter/visit")),
    an_entry("bob", "others", LABORATORY, "1-1"),
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A client with the scope, and one that may do everything; the id of what the test itself stores."""

    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    id: str

    async def stored(self, category: dict[str, Any]) -> str:
        """The address of an Observation of ann's that a test may change."""
        address = f"/Observation/{self.id}"
        answer = await self.admin.put(address, json=an_entry("ann", self.id, category, "9-9"))
        assert answer.status_code == httpx.codes.CREATED
        return address


def told(answer: httpx.Response, mode: str = "match") -> str:
    """The status, or the ids of what is found of the ward."""
    if answer.status_code != httpx.codes.OK:
        return str(answer.status_code)
    entries = [entry for entry in answer.json().get("entry", ()) if "resource" in entry]
    ids = {
        entry["resource"]["id"] for entry in entries if entry.get("search", {"mode": mode})["mode"] == mode
    }
    return ", ".join(sorted(ids & {resource["id"] for resource in WARD})) or "none"


async def in_bundle(
    bearer: Bearer, kind: str, method: str, url: str, resource: Resource | None = None
) -> str:
    """What becomes of the one entry."""
    entry: dict[str, Any] = {"request": {"method": method, "url": url}}
    if resource is not None:
        entry["resource"] = resource
    answer = await bearer.http.post("/", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
    if answer.status_code != httpx.codes.OK:
        return str(answer.status_code)
    status: str = answer.json()["entry"][0]["response"]["status"]
    return status[:3]


async def create(bearer: Bearer, category: dict[str, Any], patient: str = "ann", **headers: str) -> str:
    resource = an_entry(patient, bearer.id, category, "9-9")
    del resource["id"]
    return str((await bearer.http.post("/Observation", json=resource, headers=headers)).status_code)


async def update(bearer: Bearer, before: dict[str, Any], after: dict[str, Any]) -> str:
    address = await bearer.stored(before)
    resource = an_entry("ann", bearer.id, after, "9-9", status="amended")
    return str((await bearer.http.put(address, json=resource)).status_code)


async def patch(bearer: Bearer, category: dict[str, Any]) -> str:
    address = await bearer.stored(category)
    headers = {"Content-Type": "application/json-patch+json"}
    change = b'[{"op": "replace", "path": "/status", "value": "amended"}]'
    return str((await bearer.http.patch(address, content=change, headers=headers)).status_code)


async def delete(bearer: Bearer, category: dict[str, Any]) -> str:
    return str((await bearer.http.delete(await bearer.stored(category))).status_code)


async def conditional_delete(bearer: Bearer, category: dict[str, Any]) -> str:
    await bearer.stored(category)
    criteria = f"_id={bearer.id}"
    answer = await bearer.http.delete(f"/Observation?{criteria}")
    if answer.status_code == httpx.codes.FORBIDDEN:
        return "403"
    left = await bearer.admin.get(f"/Observation/{bearer.id}")
    return "gone" if left.status_code == httpx.codes.GONE else "kept"


async def _get(bearer: Bearer, address: str, mode: str = "match") -> str:
    return told(await bearer.http.get(address), mode)


async def _read(bearer: Bearer, address: str) -> str:
    return str((await bearer.http.get(address)).status_code)


Ask = Callable[[Bearer], Awaitable[str]]

COLUMNS: Final[Mapping[str, Ask]] = {
    "read lab": lambda b: _read(b, "/Observation/lab"),
    "read vital": lambda b: _read(b, "/Observation/vital"),
    "read others": lambda b: _read(b, "/Observation/others"),
    "vread vital": lambda b: _read(b, "/Observation/vital/_history/1"),
    "history of vital": lambda b: _get(b, "/Observation/vital/_history"),
    "history of type": lambda b: _get(b, "/Observation/_history?_count=1000"),
    "search": lambda b: _get(b, "/Observation?code=1-1,2-2"),
    "search by code": lambda b: _get(b, "/Observation?code=2-2"),
    "include": lambda b: _get(b, "/Observation?code=1-1,2-2&_include=Observation:encounter", "include"),
    "revinclude": lambda b: _get(b, "/Encounter?_id=visit&_revinclude=Observation:encounter", "include"),
    "chain": lambda b: _get(b, "/Observation?encounter.status=finished"),
    "_has": lambda b: _get(b, "/Patient?_has:Observation:patient:code=2-2"),
    "create lab": lambda b: create(b, LABORATORY),
    "create vital": lambda b: create(b, VITAL_SIGNS),
    "create for bob": lambda b: create(b, LABORATORY, "bob"),
    "create if none": lambda b: create(b, LABORATORY, **{"If-None-Exist": f"_id={b.id}"}),
    "update lab": lambda b: update(b, LABORATORY, LABORATORY),
    "update lab to vital": lambda b: update(b, LABORATORY, VITAL_SIGNS),
    "update vital to lab": lambda b: update(b, VITAL_SIGNS, LABORATORY),
    "patch vital": lambda b: patch(b, VITAL_SIGNS),
    "delete lab": lambda b: delete(b, LABORATORY),
    "delete vital": lambda b: delete(b, VITAL_SIGNS),
    "delete if vital": lambda b: conditional_delete(b, VITAL_SIGNS),
    "batch read vital": lambda b: in_bundle(b, "batch", "GET", "Observation/vital"),
    "transaction create vital": lambda b: in_bundle(
        b, "transaction", "POST", "Observation", an_observation("ann", category=[VITAL_SIGNS])
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), WARD) as running:
        yield running


def table() -> list[tuple[str, str, str, str]]:
    """Scope, bearer, column and what the cell says."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", LIST.read_text(), re.MULTILINE):
        header, _, *rows = [
            [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        found += [
            (row[0].replace("`", ""), row[1], column, cell)
            for row in rows
            for column, cell in zip(header[2:], row[2:], strict=True)
        ]
    return found


def test_the_table_has_each_interaction_for_each_scope() -> None:
    cells = table()
    scopes = {(scope, who) for scope, who, _, _ in cells}
    assert {(scope, who, column) for scope, who, column, _ in cells} == {
        (*scope, column) for scope in scopes for column in COLUMNS
    }


@pytest.mark.parametrize(("scope", "who", "column", "expected"), table())
async def test_a_cell(server: Server, scope: str, who: str, column: str, expected: str) -> None:
    type = who.partition("/")[0]
    user = who if type in ("Practitioner", "Patient", "Device") else None
    patient = "ann" if "patient/" in scope else None
    async with server.as_(scope, user=user, patient=patient) as http, server.as_() as admin:
        assert await COLUMNS[column](Bearer(http, admin, uuid4().hex)) == expected
