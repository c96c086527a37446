"""
Scopes from what an app asks to what its token lets it do: asked, chosen, granted, judged.

What each scope lets do is in conformance/scopes.md, cell by cell; here is who grants which, and what is
granted of what was asked. The ids in brackets are those of requirements: S1 to S10 and R78 to R369.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import (
    AUTHORIZE,
    a_person,
    add_app,
    add_user,
    decided,
    given,
    launching,
)
from tests.server.running import Server, a_patient, an_observation
from tests.smart.browsing import App, told_to_app

PUBLIC = App("public")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        await add_user(running, "paula", "Person/paula")
        await add_user(running, "rolf", "PractitionerRole/rolf")
        yield running


async def status(server: Server, told: Mapping[str, Any], path: str) -> int:
    async with server.bearing(told["access_token"]) as http:
        return (await http.get(path)).status_code


async def ids(server: Server, told: Mapping[str, Any], query: str) -> set[str]:
    async with server.bearing(told["access_token"]) as http:
        answer = await http.get(f"/{query}")
    assert answer.status_code == httpx.codes.OK, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


# What is granted of what was asked.


@pytest.mark.parametrize(
    ("scope", "reads", "searches", "creates"),
    [
        ("patient/Observation.read", 200, 200, 403),
        ("patient/Observation.write", 403, 403, 201),
        ("patient/Observation.*", 200, 200, 201),
        ("user/Observation.read", 200, 200, 403),
        ("user/Observation.*", 200, 200, 201),
        ("patient/*.read", 200, 200, 403),
        ("patient/*.*", 200, 200, 201),
    ],
)
async def test_who_asks_in_version_1_is_answered_in_it(
    server: Server, scope: str, reads: int, searches: int, creates: int
) -> None:
    """[S2, R126-R128, R369]"""
    told = await given(server, PUBLIC, "dora", f"launch/patient {scope}")
    assert told["scope"] == f"launch/patient {scope}"
    assert await status(server, told, "/Observation/ann-lab") == reads
    assert await status(server, told, "/Observation?code=8867-4") == searches
    async with server.bearing(told["access_token"]) as http:
        answer = await http.post("/Observation", json=an_observation("ann"))
    assert answer.status_code == creates


@pytest.mark.parametrize(
    "unknown",
    [
        "patient/Observation.dus",
        "patient/Observation.sr",
        "patient/Observation.",
        "patient/Observation.rr",
        "patient/observation.rs",
        "patient/Nonsense.rs",
        "Patient/Observation.rs",
        "patient/Observation.RS",
        "patient/Observation.readwrite",
        "patient/Observation",
        "patients/Observation.rs",
        "patient/*",
        "system/Observation.rs",
        "patient/Observation.rs?category:in=http://vs.example",
        "patient/Observation.rs?patient.name=x",
        "patient/Observation.rs?_filter=code+eq+x",
        "patient/Observation.rs?_include=*",
        "patient/Observation.rs?nonsense=x",
        "address",
        "__x",
        "https://app.example/scope",
    ],
)
async def test_what_is_not_understood_is_dropped_and_the_rest_is_granted(
    server: Server, unknown: str
) -> None:
    """[S1, S9, S10, R78, R79, R129, R145]"""
    told = await given(server, PUBLIC, "ann", f"{unknown} patient/Condition.r")
    assert told["scope"] == "patient/Condition.r"
    assert await status(server, told, "/Observation/ann-lab") == httpx.codes.FORBIDDEN
    alone = told_to_app(await decided_at_once(server, unknown))
    assert alone["error"] == "invalid_scope"


async def decided_at_once(server: Server, scope: str) -> httpx.Response:
    return await a_person(server).opens(AUTHORIZE, params=PUBLIC.asks(scope))


async def test_no_more_is_granted_than_the_app_is_registered_for(server: Server) -> None:
    """[S1, R78, R79, R145]"""
    app = App("narrow")
    await add_app(server, app, "launch/patient patient/Observation.rs?category=laboratory patient/Patient.r")
    told = await given(server, app, "ann", "patient/*.cruds openid offline_access")
    assert set(told["scope"].split(" ")) == {
        "patient/Observation.rs?category=laboratory",
        "patient/Patient.r",
    }
    assert await status(server, told, "/Patient/ann") == httpx.codes.OK
    assert await status(server, told, "/Patient?name=ahn") == httpx.codes.FORBIDDEN
    assert await ids(server, told, "Observation?_count=50") == {"ann-lab"}


# Whose rights they are.


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ann", {"ann"}),
        ("bob", {"bob"}),
        ("dora", {"ann", "bob"}),
        ("rolf", {"ann", "bob"}),
        ("rita", set()),
        ("paula", set()),
    ],
)
async def test_a_user_scope_gives_what_the_user_may_see(server: Server, name: str, found: set[str]) -> None:
    """[S7, R119, R140, R368]"""
    told = await given(server, PUBLIC, name, "user/*.cruds")
    assert told["scope"] == "user/*.cruds"
    assert await ids(server, told, "Patient") == found
    for id in ("ann", "bob"):
        expected = httpx.codes.OK if id in found else httpx.codes.NOT_FOUND
        assert await status(server, told, f"/Patient/{id}") == expected
    async with server.bearing(told["access_token"]) as http:
        written = await http.post("/Observation", json=an_observation("bob"))
    assert written.status_code == (201 if "bob" in found else 403)


async def test_who_is_nobody_in_fhir_has_nothing_to_give(server: Server) -> None:
    """[S7, R119]"""
    assert told_to_app(await decided(server, PUBLIC, "nils", "user/*.rs"))["error"] == "access_denied"


async def test_a_related_person_reads_themselves_and_what_names_them(server: Server) -> None:
    """[S7, R119, R198]"""
    told = await given(server, PUBLIC, "rita", "user/*.rs")
    assert await ids(server, told, "RelatedPerson") == {"rita"}
    assert await ids(server, told, "Observation") == set()


async def test_a_scope_of_patients_gives_one_patient_whoever_asks(server: Server) -> None:
    """[S8, R136, R138, R170, R367]"""
    for name in ("ann", "dora", "rita"):
        told = await given(server, PUBLIC, name, "patient/*.rs")
        assert await ids(server, told, "Patient") == {"ann"}
        assert "ann-lab" in await ids(server, told, "Observation?_count=50")
        for path in ("/Patient/bob", "/Observation/bob-lab"):
            assert await status(server, told, path) == httpx.codes.NOT_FOUND


async def test_a_link_to_another_patient_gives_nothing_and_that_is_written_down(server: Server) -> None:
    """[S8, R139]"""
    link = [{"other": {"reference": "Patient/eve"}, "type": "seealso"}]
    async with server.as_() as http:
        for id, links in (("eve", []), ("ann-too", link)):
            stated = {"link": links} if links else {}
            made = await http.put(f"/Patient/{id}", json=a_patient(id=id, **stated))
            assert made.status_code == httpx.codes.CREATED
        await http.put("/Observation/of-eve", json=an_observation("eve", id="of-eve"))
    async with server.as_("patient/*.rs", patient="ann-too") as http:
        for path in ("/Patient/eve", "/Observation/of-eve"):
            assert (await http.get(path)).status_code == httpx.codes.NOT_FOUND
        assert (await http.get("/Patient/ann-too")).status_code == httpx.codes.OK
    documented = (Path(__file__).parents[2] / "docs" / "smart.md").read_text()
    assert "`Patient.link`" in documented


async def test_a_wildcard_is_of_each_type_and_of_what_comes_later(server: Server) -> None:
    """[R144]"""
    told = await given(server, PUBLIC, "ann", "patient/*.rs")
    async with server.as_() as http:
        types = {one["type"] for one in (await http.get("/metadata")).json()["rest"][0]["resource"]}
        statuses = {type: await status(server, told, f"/{type}?_count=1") for type in sorted(types)}
        assert set(statuses.values()) == {httpx.codes.OK}
        made = await http.post("/Observation", json=an_observation("ann"))
    assert await status(server, told, f"/Observation/{made.json()['id']}") == httpx.codes.OK


async def test_a_scope_of_systems_needs_no_user(server: Server) -> None:
    """[R142]"""
    async with server.as_("system/Patient.rs") as http:
        assert {entry["resource"]["id"] for entry in (await http.get("/Patient")).json()["entry"]} >= {
            "ann",
            "bob",
        }
        assert (await http.get("/Observation/ann-lab")).status_code == httpx.codes.FORBIDDEN


# What they let do.


async def test_update_lets_create_by_update(server: Server) -> None:
    """[S3, R123]"""
    told = await given(server, PUBLIC, "dora", "user/Patient.u")
    async with server.bearing(told["access_token"]) as http:
        made = await http.put("/Patient/upserted", json=a_patient(id="upserted"))
        assert made.status_code == httpx.codes.CREATED
        assert (await http.get("/Patient/upserted")).status_code == httpx.codes.FORBIDDEN
        assert (await http.post("/Patient", json=a_patient())).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("letter", "allowed"),
    [
        ("r", {"read", "vread", "history"}),
        ("s", {"search", "history of the type"}),
        ("c", {"create"}),
        ("u", {"update"}),
        ("d", {"delete"}),
    ],
)
async def test_each_letter_lets_do_its_own(server: Server, letter: str, allowed: set[str]) -> None:
    """[S3, R95, R266]"""
    told = await given(server, PUBLIC, "dora", f"user/Patient.{letter}")
    body = a_patient(id="lettered")
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "read": ("GET", "/Patient/lettered", {}),
        "vread": ("GET", "/Patient/lettered/_history/1", {}),
        "history": ("GET", "/Patient/lettered/_history", {}),
        "search": ("GET", "/Patient?gender=male", {}),
        "history of the type": ("GET", "/Patient/_history?_count=1", {}),
        "create": ("POST", "/Patient", {"json": a_patient()}),
        "update": ("PUT", "/Patient/lettered", {"json": body}),
        "delete": ("DELETE", "/Patient/lettered", {}),
    }
    async with server.as_() as admin, server.bearing(told["access_token"]) as http:
        await admin.put("/Patient/lettered", json=body)
        done = {
            name
            for name, (method, path, sent) in requests.items()
            if (await http.request(method, path, **sent)).status_code != httpx.codes.FORBIDDEN
        }
    assert done == allowed


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_each_entry_of_a_bundle_is_judged_by_itself(server: Server, kind: str) -> None:
    """[S6, R130]"""
    told = await given(server, PUBLIC, "ann", "patient/Patient.r patient/Observation.r?category=laboratory")
    paths = ("Patient/ann", "Observation/ann-lab", "Observation/ann-vital", "Patient/bob", "Patient?name=x")
    entries = [{"request": {"method": "GET", "url": path}} for path in paths]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    async with server.bearing(told["access_token"]) as http:
        answer = await http.post("/", json=bundle)
    found = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert found == ["200", "200", "404", "404", "403"]


@pytest.mark.parametrize(("kind", "statuses"), [("batch", (201, 403)), ("transaction", None)])
async def test_a_write_that_no_scope_covers_is_refused_in_a_bundle_too(
    server: Server, kind: str, statuses: tuple[int, ...] | None
) -> None:
    """[S6, R130]: of a transaction, nothing is done then."""
    told = await given(server, PUBLIC, "dora", "user/Observation.cu")
    entries = [
        {
            "request": {"method": "PUT", "url": f"Observation/{kind}"},
            "resource": an_observation("ann", id=kind),
        },
        {"request": {"method": "PUT", "url": "Patient/bob"}, "resource": a_patient(id="bob")},
    ]
    async with server.bearing(told["access_token"]) as http:
        answer = await http.post("/", json={"resourceType": "Bundle", "type": kind, "entry": entries})
    async with server.as_() as http:
        made = await http.get(f"/Observation/{kind}")
        assert (await http.get("/Patient/bob")).json()["name"][0]["family"] == "Bauer"
    if statuses is None:
        assert (answer.status_code, made.status_code) == (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
    else:
        assert [int(entry["response"]["status"][:3]) for entry in answer.json()["entry"]] == list(statuses)
