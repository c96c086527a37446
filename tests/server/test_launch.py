"""People log in, choose and decide, and apps get their tokens: https://hl7.org/fhir/smart-app-launch/"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import add_app, ask, given, launching
from tests.server.running import Server
from tests.smart.browsing import App

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize("app", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
async def test_a_patient_gives_an_app_their_record(server: Server, app: App) -> None:
    told = await given(server, app, "ann", "launch/patient patient/*.rs")
    assert told["patient"] == "ann"
    assert told["token_type"] == "Bearer"
    assert told["expires_in"] == 3600
    assert told["scope"] == "launch/patient patient/*.rs"
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        assert (await http.get("/Patient/bob")).status_code == httpx.codes.NOT_FOUND


INTROSPECT = "http://fhir.example/auth/introspect"
ITS_ORIGIN = "https://app.example"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        (ITS_ORIGIN, True),
        ("https://app.example:8443", False),
        ("http://app.example", False),
        ("https://app.example.evil", False),
        ("https://evil.app.example", False),
        ("null", False),
    ],
)
async def test_scripts_of_an_apps_own_origin_may_read(server: Server, origin: str, may: bool) -> None:
    """[D9, R17, X24]"""
    told = await given(server, PUBLIC, "ann", "launch/patient patient/*.rs")
    async with server.bearing(told["access_token"]) as http:
        before = await http.options("/Patient/ann", headers={"Origin": origin, **PREFLIGHT})
        after = await http.get("/Patient/ann", headers={"Origin": origin})
        token = await http.post("http://fhir.example/auth/token", data={}, headers={"Origin": origin})
    for answer in (before, after, token):
        assert answer.headers.get("access-control-allow-origin") == (origin if may else None)
        assert "access-control-allow-credentials" not in answer.headers
    assert before.status_code == (httpx.codes.OK if may else httpx.codes.BAD_REQUEST)


async def test_scripts_of_another_apps_origin_may_not_read(server: Server) -> None:
    """[D9]"""
    other = App("elsewhere", redirect_uri="https://elsewhere.example/")
    await add_app(server, other)
    told = await given(server, PUBLIC, "ann", "launch/patient patient/*.rs")
    async with server.bearing(told["access_token"]) as http:
        answer = await http.get("/Patient/ann", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_relative_gives_an_app_the_record_of_whom_they_speak_for(server: Server) -> None:
    told = await given(server, PUBLIC, "rita", "launch/patient patient/*.rs")
    assert told["patient"] == "ann"
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        assert (await http.get("/Patient/bob")).status_code == httpx.codes.NOT_FOUND


async def test_an_app_may_ask_which_patient_and_nothing_else(server: Server) -> None:
    told = await given(server, PUBLIC, "ann", "launch/patient")
    assert (told["patient"], told["scope"]) == ("ann", "launch/patient")


async def test_what_was_granted_is_told_to_who_may_ask(server: Server) -> None:
    """[F5, R272]"""
    told = await given(server, PUBLIC, "ann", "openid fhirUser launch/patient patient/*.rs offline_access")
    async with server.bearing(server.token("__introspect")) as http:
        worth = {
            name: (await http.post(INTROSPECT, data={"token": told[name]})).json()
            for name in ("access_token", "refresh_token")
        }
        for found in worth.values():
            assert (found["active"], found["client_id"], found["patient"]) == (True, "public", "ann")
            assert found["fhirUser"] == "http://fhir.example/fhir/Patient/ann"
            assert found["need_patient_banner"] is True
            assert set(found["scope"].split()) == set(told["scope"].split())
        renewed = (await ask(server, **PUBLIC.refreshes(told["refresh_token"]))).json()
        old = await http.post(INTROSPECT, data={"token": told["refresh_token"]})
        assert old.json() == {"active": False}
        new = await http.post(INTROSPECT, data={"token": renewed["refresh_token"]})
        assert new.json()["active"] is True
