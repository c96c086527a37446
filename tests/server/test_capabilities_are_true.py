"""
What the CapabilityStatement claims is answered, and what it does not claim is not.

Each type is asked by each route, so that a route, a type that is treated otherwise and a line of
the statement cannot part without this test.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import httpx

from fhir_server.api.registration import registered
from fhir_server.api.routes import ROUTES
from fhir_server.operations import OPERATIONS
from fhir_server.r4.definitions import definitions
from fhir_server.r4.resource import to_text
from fhir_server.settings import Settings
from tests.r4.instances import minimal
from tests.server.running import Server

TYPES_AT_ONCE: Final = 16
INCLUDES_AT_ONCE: Final = 10
NOT_SERVED: Final = frozenset((404, 405, 501))
A_PATCH: Final = b'[{"op": "add", "path": "/language", "value": "en"}]'
JSON: Final = {"Content-Type": "application/fhir+json"}
JSON_PATCH: Final = {"Content-Type": "application/json-patch+json"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
CONDITIONAL: Final[Mapping[str, tuple[str, object]]] = {
    "create": ("conditionalCreate", True),
    "read": ("conditionalRead", "full-support"),
    "update": ("conditionalUpdate", True),
    "delete": ("conditionalDelete", "single"),
}
"""Where the statement says that an interaction has conditions, and how."""


class Asked(NamedTuple):
    """A request that shows whether `code` is there; `said` is what the statement must say of it."""

    code: str
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    said: tuple[str, object] | None = None


def asked_of(resource_type: str, id: str) -> Iterator[Asked]:
    """Each interaction, so that one finds what the one before has left; `id` is there in the end."""
    body = to_text({**minimal(resource_type), "id": id})
    new = to_text(minimal(resource_type))
    one, named = f"/{resource_type}/{id}", f"/{resource_type}?_id={id}"
    absent = {**JSON, "If-None-Exist": f"_id={id}"}
    yield Asked("update", "PUT", one, body, JSON)
    yield Asked("create", "POST", f"/{resource_type}", new, JSON)
    yield Asked("create", "POST", f"/{resource_type}", new, absent, CONDITIONAL["create"])
    yield Asked("update", "PUT", named, body, JSON, CONDITIONAL["update"])
    yield Asked("patch", "PATCH", one, A_PATCH, JSON_PATCH)
    yield Asked("patch", "PATCH", named, A_PATCH, JSON_PATCH)
    yield Asked("read", "GET", one)
    yield Asked("read", "GET", one, None, {"If-None-Match": 'W/"1"'}, CONDITIONAL["read"])
    yield Asked("vread", "GET", f"{one}/_history/1")
    yield Asked("history-instance", "GET", f"{one}/_history")
    yield Asked("history-type", "GET", f"/{resource_type}/_history")
    yield Asked("search-type", "GET", named)
    yield Asked("search-type", "POST", f"/{resource_type}/_search", f"_id={id}".encode(), FORM)
    for operation in OPERATIONS.values():
        yield from _operations(operation.name, resource_type, one, body)
    yield Asked("delete", "DELETE", one)
    yield Asked("delete", "DELETE", named, None, {}, CONDITIONAL["delete"])


def _operations(name: str, resource_type: str, one: str, body: bytes) -> Iterator[Asked]:
    levels, asked = OPERATIONS[name].levels, body
    if name != "validate":
        meta = {"name": "meta", "valueMeta": {"tag": [{"system": "http://a.example", "code": "x"}]}}
        given = {"parameter": [meta]} if name in ("meta-add", "meta-delete") else {}
        asked = to_text({"resourceType": "Parameters", **given})
    if "type" in levels:
        yield Asked(f"${name}", "POST", f"/{resource_type}/${name}", asked, JSON)
    if "instance" in levels:
        yield Asked(f"${name}", "POST", f"{one}/${name}", asked, JSON)


async def answered(client: httpx.AsyncClient, asked: Asked) -> bool:
    answer = await client.request(
        asked.method, asked.path, content=asked.body, headers=dict(asked.headers), timeout=30
    )
    assert answer.status_code in {200, 201, 204, 304} | NOT_SERVED, f"{asked}: {answer.text[:300]}"
    return answer.status_code not in NOT_SERVED


async def wrong_claims(client: httpx.AsyncClient, resource: Mapping[str, Any], id: str) -> list[str]:
    """Where the statement's `resource` says one thing, and the server does another."""
    claimed = {each["code"] for each in resource["interaction"]}
    claimed |= {f"${each['name']}" for each in resource.get("operation", ())}
    wrong = []
    for asked in asked_of(resource["type"], id):
        expected = asked.code in claimed
        if asked.said is not None:
            name, value = asked.said
            expected = resource[name] == value
        if await answered(client, asked) is not expected:
            wrong.append(f"{asked.method} {asked.path} ({asked.code}): claimed {expected}")
    return wrong


