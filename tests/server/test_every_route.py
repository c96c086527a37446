"""
No route escapes: each address outside the public list refuses who may not, and leaves a record.

Add a route to `ROUTES` in api/routes.py and this test asks for an example of it.
"""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from fhir_server.api.authorization.endpoints import AUTHORIZATION
from fhir_server.api.authorization.pages import PAGES
from fhir_server.api.face import PUBLIC as PUBLIC_FACE
from fhir_server.api.face import face
from fhir_server.api.metrics import Metrics
from fhir_server.api.registration import registered
from fhir_server.api.routes import PUBLIC, ROUTES
from fhir_server.operations import OPERATIONS
from fhir_server.pipeline.trail import name_of
from fhir_server.r4.interaction import Capabilities, Interaction, Operation, Submission
from fhir_server.settings import Settings
from tests.server.running import Server, a_patient, an_observation, issues_of

SECRET = "Xylophone-Quux"  # Stands in the hidden patient's data, and in no answer.

PUBLIC_ADDRESSES = {
    "metadata",
    ".well-known/smart-configuration",
    ".well-known/openid-configuration",
    "/",
    "/brands",
    "/demo/",
    "/demo/{name}",
    "/docs",
    "/openapi/{name}.json",
    "/pages/{name}",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/auth/token",
    "/auth/revoke",
    "/auth/introspect",
    "/auth/userinfo",
    "/auth/jwks",
    "/auth/launch",
    "/auth/register",
    "/auth/authorize",
    "/auth/login",
    "/auth/second-factor",
    "/auth/patient",
    "/auth/consent",
    "/auth/apps",
    "/auth/logout",
}
"""The literal list of what needs no token; CORS preflight, which carries none, aside."""

A_PATIENT = a_patient(id="p2", name=[{"family": SECRET}])
AN_OBSERVATION = an_observation("p2", id="o-p2", note=[{"text": SECRET}])

A_PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Observation.status"},
                {"name": "value", "valueCode": "amended"},
            ],
        }
    ],
}
A_META = {
    "resourceType": "Parameters",
    "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "http://a.example", "code": "x"}]}}],
}


def _transaction(kind: str) -> dict[str, Any]:
    request = {"method": "PUT", "url": "Observation/o-p2"}
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": AN_OBSERVATION, "request": request}],
    }


EXAMPLES: dict[tuple[str, str], list[tuple[str, Any]]] = {
    ("GET", ""): [("?_type=Observation&_id=o-p2", None)],
    ("POST", ""): [("", _transaction("batch")), ("", _transaction("transaction"))],
    ("POST", "_search"): [("_search?_type=Observation&_id=o-p2", "")],
    ("GET", "_history"): [("_history", None)],
    ("GET", "{type}"): [("Observation?subject=Patient/p2", None), ("Patient?_id=p2", None)],
    ("POST", "{type}"): [("Observation", AN_OBSERVATION)],
    ("PUT", "{type}"): [("Observation?_id=o-p2", AN_OBSERVATION)],
    ("PATCH", "{type}"): [("Observation?_id=o-p2", A_PATCH)],
    ("DELETE", "{type}"): [("Observation?_id=o-p2", None)],
    ("POST", "{type}/_search"): [("Observation/_search?_id=o-p2", "")],
    ("GET", "{type}/_history"): [("Observation/_history", None)],
    ("GET", "{type}/{id}"): [("Observation/o-p2", None), ("Patient/p2", None)],
    ("PUT", "{type}/{id}"): [("Observation/o-p2", AN_OBSERVATION)],
    ("PATCH", "{type}/{id}"): [("Observation/o-p2", A_PATCH)],
    ("DELETE", "{type}/{id}"): [("Observation/o-p2", None)],
    ("GET", "{type}/{id}/_history"): [("Observation/o-p2/_history", None)],
    ("GET", "{type}/{id}/_history/{vid}"): [("Observation/o-p2/_history/1", None)],
    ("POST", "{compartment}/{id}/_search"): [("Patient/p2/_search", "")],
    ("GET", "{compartment}/{id}/*"): [("Patient/p2/*", None)],
    ("POST", "{compartment}/{id}/*/_search"): [("Patient/p2/*/_search", "")],
    ("GET", "{compartment}/{id}/{type}"): [("Patient/p2/Observation", None), ("Patient/p2/Patient", None)],
    ("POST", "{compartment}/{id}/{type}/_search"): [("Patient/p2/Observation/_search", "")],
    ("GET", "$meta"): [("$meta", None)],
    ("POST", "$meta"): [("$meta", None)],
    ("GET", "{type}/$meta"): [("Patient/$meta", None)],
    ("POST", "{type}/$meta"): [("Patient/$meta", None)],
    ("GET", "{type}/{id}/$meta"): [("Patient/p2/$meta", None)],
    ("POST", "{type}/{id}/$meta"): [("Patient/p2/$meta", None)],
    ("POST", "{type}/{id}/$meta-add"): [("Patient/p2/$meta-add", A_META)],
    ("POST", "{type}/{id}/$meta-delete"): [("Patient/p2/$meta-delete", A_META)],
    ("POST", "$reindex"): [("$reindex", None)],
    ("POST", "{type}/$reindex"): [("Patient/$reindex", None)],
    ("GET", "$reindex-status"): [("$reindex-status", None)],
    ("POST", "$reindex-status"): [("$reindex-status", None)],
    ("GET", "{type}/{id}/$reindex-status"): [("Patient/p2/$reindex-status", None)],
    ("POST", "{type}/{id}/$reindex-status"): [("Patient/p2/$reindex-status", None)],
    ("POST", "{type}/$validate"): [("Patient/$validate", A_PATIENT)],
    ("GET", "{type}/{id}/$validate"): [("Patient/p2/$validate", None)],
    ("POST", "{type}/{id}/$validate"): [("Patient/p2/$validate", None)],
}


