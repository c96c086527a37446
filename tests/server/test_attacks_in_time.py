"""
Rights are those of the moment: of each page, each version, each process.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.pipeline.links import Cursors
from fhir_server.store.positions import Position
from tests.server.hiding import a_consent, put
from tests.server.running import Server, a_patient, an_observation, serving

DENY = {"type": "deny"}


async def _three_patients(server: Server) -> None:
    async with server.as_() as client:
        for patient in ("a", "b", "c"):
            await put(client, a_patient(id=patient))
            for number in range(3):
                dated = f"2020-01-0{number + 1}"
                await put(client, an_observation(patient, id=f"{patient}{number}", effectiveDateTime=dated))


def a_doctor(server: Server) -> httpx.AsyncClient:
    return server.as_("user/*.cruds", user="Practitioner/7")


def _as_patient(server: Server) -> httpx.AsyncClient:
    """Who is never locked out by a Consent: the patient whose it is."""
    return server.as_("user/*.cruds", user="Patient/b")


async def _deny(server: Server, patient: str) -> None:
    async with server.as_() as client:
        await put(client, a_consent(patient, f"c-{patient}", DENY))


def _ids(page: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in page.get("entry", ())]


def _next(page: dict[str, Any]) -> str | None:
    return next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


async def _pages(client: httpx.AsyncClient, url: str | None) -> list[str]:
    """The ids on this page and all behind it."""
    found: list[str] = []
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        found += _ids(answer.json())
        url = _next(answer.json())
    return found


ORDERS = ["", "_sort=-date", "_sort=-_lastUpdated", "_sort=code,-date"]


@pytest.mark.parametrize("order", ORDERS)
async def test_who_was_denied_between_two_pages_is_on_none_that_follows(server: Server, order: str) -> None:
    await _three_patients(server)
    async with a_doctor(server) as doctor:
        first = (await doctor.get(f"/Observation?_count=2&_total=accurate&{order}")).json()
        assert first["total"] == 9
        for patient in ("a", "b", "c"):
            if not any(id.startswith(patient) for id in _ids(first)):
                await _deny(server, patient)
                hidden = patient
                break
        rest = await _pages(doctor, _next(first))
    assert not [id for id in rest if id.startswith(hidden)]
    assert len(_ids(first) + rest) == len({*_ids(first), *rest}) == 6


async def test_who_was_denied_is_in_no_history_and_no_version(server: Server) -> None:
    await _three_patients(server)
    async with a_doctor(server) as doctor:
        first = (await doctor.get("/Observation/_history?_count=2")).json()
        assert (await doctor.get("/Observation/b0/_history/1")).status_code == 200
        await _deny(server, "b")
        assert (await doctor.get("/Observation/b0/_history/1")).status_code == 404
        assert (await doctor.get("/Observation/b0/_history")).status_code == 404
        assert (await doctor.get("/Observation/b0", headers={"If-None-Match": 'W/"1"'})).status_code == 404
        rest = await _pages(doctor, _next(first))
    assert not [id for id in rest if id.startswith("b")]


@pytest.mark.parametrize("end", ["deleted", "inactive", "entered-in-error", "over"])
async def test_a_denial_that_ended_hides_nothing(server: Server, end: str) -> None:
    await _three_patients(server)
    await _deny(server, "b")
    async with a_doctor(server) as doctor:
        assert (await doctor.get("/Observation/b0")).status_code == 404
        async with _as_patient(server) as client:
            match end:
                case "deleted":
                    assert (await client.delete("/Consent/c-b")).status_code == 204
                case "over":
                    await put(client, a_consent("b", "c-b", {**DENY, "period": {"end": "2020-01-01"}}))
                case _:
                    await put(client, a_consent("b", "c-b", DENY, status=end))
        assert (await doctor.get("/Observation/b0")).status_code == 200
        found = (await doctor.get("/Observation?subject=Patient/b&_total=accurate")).json()
        assert found["total"] == len(_ids(found)) == 3


async def test_a_page_link_confers_no_right(server: Server) -> None:
    """https://hl7.org/fhir/R4/security.html#6.1.0: whoever follows it is asked again."""
    await _three_patients(server)
    async with a_doctor(server) as doctor:
        links = [
            _next((await doctor.get(path)).json())
            for path in (
                "/Observation?_count=1",
                "/Observation?_count=1&_sort=-_lastUpdated",
                "/Observation?_count=1&_sort=subject",
                "/Observation/_history?_count=1",
                "/_history?_count=1",
            )
        ]
    async with (
        server.as_("patient/*.rs", patient="a") as patient,
        server.as_("system/Patient.rs") as narrow,
        server.bearing(None) as nobody,
    ):
        for link in links:
            assert link is not None
            assert (await patient.get(link)).status_code == 400
            assert (await narrow.get(link)).status_code in (400, 403)
            assert (await nobody.get(link)).status_code == 401