async def an_audit_event(client: httpx.AsyncClient) -> str:
    found = (await client.get("/AuditEvent?_count=1")).json()
    id: str = found["entry"][0]["resource"]["id"]
    return id


async def test_each_interaction_that_is_claimed_is_answered_and_no_other(server: Server) -> None:
    async with server.as_() as client:
        (rest,) = (await client.get("/metadata")).json()["rest"]
        await client.get("/Patient")
        event = await an_audit_event(client)
        turns = asyncio.Semaphore(TYPES_AT_ONCE)

        async def wrong_of(resource: Mapping[str, Any]) -> list[str]:
            async with turns:
                return await wrong_claims(
                    client, resource, event if resource["type"] == "AuditEvent" else "x"
                )

        wrong = [line for each in await asyncio.gather(*map(wrong_of, rest["resource"])) for line in each]
    assert not wrong, "\n".join(wrong)
    assert len(rest["resource"]) == 146


async def test_the_includes_that_are_claimed_are_answered(server: Server) -> None:
    async with server.as_() as client:
        (rest,) = (await client.get("/metadata")).json()["rest"]
        for resource in rest["resource"]:
            claimed = [("_include", each) for each in resource.get("searchInclude", ())[:INCLUDES_AT_ONCE]]
            claimed += [("_revinclude", each) for each in resource["searchRevInclude"][-INCLUDES_AT_ONCE:]]
            answer = await client.get(f"/{resource['type']}", params=[*claimed, ("_count", "1")])
            assert answer.status_code == 200, answer.text


async def test_each_interaction_of_the_system_is_answered(server: Server) -> None:
    def bundle(kind: str) -> bytes:
        return to_text({"resourceType": "Bundle", "type": kind})

    requests = {
        "transaction": [Asked("transaction", "POST", "", bundle("transaction"), JSON)],
        "batch": [Asked("batch", "POST", "", bundle("batch"), JSON)],
        "search-system": [
            Asked("search-system", "GET", "?_type=Patient"),
            Asked("search-system", "POST", "/_search", b"_type=Patient", FORM),
        ],
        "history-system": [Asked("history-system", "GET", "/_history")],
    }
    async with server.as_() as client:
        (rest,) = (await client.get("/metadata")).json()["rest"]
        assert {each["code"] for each in rest["interaction"]} == requests.keys()
        for each in requests.values():
            for asked in each:
                assert await answered(client, asked), asked
        for operation in rest["operation"]:
            method, *_ = OPERATIONS[operation["name"]].methods("system")
            assert await answered(client, Asked("$", method, f"/${operation['name']}")), operation
        for name in OPERATIONS.keys() - {each["name"] for each in rest["operation"]}:
            assert not await answered(client, Asked("$", "GET", f"/${name}")), name


async def test_each_format_of_a_patch_that_is_claimed_is_read(server: Server) -> None:
    async with server.as_() as client:
        claimed = (await client.get("/metadata")).json()["patchFormat"]
        await client.put("/Basic/x", json={**minimal("Basic"), "id": "x"})
        statuses = {
            kind: (await client.patch("/Basic/x", content=b"?", headers={"Content-Type": kind})).status_code
            for kind in (*claimed, "application/merge-patch+json", "text/plain")
        }
    assert {kind for kind, status in statuses.items() if status != 415} == set(claimed)


async def test_each_format_that_is_claimed_is_written_and_no_other(server: Server) -> None:
    async with server.as_() as client:
        claimed = (await client.get("/metadata")).json()["format"]
        written = {
            format
            for format in (*claimed, "ttl", "text/turtle", "html")
            if (await client.get("/Patient", params={"_format": format})).status_code == 200
        }
    assert written == set(claimed)


def test_each_route_is_claimed() -> None:
    told = registered(Settings())
    codes = {code for route in ROUTES for code in route.serves}
    assert codes == {*told.system, *told.types}
    for route in ROUTES:
        is_operation = route.template.rpartition("/")[2].startswith("$")
        assert bool(route.serves) is not is_operation, route.template
        if is_operation:
            assert route.template.rpartition("$")[2] in OPERATIONS


def test_each_type_is_asked() -> None:
    asked = {each.code for each in asked_of("Patient", "x")}
    told = registered(Settings())
    assert asked == {*told.types, *(f"${name}" for name in OPERATIONS)}
    assert len(definitions().resource_types) == 146
