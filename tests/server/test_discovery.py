"""
What an app finds out before it has a token: https://hl7.org/fhir/smart-app-launch/conformance.html

The ids in brackets are those of requirements: D1 to D8.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.pipeline.authorizing.serving import CAPABILITIES
from tests.databases import a_database
from tests.server.running import Server, serving

ORIGIN = "http://fhir.example"
SMART = "/.well-known/smart-configuration"
OPENID = "/.well-known/openid-configuration"
OURS = "https://app.example"
"""The one origin that this deployment lets its API be called from."""
ENDPOINTS = ("authorization", "token", "revocation", "introspection", "registration", "userinfo")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    told: dict[str, Any] = {"cors_origins": (OURS,), "refusals_per_second_max": 10_000}
    async with a_database(mongodb_url) as name, serving(mongodb_url, name, folder, **told) as running:
        yield running


async def ask(server: Server, method: str, path: str, **headers: str) -> httpx.Response:
    async with server.bearing(None) as http:
        return await http.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def served(path: str) -> int:
    return 200 if path == SMART or "sso-openid-connect" in CAPABILITIES else 404


@pytest.mark.parametrize("accept", ["application/json", "text/html", "application/fhir+xml", "*/*", ""])
async def test_it_is_json_whatever_is_asked_for(server: Server, accept: str) -> None:
    """[D1, D8, R30, R372, R374, R377, R380]"""
    answer = await ask(server, "GET", SMART, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["capabilities"]


async def test_both_documents_are_found_below_a_base_with_a_path_and_agree(server: Server) -> None:
    """[D1, D3, R381, R382]"""
    smart, openid = await ask(server, "GET", SMART), await ask(server, "GET", OPENID)
    assert openid.status_code == served(OPENID)
    assert ("issuer" in smart.json()) == (openid.status_code == 200)
    if openid.status_code == 200:
        assert smart.json()["issuer"] == openid.json()["issuer"] == f"{ORIGIN}/fhir"
        assert smart.json()["jwks_uri"] == openid.json()["jwks_uri"]


async def test_the_required_members_are_there_and_addresses_are_absolute(server: Server) -> None:
    """[D2, D4, D6, R14, R15, R373, R378, R383-385, R393, R394]"""
    told = (await ask(server, "GET", SMART)).json()
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["grant_types_supported"]
    addresses = [value for name, value in told.items() if name.endswith(("_endpoint", "_uri"))]
    assert told["token_endpoint"] in addresses
    assert all(address.startswith(f"{ORIGIN}/") for address in addresses)


async def test_each_endpoint_that_is_listed_is_there(server: Server) -> None:
    """[D5, D7]"""
    told = {**(await ask(server, "GET", OPENID)).json(), **(await ask(server, "GET", SMART)).json()}
    for name in ENDPOINTS:
        if (address := told.get(f"{name}_endpoint")) is not None:
            answer = await ask(server, "POST", address)
            assert answer.status_code not in (404, 405, 500), name
    for name in ("jwks_uri", "management_endpoint", "user_access_brand_bundle"):
        if (address := told.get(name)) is not None:
            assert (await ask(server, "GET", address)).status_code in (200, 302, 303), name


async def test_each_scope_that_is_listed_makes_a_token_that_holds(server: Server) -> None:
    """[D5, D7]"""
    for scope in (await ask(server, "GET", SMART)).json()["scopes_supported"]:
        token = server.token(scope, user="Practitioner/1", patient="1")
        async with server.bearing(token) as http:
            assert (await http.get("/Patient")).status_code in (200, 403), scope


@pytest.mark.parametrize("path", [SMART, OPENID, "/metadata", f"{ORIGIN}/auth/jwks"])
@pytest.mark.parametrize("origin", [OURS, "https://other.example", "null"])
async def test_scripts_of_any_origin_may_read_it(server: Server, path: str, origin: str) -> None:
    """[D8, R16]"""
    answer = await ask(server, "GET", path, origin=origin)
    assert answer.status_code == (served(path) if path == OPENID else 200)
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", [SMART, OPENID, "/metadata", f"{ORIGIN}/auth/jwks"])
@pytest.mark.parametrize("origin", [OURS, "https://other.example"])
async def test_a_preflight_is_answered_for_any_origin(server: Server, path: str, origin: str) -> None:
    """[D8, R16]"""
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "authorization"}
    answer = await ask(server, "OPTIONS", path, origin=origin, **asked)
    assert answer.status_code == 204
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]


async def test_what_takes_a_token_stays_for_the_origins_that_were_named(server: Server) -> None:
    """[D9]"""
    for origin, allowed in ((OURS, OURS), ("https://other.example", None)):
        answer = await ask(server, "GET", "/Patient", origin=origin)
        assert answer.headers.get("access-control-allow-origin") == allowed


async def test_it_is_read_and_not_written(server: Server) -> None:
    for path in (SMART, OPENID):
        assert (await ask(server, "POST", path)).status_code == 405
        assert (await ask(server, "HEAD", path)).content == b""


async def test_asking_leaves_no_record(server: Server) -> None:
    before = len(await server.records())
    for path in (SMART, OPENID, f"{ORIGIN}/auth/jwks"):
        await ask(server, "GET", path)
    assert len(await server.records()) == before


async def test_a_base_without_a_path_has_them_too(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    """[D1]"""
    async with serving(mongodb_url, database_name, tmp_path, base_url=ORIGIN) as running:
        answer = await ask(running, "GET", f"{ORIGIN}{SMART}")
        assert answer.json()["token_endpoint"] == f"{ORIGIN}/auth/token"
        assert (await ask(running, "GET", f"{ORIGIN}/auth/jwks")).status_code == 200
