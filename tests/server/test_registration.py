"""Apps register themselves, where they may: https://www.rfc-editor.org/rfc/rfc7591"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import ask, decided, launching
from tests.server.running import Server
from tests.smart.browsing import App, told_to_app
from tests.smart.services import an_ec_key

REGISTER = "http://fhir.example/auth/register"
REDIRECT = "https://growth.example/callback"
METADATA: dict[str, Any] = {
    "client_name": "Growth",
    "redirect_uris": [REDIRECT],
    "token_endpoint_auth_method": "none",
    "scope": "launch/patient patient/Observation.rs",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    told = {"dynamic_registration": True, "registered_clients_max": 12}
    async with launching(mongodb_url, tmp_path_factory.mktemp("data"), **told) as running:
        yield running


async def register(server: Server, body: Any) -> httpx.Response:
    async with server.bearing(None) as http:
        return await http.post(REGISTER, json=body)


async def test_a_public_app_registers_itself_and_is_used(server: Server) -> None:
    """[G1, R18, R24]"""
    answer = await register(server, {**METADATA, "logo_uri": "https://growth.example/logo.png"})
    assert answer.status_code == httpx.codes.CREATED
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert "client_secret" not in told
    assert "logo_uri" not in told
    assert told["redirect_uris"] == [REDIRECT]
    app = App(told["client_id"], REDIRECT)
    code = told_to_app(await decided(server, app, "ann", "launch/patient patient/Observation.rs"))["code"]
    given = (await ask(server, **app.redeems(code))).json()
    assert given["scope"] == "launch/patient patient/Observation.rs"
    found = [one for one in await server.records() if one.interaction == "registration"]
    assert found[-1].client == told["client_id"]


async def test_an_app_with_a_secret_is_told_it_once(server: Server) -> None:
    told = (await register(server, {**METADATA, "token_endpoint_auth_method": "client_secret_basic"})).json()
    assert told["client_secret_expires_at"] == 0
    app = App(told["client_id"], REDIRECT, told["client_secret"])
    code = told_to_app(await decided(server, app, "ann", "launch/patient patient/Observation.rs"))["code"]
    assert (await ask(server, **app.redeems(code))).status_code == httpx.codes.OK
    kept = await server.services.store.clients.get(app.id)
    assert kept is not None
    assert kept.secret != told["client_secret"]


async def test_an_app_with_a_key_tells_it(server: Server) -> None:
    """[G2, R297, R316]"""
    keys = {"keys": [an_ec_key("one").as_dict(private=False)]}
    told = (
        await register(server, {**METADATA, "token_endpoint_auth_method": "private_key_jwt", "jwks": keys})
    ).json()
    assert told["jwks"]["keys"][0]["kid"] == "one"


BAD: dict[str, tuple[Any, str]] = {
    "no redirect URI": ({"redirect_uris": []}, "invalid_redirect_uri"),
    "redirect URIs no list": ({"redirect_uris": REDIRECT}, "invalid_redirect_uri"),
    "a script": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "without TLS": ({"redirect_uris": ["http://growth.example/"]}, "invalid_redirect_uri"),
    "a wildcard": ({"redirect_uris": ["https://*.growth.example/"]}, "invalid_redirect_uri"),
    "a fragment": ({"redirect_uris": ["https://growth.example/#x"]}, "invalid_redirect_uri"),
    "a person": ({"redirect_uris": ["https://growth.example@evil.example/"]}, "invalid_redirect_uri"),
    "keys by URL": ({"jwks_uri": "https://growth.example/jwks"}, "invalid_client_metadata"),
    "a statement": ({"software_statement": "x.y.z"}, "invalid_client_metadata"),
    "a secret in the form": ({"token_endpoint_auth_method": "client_secret_post"}, "invalid_client_metadata"),
    "implicit": ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
    "a service": ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    "tokens at once": ({"response_types": ["token"]}, "invalid_client_metadata"),
    "a system's scope": ({"scope": "system/*.rs"}, "invalid_client_metadata"),
    "to launch apps": ({"scope": "__launch"}, "invalid_client_metadata"),
    "a name that is none": ({"client_name": ["x"]}, "invalid_client_metadata"),
    "a name with a line feed": ({"client_name": "a\nb"}, "invalid_client_metadata"),
    "a key without its method": ({"jwks": {"keys": []}}, "invalid_client_metadata"),
    "a method without its key": (
        {"token_endpoint_auth_method": "private_key_jwt"},
        "invalid_client_metadata",
    ),
    "launched elsewhere": ({"initiate_login_uri": "http://growth.example/"}, "invalid_client_metadata"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_an_operator_would_not_register_is_refused(server: Server, name: str) -> None:
    change, error = BAD[name]
    before = await server.services.store.clients.count()
    answer = await register(server, {**METADATA, **change})
    assert (answer.status_code, answer.json()["error"]) == (httpx.codes.BAD_REQUEST, error)
    assert await server.services.store.clients.count() == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"'], ids=["nothing", "list", "cut", "text"])
async def test_what_is_no_object_is_refused(server: Server, body: bytes) -> None:
    async with server.bearing(None) as http:
        answer = await http.post(REGISTER, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == httpx.codes.BAD_REQUEST


async def test_no_more_register_themselves_than_may(server: Server) -> None:
    for _ in range(12):
        answer = await register(server, METADATA)
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert int(answer.headers["retry-after"]) > 0
    assert await server.services.store.clients.count() == 12


async def test_by_default_no_app_registers_itself(server: Server, mongodb_url: str, tmp_path: Any) -> None:
    async with launching(mongodb_url, tmp_path) as plain:
        assert (await register(plain, METADATA)).status_code == httpx.codes.NOT_FOUND
        async with plain.bearing(None) as http:
            told = (await http.get("/.well-known/smart-configuration")).json()
    assert "registration_endpoint" not in told
    async with server.bearing(None) as http:
        told = (await http.get("/.well-known/smart-configuration")).json()
    assert told["registration_endpoint"] == REGISTER
