"""
What a write of app state must keep [P1].

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html#managing-app-state-cruds
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from tests.server.keeping import DOCTOR, PATIENT, SYSTEM, app, created, found, state, with_apps
from tests.server.running import BASE, Server, issues_of


@pytest_asyncio.fixture(loop_scope="session")
async def apps(server: Server) -> Server:
    return await with_apps(server)


async def test_a_change_names_the_version_that_it_means(apps: Server) -> None:
    """[P1]"""
    kept = await created(apps, state("prefs", DOCTOR))
    address = f"/Basic/{kept['id']}"
    async with app(apps) as http:
        changed = {**kept, "extension": [{"url": f"{SYSTEM}/value", "valueString": "red"}]}
        for stale in ({}, {"If-Match": "*"}, {"If-Match": 'W/"7"'}):
            refused = await http.put(address, json=changed, headers=stale)
            assert refused.status_code == 412, stale
            assert (await http.delete(address, headers=stale)).status_code == 412
        done = await http.put(address, json=changed, headers={"If-Match": 'W/"1"'})
        assert (done.status_code, done.headers["etag"]) == (200, 'W/"2"')
        assert done.json()["extension"] == changed["extension"]
        assert (await http.put(address, json=kept, headers={"If-Match": 'W/"1"'})).status_code == 412
        assert (await http.delete(address, headers={"If-Match": 'W/"1"'})).status_code == 412
        assert (await http.delete(address, headers={"If-Match": 'W/"2"'})).status_code == 204
        assert (await http.get(address)).status_code == 410
        for version in ('W/"2"', 'W/"3"', "*"):
            again = await http.put(address, json=kept, headers={"If-Match": version})
            assert again.status_code == 412
            assert (await http.delete(address, headers={"If-Match": version})).status_code == 412
        assert (await http.put(address, json=kept)).status_code == 412


OTHERWISE: dict[str, dict[str, Any]] = {
    "another code": {"code": {"coding": [{"system": SYSTEM, "code": "keys"}]}},
    "a code that is no state": {"code": {"coding": [{"system": "http://a.example", "code": "x"}]}},
    "a text beside the code": {"code": {"coding": [{"system": SYSTEM, "code": "prefs"}], "text": "x"}},
    "another subject": {"subject": {"reference": PATIENT}},
}


@pytest.mark.parametrize("name", OTHERWISE)
async def test_code_and_subject_stay(apps: Server, name: str) -> None:
    """[P1]"""
    kept = await created(apps, state("prefs", DOCTOR))
    async with app(apps) as http:
        changed = {**kept, **OTHERWISE[name]}
        answer = await http.put(f"/Basic/{kept['id']}", json=changed, headers={"If-Match": 'W/"1"'})
        assert answer.status_code == 412, answer.text
        assert issues_of(answer)[0]["expression"][0] in ("Basic.code", "Basic.subject")
        assert (await http.get(f"/Basic/{kept['id']}")).json() == kept


async def test_a_subject_may_be_written_in_another_way(apps: Server) -> None:
    kept = await created(apps, state("prefs", DOCTOR))
    async with app(apps) as http:
        changed = {**kept, "subject": {"reference": "Practitioner/7"}}
        answer = await http.put(f"/Basic/{kept['id']}", json=changed, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 200


async def test_a_plain_basic_does_not_become_state(apps: Server) -> None:
    plain = {"resourceType": "Basic", "code": {"text": "plain"}}
    async with app(apps) as http:
        kept = (await http.post("/Basic", json=plain)).json()
        taken = {**state("prefs", DOCTOR), "id": kept["id"]}
        for headers in ({}, {"If-Match": 'W/"1"'}):
            assert (await http.put(f"/Basic/{kept['id']}", json=taken, headers=headers)).status_code == 412
        # Other Basics are as they always were.
        changed = {**kept, "code": {"text": "still plain"}}
        assert (await http.put(f"/Basic/{kept['id']}", json=changed)).status_code == 200
        assert (await http.put("/Basic/chosen", json={**plain, "id": "chosen"})).status_code == 201
        assert (await http.put("/Basic/mine", json={**state("prefs"), "id": "mine"})).status_code in (
            403,
            412,
        )
        mine = {**state("prefs", DOCTOR), "id": "mine"}
        assert (await http.put("/Basic/mine", json=mine)).status_code == 412


NO_STATE: dict[str, tuple[dict[str, Any], str]] = {
    "two codings": (
        {
            "code": {
                "coding": [{"system": SYSTEM, "code": "prefs"}, {"system": "http://a.example", "code": "x"}]
            }
        },
        "Basic.code.coding",
    ),
    "an extension of another type": (
        {"extension": [{"url": "http://a.example", "valueInteger": 1}]},
        "Basic.extension[0]",
    ),
    "a complex extension": (
        {
            "extension": [
                {"url": "http://a.example", "valueString": "x"},
                {"url": "http://a.example", "extension": [{"url": "b", "valueString": "x"}]},
            ]
        },
        "Basic.extension[1]",
    ),
    "an extension deeper down": (
        {"subject": {"reference": PATIENT, "extension": [{"url": "http://a.example", "valueBoolean": True}]}},
        "Basic.subject.extension[0]",
    ),
    "an extension of a primitive": (
        {"_created": {"extension": [{"url": "http://a.example", "valueCode": "x"}]}},
        "Basic.created.extension[0]",
    ),
}


@pytest.mark.parametrize("name", NO_STATE)
async def test_what_may_be_no_state_is_refused(apps: Server, name: str) -> None:
    """[P1]"""
    change, expression = NO_STATE[name]
    async with app(apps) as http:
        answer = await http.post("/Basic", json={**state("prefs", PATIENT), **change})
    assert answer.status_code == 422, answer.text
    assert expression in [issue["expression"][0] for issue in issues_of(answer)]


@pytest.mark.parametrize(
    "reference",
    ["http://elsewhere.example/Patient/1", f"{BASE}/Organization/1", "Patient/ann/_history/1", "urn:uuid:x"],
)
async def test_a_subject_is_a_person_of_this_server(apps: Server, reference: str) -> None:
    """[P1]"""
    async with app(apps) as http:
        answer = await http.post("/Basic", json=state("prefs", reference))
    assert answer.status_code in (403, 422)


async def test_state_is_at_most_256_kb(apps: Server) -> None:
    """[P1]"""
    async with app(apps) as http:
        for size, status in ((250_000, 201), (263_000, 413)):
            extension = [{"url": SYSTEM, "valueString": "x" * size}]
            answer = await http.post("/Basic", json=state("prefs", PATIENT, extension=extension))
            assert answer.status_code == status


async def test_nobody_else_writes_over_it(apps: Server) -> None:
    """[P1]: to others it is as if it were not there."""
    kept = await created(apps, state("prefs", PATIENT))
    address, match = f"/Basic/{kept['id']}", {"If-Match": 'W/"1"'}
    async with app(apps, "other") as http:
        unknown = await http.delete("/Basic/0", headers=match)
        answer = await http.delete(address, headers=match)
        assert answer.status_code == unknown.status_code == 404
        assert answer.text.replace(kept["id"], "0") == unknown.text
        plain = {"resourceType": "Basic", "id": kept["id"], "code": {"text": "x"}}
        assert (await http.put(address, json=plain)).status_code in (404, 412)
        assert (await http.put(address, json=kept, headers=match)).status_code == 403
        patch = json.dumps([{"op": "add", "path": "/language", "value": "de"}])
        headers = {**match, "Content-Type": "application/json-patch+json"}
        assert (await http.patch(address, content=patch, headers=headers)).status_code == 404
        added = {
            "resourceType": "Parameters",
            "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}],
        }
        assert (await http.post(f"{address}/$meta-add", json=added, headers=match)).status_code == 404
        assert (await http.get(f"{address}/$meta")).status_code == 404
        gone = await http.delete(f"/Basic?code={SYSTEM}|prefs", headers=match)
        assert gone.status_code == 204
        # Nor does anybody plant what the app would take for its own.
        assert (await http.post("/Basic", json=state("prefs", PATIENT))).status_code == 403
        both = [{"system": "http://a.example", "code": "x"}, {"system": SYSTEM, "code": "prefs"}]
        planted = state("prefs", PATIENT, code={"coding": both})
        assert (await http.post("/Basic", json=planted)).status_code == 403
        for kind in ("batch", "transaction"):
            entry = {"resource": state("prefs", PATIENT), "request": {"method": "POST", "url": "Basic"}}
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
            told = await http.post("/", json=bundle)
            assert "403" in (told.text if kind == "batch" else str(told.status_code))
    async with app(apps) as http:
        assert (await http.get(address)).json() == kept
        assert await found(http, f"code={SYSTEM}|prefs") == [kept["id"]]


async def test_the_rules_hold_for_each_way_to_write(apps: Server) -> None:
    """[P1]"""
    kept = await created(apps, state("prefs", PATIENT))
    address = f"Basic/{kept['id']}"
    moved = {**kept, "subject": {"reference": f"{BASE}/Patient/bob"}}
    code = f"code={SYSTEM}|prefs"
    async with app(apps) as http:
        assert (await http.put(f"/Basic?{code}", json=kept)).status_code == 412
        assert (await http.delete(f"/Basic?{code}")).status_code == 412
        for headers, path, status in (
            ({}, "/language", 412),
            ({"If-Match": 'W/"1"'}, "/code/text", 412),
            ({"If-Match": 'W/"1"'}, "/language", 200),
        ):
            patch = json.dumps([{"op": "add", "path": path, "value": "de"}])
            typed = {**headers, "Content-Type": "application/json-patch+json"}
            answer = await http.patch(f"/{address}", content=patch, headers=typed)
            assert answer.status_code == status, answer.text
        for kind in ("batch", "transaction"):
            for resource, request in (
                (moved, {"method": "PUT", "url": address, "ifMatch": 'W/"2"'}),
                (kept, {"method": "PUT", "url": address}),
                (None, {"method": "DELETE", "url": address}),
            ):
                entry = {"request": request} | ({} if resource is None else {"resource": resource})
                told = await http.post("/", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
                assert "412" in (told.text if kind == "batch" else str(told.status_code))
        assert (await http.get(f"/{address}")).headers["etag"] == 'W/"2"'
        added = {
            "resourceType": "Parameters",
            "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}],
        }
        assert (await http.post(f"/{address}/$meta-add", json=added)).status_code == 412