POSITIONS = [
    Position(value, tie, as_of, back)
    for value in (None, 0, -(2**63), 2**63 - 1)
    for tie in ("", "~", "b0")
    for as_of in (None, 0, 2**62)
    for back in (False, True)
]
MALFORMED = ["W10", "bnVsbA", "e30", "!", "A" * 401, "=", "%00", "WzEsIngiLG51bGxdWw"]


async def test_a_cursor_confers_no_right_even_to_who_could_seal_it(server: Server) -> None:
    await _three_patients(server)
    token = server.token("patient/*.rs", patient="a")
    caller = server.services.tokens.verify(token, now=int(server.services.clock().timestamp()))
    paths = [*(f"Observation?{order}" for order in ORDERS), "Observation/_history",
             "_history", "Observation/b0/_history", "AuditEvent"]  # fmt: skip

    async def asked(client: httpx.AsyncClient, path: str, position: Position) -> httpx.Response:
        address, _, query = path.partition("?")
        used = tuple((name, value) for name, _, value in (p.partition("=") for p in query.split("&") if p))
        cursor = Cursors(server.services.seals, caller, address, used).of(position)
        return await client.get(f"/{address}", params=[*used, ("_count", "2"), ("_cursor", cursor or "")])

    async with server.bearing(token) as client:
        answers = await asyncio.gather(
            *(asked(client, path, position) for path in paths for position in POSITIONS)
        )
        refused = [await client.get(f"/Observation?_cursor={cursor}") for cursor in MALFORMED]
    assert {answer.status_code for answer in answers} <= {200, 400, 404}
    assert sum(answer.status_code == 200 for answer in answers) > len(answers) / 2
    for answer in answers:
        if answer.status_code == 200:
            assert "Patient/b" not in answer.text
            assert "Patient/c" not in answer.text
    assert {answer.status_code for answer in refused} == {400}


@pytest_asyncio.fixture(loop_scope="session")
async def two(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """Two workers on one database."""
    async with (
        serving(mongodb_url, database_name, tmp_path) as first,
        serving(mongodb_url, database_name, tmp_path) as second,
    ):
        yield first, second


async def test_what_one_worker_was_told_holds_for_the_other_at_once(two: tuple[Server, Server]) -> None:
    first, second = two
    await _three_patients(first)
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient/b"}}],
    }
    async with a_doctor(second) as doctor, _as_patient(first) as patient:
        await _deny(first, "b")
        for denied in (True, False) * 5:
            await put(patient, a_consent("b", "c-b", DENY, status="active" if denied else "inactive"))
            assert (await doctor.get("/Observation/b0")).status_code == (404 if denied else 200)
            found = (await doctor.get("/Observation?subject=Patient/b&_total=accurate")).json()
            assert found["total"] == len(_ids(found)) == (0 if denied else 3)
            (told,) = (await doctor.post("/", json=batch)).json()["entry"]
            assert told["response"]["status"].startswith("404" if denied else "200")


async def test_no_request_that_begins_after_a_denial_shows_anything(two: tuple[Server, Server]) -> None:
    """Readers on both workers, while the consent of a patient changes back and forth."""
    await _three_patients(two[0])
    # Even: who is asked may show; odd: the denial is durable. Counted before a permit is written.
    changes = 0
    shown: list[str] = []
    await _deny(two[0], "b")

    async def read(server: Server) -> None:
        async with a_doctor(server) as doctor:
            while changes < CHANGES:
                for path in ("Observation/b0", "Observation?subject=Patient/b", "Observation/b0/_history"):
                    before = changes
                    answer = await doctor.get(f"/{path}")
                    if '"status":"final"' in answer.text:
                        shown.append(path)
                        # Odd: denied when it began, and nothing has been changed since.
                        assert before % 2 == 0 or before != changes, path

    async def change() -> None:
        nonlocal changes
        async with _as_patient(two[0]) as patient:
            while changes < CHANGES:
                await put(patient, a_consent("b", "c-b", DENY))
                changes += 1
                await asyncio.sleep(0.01)
                changes += 1
                await put(patient, a_consent("b", "c-b", DENY, status="inactive"))
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for server in two:
            tasks.create_task(read(server))
        tasks.create_task(change())
    assert len(set(shown)) == 3


CHANGES = 20