def test_each_route_has_an_example_here() -> None:
    assert EXAMPLES.keys() == {(route.method, route.template) for route in ROUTES}


async def _not_ready() -> dict[str, str]:
    return {}


def test_the_public_addresses_are_the_literal_list() -> None:
    application = face(
        _not_ready, Metrics(), Settings(base_url="http://x.example/fhir", demo=True), registered(Settings())
    )
    served = {route.path for route in application.routes if isinstance(route, APIRoute | Route | Mount)}
    assert PUBLIC | AUTHORIZATION | PAGES | served == PUBLIC_ADDRESSES
    assert set(PUBLIC_FACE) == served


async def _store_the_patient(server: Server) -> None:
    async with server.as_() as client:
        assert (await client.put("/Patient/p2", json=A_PATIENT)).status_code == 201
        assert (await client.put("/Observation/o-p2", json=AN_OBSERVATION)).status_code == 201


@pytest.mark.parametrize(
    "bearer", ["nobody", "a wrong token", "another patient", "no scope", "nobody's user"]
)
async def test_no_route_shows_or_changes_what_it_may_not(server: Server, bearer: str) -> None:
    """[R95, R247, R266]: but for the public addresses, each takes a token."""
    await _store_the_patient(server)
    token = {
        "nobody": None,
        "a wrong token": server.token()[:-8] + "AAAAAAAA",
        "another patient": server.token("patient/*.cruds", patient="p1"),
        "no scope": server.token("system/Basic.cruds"),
        "nobody's user": server.token("user/*.cruds", user="Device/1"),
    }[bearer]
    before = len(await server.records())
    requests = [(method, path, body) for (method, _), each in EXAMPLES.items() for path, body in each]
    asked = 0
    async with server.bearing(token) as client:
        for number, (method, path, body) in enumerate(requests):
            headers = {"X-Request-Id": f"request-{number}"}
            kind = {"content": body} if isinstance(body, str) else {"json": body} if body else {}
            answer = await client.request(method, f"/{path}", headers=headers, **kind)
            if answer.status_code == 429:
                # Refused calls of one address are slowed down: the next second is another matter.
                await asyncio.sleep(1)
                answer = await client.request(method, f"/{path}", headers=headers, **kind)
            asked += 1
            told = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
            assert SECRET not in answer.text, told
            if answer.status_code == 200:
                body_told = answer.json()
                found = [entry for entry in body_told.get("entry", []) if "resource" in entry]
                statuses = [
                    entry["response"]["status"][:3]
                    for entry in body_told.get("entry", [])
                    if "response" in entry
                ]
                assert found == [], told
                assert set(statuses) <= {"401", "403", "404"}, told
            elif answer.status_code == 204:
                assert (method, path) == ("DELETE", "Observation?_id=o-p2"), "nothing matches what is hidden"
            else:
                assert answer.status_code in (401, 403, 404), told
                assert issues_of(answer), told
    records = await server.records()
    known = {record.request_id for record in records}
    assert {f"request-{number}" for number in range(asked)} <= known
    assert len(records) >= before + asked
    async with server.as_() as client:
        untouched = await client.get("/Observation/o-p2")
    assert untouched.headers["etag"] == 'W/"1"'


async def test_each_interaction_is_recorded_under_its_name(server: Server) -> None:
    await _store_the_patient(server)
    async with server.as_() as client:
        for (method, _), examples in EXAMPLES.items():
            for path, body in examples:
                kind = {"content": body} if isinstance(body, str) else {"json": body} if body else {}
                answer = await client.request(method, f"/{path}", **kind)
                assert answer.status_code in (200, 201, 204, 404, 410), (
                    f"{method} {path}: {answer.text[:300]}"
                )
    recorded = {record.interaction.partition("-")[0] for record in await server.records()}
    kinds = [
        kind.__name__.lower()
        for kind in get_args(Interaction)
        if kind not in (Capabilities, Operation, Submission)
    ]
    assert recorded >= {kind.removeprefix("conditional") for kind in kinds} | {"batch", "transaction"}
    assert recorded >= {f"${name.partition('-')[0]}" for name in OPERATIONS}
    assert name_of(Capabilities()) == "capabilities"


async def test_many_refused_calls_of_one_address_are_slowed_and_counted(server: Server) -> None:
    statuses = []
    async with server.bearing(None) as client:
        for _ in range(60):
            answer = await client.get("/Patient/p1")
            statuses.append(answer.status_code)
    limit = server.services.settings.refusals_per_second_max
    assert statuses[:limit] == [401] * limit
    assert 429 in statuses
    slowed = [record for record in await server.records() if record.status == 401]
    assert len(slowed) < 60
