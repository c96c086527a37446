"""
Conditional create, update, patch and delete.

https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.server.running import Server, a_patient, an_observation, issues_of

SYSTEM = "http://hospital.example/mrn"


def identified(value: str, **stated: Any) -> dict[str, Any]:
    return a_patient(identifier=[{"system": SYSTEM, "value": value}], **stated)


def looking_for(value: str) -> dict[str, str]:
    return {"If-None-Exist": f"identifier={SYSTEM}|{value}"}


async def test_a_conditional_create_creates_once(server: Server) -> None:
    async with server.as_() as client:
        first = await client.post("/Patient", json=identified("once"), headers=looking_for("once"))
        again = await client.post("/Patient", json=identified("once"), headers=looking_for("once"))
        total = (await client.get("/Patient", params={"identifier": f"{SYSTEM}|once"})).json()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["etag"] == 'W/"1"'
    assert again.headers["location"] == first.headers["location"]
    assert len(total["entry"]) == 1


async def test_a_conditional_create_with_several_matches_is_refused(server: Server) -> None:
    async with server.as_() as client:
        for _ in range(2):
            await client.post("/Patient", json=identified("twice"))
        refused = await client.post("/Patient", json=identified("twice"), headers=looking_for("twice"))
    assert refused.status_code == 412
    assert issues_of(refused)[0]["code"] == "multiple-matches"


@pytest.mark.parametrize(
    ("criteria", "status"),
    [
        ("", 400),
        ("identifier:missing=true", 400),
        ("_count=1", 400),
        ("nonsense=1", 400),
        ("identifier=", 400),
        ("_sort=name&identifier=1", 400),
        ("gender:not=male", 400),
    ],
)
async def test_criteria_that_say_nothing_are_refused(server: Server, criteria: str, status: int) -> None:
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(), headers={"If-None-Exist": criteria})
        updated = await client.put(f"/Patient?{criteria}", json=a_patient())
        deleted = await client.delete(f"/Patient?{criteria}")
    assert [created.status_code, updated.status_code, deleted.status_code] == [status] * 3


async def test_a_conditional_update_updates_what_matches(server: Server) -> None:
    address = f"/Patient?identifier={SYSTEM}|updated"
    async with server.as_() as client:
        created = await client.put(address, json=identified("updated", gender="male"))
        updated = await client.put(address, json=identified("updated", gender="female"))
        same = await client.put(address, json=identified("updated", gender="female", id=created.json()["id"]))
        other = await client.put(address, json=identified("updated", id="another"))
    assert (created.status_code, updated.status_code, same.status_code) == (201, 200, 200)
    assert updated.json()["id"] == created.json()["id"]
    assert updated.json()["gender"] == "female"
    assert updated.headers["etag"] == 'W/"2"'
    assert other.status_code == 400
    assert issues_of(other)[0]["expression"] == ["Patient.id"]


async def test_a_conditional_update_without_a_match_takes_a_new_id_from_the_body(server: Server) -> None:
    address = f"/Patient?identifier={SYSTEM}|own-id"
    async with server.as_() as client:
        await client.put("/Patient/taken", json=a_patient(id="taken"))
        taken = await client.put(address, json=identified("own-id", id="taken"))
        created = await client.put(address, json=identified("own-id", id="chosen"))
        read = await client.get("/Patient/taken")
    assert taken.status_code == 412
    assert "identifier" not in read.json()
    assert (created.status_code, created.json()["id"]) == (201, "chosen")


async def test_a_conditional_update_keeps_to_if_match(server: Server) -> None:
    address = f"/Patient?identifier={SYSTEM}|guarded"
    async with server.as_() as client:
        absent = await client.put(address, json=identified("guarded"), headers={"If-Match": 'W/"1"'})
        await client.put(address, json=identified("guarded"))
        stale = await client.put(
            address, json=identified("guarded", gender="male"), headers={"If-Match": 'W/"7"'}
        )
        right = await client.put(
            address, json=identified("guarded", gender="male"), headers={"If-Match": 'W/"1"'}
        )
    assert [absent.status_code, stale.status_code, right.status_code] == [412, 412, 200]


async def test_a_conditional_delete_deletes_the_one_that_matches(server: Server) -> None:
    address = f"/Patient?identifier={SYSTEM}|deleted"
    async with server.as_() as client:
        none = await client.delete(address)
        created = await client.post("/Patient", json=identified("deleted"))
        deleted = await client.delete(address)
        read = await client.get(f"/Patient/{created.json()['id']}")
        await client.post("/Patient", json=identified("deleted"))
        await client.post("/Patient", json=identified("deleted"))
        several = await client.delete(address)
        left = await client.get("/Patient", params={"identifier": f"{SYSTEM}|deleted"})
    assert [none.status_code, deleted.status_code, read.status_code] == [204, 204, 410]
    assert several.status_code == 412
    assert len(left.json()["entry"]) == 2


async def test_criteria_are_judged_within_what_the_caller_may_see(server: Server) -> None:
    """A patient's app that looks for another patient's identifier learns nothing, not even a refusal."""
    async with server.as_() as client:
        await client.put("/Patient/mine", json=a_patient(id="mine"))
        await client.put("/Patient/other", json=a_patient(id="other"))
        hidden = an_observation("other", identifier=[{"system": SYSTEM, "value": "hidden"}])
        await client.post("/Observation", json=hidden)
        await client.post("/Observation", json=hidden)
    own = an_observation("mine", identifier=[{"system": SYSTEM, "value": "hidden"}])
    async with server.as_("patient/Observation.cruds", patient="mine") as app:
        created = await app.post("/Observation", json=own, headers=looking_for("hidden"))
        again = await app.post("/Observation", json=own, headers=looking_for("hidden"))
        patched = await app.patch(
            f"/Observation?identifier={SYSTEM}|hidden&subject=Patient/other",
            json=[],
            headers={"Content-Type": "application/json-patch+json"},
        )
        deleted = await app.delete(f"/Observation?identifier={SYSTEM}|hidden")
    assert (created.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == created.json()["id"]
    assert patched.status_code == 404
    assert deleted.status_code == 204
    async with server.as_() as client:
        left = await client.get("/Observation", params={"identifier": f"{SYSTEM}|hidden"})
    assert len(left.json()["entry"]) == 2


async def test_a_condition_needs_the_right_to_search(server: Server) -> None:
    async with server.as_("system/Patient.c") as client:
        refused = await client.post("/Patient", json=identified("x"), headers=looking_for("x"))
        allowed = await client.post("/Patient", json=identified("x"))
    assert (refused.status_code, allowed.status_code) == (403, 201)


async def test_each_conditional_interaction_leaves_a_record(server: Server) -> None:
    async with server.as_() as client:
        for _ in range(2):
            await client.post("/Patient", json=identified("recorded"), headers=looking_for("recorded"))
        await client.delete(f"/Patient?identifier={SYSTEM}|recorded")
        await client.delete(f"/Patient?identifier={SYSTEM}|recorded")
    records = [record for record in await server.records() if record.query and "recorded" in record.query]
    assert [(record.interaction, record.status) for record in records] == [
        ("create", 201),
        ("create", 200),
        ("delete", 204),
        ("delete", 204),
    ]
    assert [bool(record.targets) for record in records] == [True, True, True, False]


async def test_many_clients_create_one(server: Server) -> None:
    async with server.as_() as client:

        async def create() -> httpx.Response:
            return await client.post("/Patient", json=identified("race"), headers=looking_for("race"))

        answers = await asyncio.gather(*(create() for _ in range(60)))
    assert sorted(answer.status_code for answer in answers) == [200] * 59 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_many_conditional_updates_make_one_resource(server: Server) -> None:
    address = f"/Patient?identifier={SYSTEM}|race-update"
    async with server.as_() as client:

        async def update(n: int) -> httpx.Response:
            return await client.put(address, json=identified("race-update", birthDate=f"{1950 + n}"))

        answers = await asyncio.gather(*(update(n) for n in range(40)))
        history = (await client.get(f"/Patient/{answers[0].json()['id']}/_history?_count=100")).json()
    assert sorted(answer.status_code for answer in answers) == [200] * 39 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(history["entry"]) == 40


async def test_different_criteria_for_the_same_identifier_do_not_both_create(server: Server) -> None:
    """One says the system and one does not: each would match what the other one creates."""
    async with server.as_() as client:
        for n in range(10):
            answers = await asyncio.gather(
                client.post("/Patient", json=identified(f"d{n}"), headers=looking_for(f"d{n}")),
                client.post(
                    "/Patient", json=identified(f"d{n}"), headers={"If-None-Exist": f"identifier=d{n}"}
                ),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 201]


async def test_criteria_without_an_identifier_do_not_both_create(server: Server) -> None:
    born = {"birthDate": "1931-01-01", "name": [{"family": "Condition"}]}
    async with server.as_() as client:
        answers = await asyncio.gather(
            *(
                client.post("/Patient", json=a_patient(**born), headers={"If-None-Exist": criteria})
                for criteria in ("birthdate=1931-01-01", "family=Condition", "name=condition") * 5
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 14 + [201]


async def test_a_conditional_patch_counts_with_what_it_makes(server: Server) -> None:
    """The one gives a patient what the other one looks for, and the other creates what the one looks for."""
    change = [{"op": "add", "path": "/identifier/-", "value": {"system": SYSTEM}}]
    async with server.as_() as client:
        for n in range(10):
            await client.post("/Patient", json=identified(f"p{n}"))
            change[0]["value"] = {"system": SYSTEM, "value": f"q{n}"}
            made = identified(f"q{n}")
            made["identifier"].append({"system": SYSTEM, "value": f"p{n}"})
            patched, created = await asyncio.gather(
                client.patch(
                    f"/Patient?identifier={SYSTEM}|p{n}",
                    json=change,
                    headers={"Content-Type": "application/json-patch+json"},
                ),
                client.post("/Patient", json=made, headers=looking_for(f"q{n}")),
            )
            assert (patched.status_code, created.status_code) in {(200, 200), (412, 201)}


@pytest.mark.parametrize(
    ("method", "path", "header"),
    [
        ("POST", "/Patient", {"If-Match": 'W/"1"'}),
        ("POST", "/Patient", {"If-None-Match": "*"}),
        ("PUT", "/Patient/one", {"If-None-Exist": "identifier=1"}),
        ("PATCH", "/Patient/one", {"If-None-Match": "*"}),
        ("PATCH", "/Patient?identifier=1", {"If-None-Exist": "identifier=1"}),
        ("DELETE", "/Patient/one", {"If-None-Match": "*"}),
        ("DELETE", "/Patient?identifier=1", {"If-None-Exist": "identifier=1"}),
    ],
)
async def test_a_condition_that_an_interaction_does_not_know_is_refused(
    server: Server, method: str, path: str, header: dict[str, str]
) -> None:
    async with server.as_() as client:
        content: Any = {"PATCH": [], "DELETE": None}.get(method, a_patient(id="one"))
        kind = {"Content-Type": "application/json-patch+json"} if method == "PATCH" else {}
        refused = await client.request(method, path, json=content, headers=header | kind)
        read = await client.get("/Patient/one")
    assert refused.status_code == 400, refused.text
    assert next(iter(header)).casefold() in issues_of(refused)[0]["diagnostics"]
    assert read.status_code == 404
