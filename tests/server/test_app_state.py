"""
SMART App State: Basics that belong to apps [P1, R371].

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.server.keeping import DOCTOR, PATIENT, SYSTEM, app, created, found, register, state, with_apps
from tests.server.running import BASE, Server, serving


@pytest_asyncio.fixture(loop_scope="session")
async def apps(server: Server) -> Server:
    return await with_apps(server)


async def test_what_an_app_keeps_comes_back_as_it_was(apps: Server) -> None:
    """[P1]"""
    sent = state("prefs", DOCTOR)
    async with app(apps) as http:
        answer = await http.post("/Basic", json=sent)
        assert answer.status_code == 201
        assert answer.headers["etag"] == 'W/"1"'
        kept = answer.json()
        assert {name: kept[name] for name in sent} == sent
        assert answer.headers["location"].startswith(f"{BASE}/Basic/{kept['id']}")
        code = f"{SYSTEM}|prefs"
        assert await found(http, f"code={code}&subject={DOCTOR}") == [kept["id"]]
        assert await found(http, f"code={code}&subject={PATIENT}") == []
        assert await found(http, f"code={code}&subject:missing=true") == []


Look = Callable[[httpx.AsyncClient, str], Awaitable[bool]]


async def _reads(http: httpx.AsyncClient, id: str) -> bool:
    return (await http.get(f"/Basic/{id}")).status_code == 200


async def _reads_a_version(http: httpx.AsyncClient, id: str) -> bool:
    return (await http.get(f"/Basic/{id}/_history/1")).status_code == 200


async def _reads_its_history(http: httpx.AsyncClient, id: str) -> bool:
    return (await http.get(f"/Basic/{id}/_history")).status_code == 200


def _shown_by(path: str) -> Look:
    async def look(http: httpx.AsyncClient, id: str) -> bool:
        answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        shown = f"Basic/{id}" in answer.text
        if "total" in bundle and "_include" not in path and path.startswith("/Basic"):
            assert bundle["total"] == int(shown)
        return shown

    return look


async def _is_counted(http: httpx.AsyncClient, _id: str) -> bool:
    total: int = (await http.get(f"/Basic?code={SYSTEM}|prefs&_summary=count")).json()["total"]
    return total == 1


async def _is_found_for_a_condition(http: httpx.AsyncClient, id: str) -> bool:
    plain = {"resourceType": "Basic", "code": {"text": "x"}}
    answer = await http.post("/Basic", json=plain, headers={"If-None-Exist": f"_id={id}"})
    return answer.status_code == 200


async def _is_referred_to(http: httpx.AsyncClient, id: str) -> bool:
    answer = await http.get(f"/Provenance?target:Basic.code={SYSTEM}|prefs")
    return bool(answer.json().get("entry"))


async def _has(http: httpx.AsyncClient, id: str) -> bool:
    answer = await http.get(f"/Patient?_has:Basic:patient:code={SYSTEM}|prefs")
    return bool(answer.json().get("entry"))


LOOKS: dict[str, Look] = {
    "read": _reads,
    "vread": _reads_a_version,
    "history": _reads_its_history,
    "search": _shown_by("/Basic?_total=accurate"),
    "search by code": _shown_by(f"/Basic?code={SYSTEM}|prefs&_total=accurate"),
    "search by subject": _shown_by("/Basic?subject=Patient/ann&_total=accurate"),
    "search of all types": _shown_by("/?_type=Basic,Patient&_id:not=x"),
    "compartment": _shown_by("/Patient/ann/*"),
    "revinclude": _shown_by("/Patient?_id=ann&_revinclude=Basic:subject"),
    "type history": _shown_by("/Basic/_history"),
    "system history": _shown_by("/_history"),
    "count": _is_counted,
    "_has": _has,
    "condition": _is_found_for_a_condition,
}

LOOKERS: dict[str, tuple[dict[str, Any], bool]] = {
    "the app": ({}, True),
    "the app as the patient": ({"user": "Patient/ann"}, True),
    "the app in the patient's context": ({"scope": "patient/*.cruds", "patient": "ann"}, True),
    "the app, elsewhere": ({"scope": "patient/*.cruds", "patient": "bob"}, False),
    "another app": ({"client": "other"}, False),
    "an app with another code": ({"client": "companion"}, False),
    "a back-end service": ({"client": "warehouse", "scope": "system/*.cruds", "user": None}, False),
    "an operator": ({"client": "operator", "scope": "system/*.cruds", "user": None}, False),
}


@pytest.mark.parametrize("looker", LOOKERS)
async def test_state_is_there_for_its_app_alone(apps: Server, looker: str) -> None:
    """[P1, R371]: on each way to find it, it is or is not there."""
    kept = await created(apps, state("prefs", PATIENT))
    told, seen = LOOKERS[looker]
    confined = "patient" in told or told.get("user") == "Patient/ann"
    async with app(apps, **told) as http:
        for name, look in LOOKS.items():
            if confined and name in ("condition", "_has", "revinclude", "search of all types"):
                continue
            if told.get("patient") == "bob" and name == "compartment":
                continue
            assert await look(http, kept["id"]) is seen, name


async def test_apps_are_told_that_they_may_keep_state(server: Server) -> None:
    """[R371]"""
    async with server.bearing(None) as http:
        told = (await http.get("/.well-known/smart-configuration")).json()
    assert "smart-app-state" in told["capabilities"]


async def test_what_is_kept_for_a_user_is_for_that_user(apps: Server) -> None:
    """[P1]"""
    kept = await created(apps, state("prefs", DOCTOR))
    async with app(apps, user="Practitioner/8") as http:
        assert await found(http, f"code={SYSTEM}|prefs") == []
        assert (await http.get(f"/Basic/{kept['id']}")).status_code == 404
        assert (await http.post("/Basic", json=state("prefs", DOCTOR))).status_code == 403
    async with app(apps, scope="system/*.cruds", user=None) as http:
        assert await found(http) == []
        assert (await http.post("/Basic", json=state("prefs", DOCTOR))).status_code == 403


@pytest.mark.parametrize(
    "user", ["Practitioner/7", "PractitionerRole/7", "RelatedPerson/7", "Person/7", "Patient/ann"]
)
async def test_each_kind_of_user_keeps_state(apps: Server, user: str) -> None:
    """[P1]"""
    async with app(apps, user=user, scope="user/Basic.cruds") as http:
        answer = await http.post("/Basic", json=state("prefs", f"{BASE}/{user}"))
        assert answer.status_code == 201, answer.text
        id, match = answer.json()["id"], {"If-Match": 'W/"1"'}
        assert await found(http, f"code={SYSTEM}|prefs&subject={BASE}/{user}") == [id]
        assert (await http.delete(f"/Basic/{id}", headers=match)).status_code == 204


async def test_what_is_kept_for_all_is_administered(apps: Server) -> None:
    """[P1]"""
    kept = await created(apps, state("config"), "admin")
    query = f"code={SYSTEM}|config&subject:missing=true"
    address, match = f"/Basic/{kept['id']}", {"If-Match": 'W/"1"'}
    for user in ("Practitioner/7", "Patient/ann", "RelatedPerson/7"):
        async with app(apps, user=user) as http:
            assert await found(http, query) == [kept["id"]]
            assert (await http.put(address, json=kept, headers=match)).status_code == 403
            assert (await http.delete(address, headers=match)).status_code == 404
            assert (await http.post("/Basic", json=state("config"))).status_code == 403
    async with app(apps, "other") as http:
        assert await found(http, query) == []
    async with app(apps, "admin") as http:
        changed = {**kept, "language": "de"}
        assert (await http.put(address, json=changed, headers=match)).status_code == 200
        assert (await http.delete(address, headers={"If-Match": 'W/"2"'})).status_code == 204


async def test_a_companion_looks_and_does_not_write(apps: Server) -> None:
    """[P1]"""
    kept = await created(apps, state("keys", PATIENT))
    async with app(apps, "companion") as http:
        assert await found(http, f"code={SYSTEM}|keys&subject={PATIENT}") == [kept["id"]]
        assert (await http.post("/Basic", json=state("keys", PATIENT))).status_code == 403
        answer = await http.delete(f"/Basic/{kept['id']}", headers={"If-Match": 'W/"1"'})
        assert answer.status_code == 404


async def test_scopes_narrow_further(apps: Server) -> None:
    """[P1]"""
    prefs, keys = await created(apps, state("prefs", PATIENT)), await created(apps, state("keys", PATIENT))
    scope = f"patient/Basic.cruds?code={SYSTEM}|keys"
    async with app(apps, scope=scope, patient="ann") as http:
        assert await found(http) == [keys["id"]]
        assert (await http.get(f"/Basic/{prefs['id']}")).status_code == 404
        assert (await http.post("/Basic", json=state("prefs", PATIENT))).status_code == 403
    async with app(apps, scope="user/Patient.rs") as http:
        assert (await http.get("/Basic")).status_code == 403


async def test_state_of_an_app_that_is_gone_stays_out_of_sight(apps: Server) -> None:
    """Its keys are nobody's, and not everybody's."""
    kept = await created(apps, state("prefs", PATIENT))
    assert await apps.services.store.clients.remove("growth")
    await apps.services.store.app_state.moved(())
    for client in ("other", "operator", "growth"):
        async with app(apps, client, scope="system/*.cruds", user=None) as http:
            assert await found(http) == []
            assert (await http.get(f"/Basic/{kept['id']}")).status_code == 404


@pytest_asyncio.fixture(loop_scope="session")
async def two(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    async with (
        serving(mongodb_url, database_name, tmp_path) as one,
        serving(mongodb_url, database_name, tmp_path) as other,
    ):
        yield one, other


@pytest.mark.parametrize("name", ["read", "vread", "history", "search", "count", "type history", "condition"])
async def test_other_processes_know_at_once_what_is_state(two: tuple[Server, Server], name: str) -> None:
    """The first request that reaches another process is hidden from already."""
    one, other = two
    async with one.as_() as http:
        kept = (await http.post("/Basic", json=state("prefs", PATIENT))).json()
    async with other.as_() as http:
        assert await LOOKS[name](http, kept["id"])
        await register(one)
        assert not await LOOKS[name](http, kept["id"])
