"""
What a token is worth, over HTTP: https://hl7.org/fhir/smart-app-launch/token-introspection.html

The ids in brackets are those of requirements: F5 and R271 to R283.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, accepted
from fhir_server.smart.id_tokens import Identity
from fhir_server.smart.revocations import of_client, of_token
from fhir_server.smart.tokens import Grant
from tests.databases import a_database
from tests.server.running import BASE, Server, serving
from tests.smart.services import BackEnd, an_ec_key

TOKEN = "http://fhir.example/auth/token"
INTROSPECT = "http://fhir.example/auth/introspect"
INACTIVE = {"active": False}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, folder, refusals_per_second_max=10_000) as running,
    ):
        yield running


async def registered(server: Server, id: str, scope: str) -> BackEnd:
    now = server.services.clock()
    service = BackEnd(id, TOKEN, [an_ec_key(f"{id}-ec")], int(now.timestamp()))
    client = accepted(Client(id, id, scope, service.jwks, None, now), definitions().resource_types)
    await server.services.store.clients.register(client)
    return service


def issued(server: Server, scope: str, **stated: Any) -> str:
    now = int(server.services.clock().timestamp()) + stated.pop("at", 0)
    told = {"client": "app", "token_id": server.services.new_id(), **stated}
    token_id = told.pop("token_id")
    grant = Grant(scope=scope, lifetime_seconds=600, **told)
    return server.services.tokens.issue(grant, now=now, token_id=token_id)


async def ask(server: Server, bearer: str | None, **form: str) -> httpx.Response:
    async with server.bearing(bearer) as http:
        return await http.post(INTROSPECT, data=form)


def of_a_gateway(server: Server) -> str:
    """The token of a resource server that may ask."""
    return issued(server, "__introspect", client="gateway")


async def test_a_resource_server_learns_what_a_token_is_worth(server: Server) -> None:
    """[F5, R271-R280]"""
    scope = "patient/*.rs user/Observation.rs?category=laboratory openid fhirUser launch/patient"
    told = {"user": "Practitioner/7", "patient": "ann", "account": "u-1", "grant": "none-such"}
    before = int(server.services.clock().timestamp())
    answer = await ask(server, of_a_gateway(server), token=issued(server, scope, **told))
    assert answer.status_code == 200
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "application/json",
        "no-store",
    )
    found = answer.json()
    assert 0 <= found.pop("iat") - before <= 5
    assert 600 <= found.pop("exp") - before <= 605
    assert set(found.pop("scope").split(" ")) == set(scope.split(" "))
    assert found == {
        "active": True,
        "client_id": "app",
        "token_type": "Bearer",
        "iss": BASE,
        "aud": BASE,
        "sub": "u-1",
        "fhirUser": f"{BASE}/Practitioner/7",
        "patient": "ann",
    }


async def test_a_user_who_was_not_asked_for_is_not_told(server: Server) -> None:
    """[F5]"""
    token = issued(server, "user/*.rs", user="Practitioner/7")
    assert "fhirUser" not in (await ask(server, of_a_gateway(server), token=token)).json()


async def test_a_registered_client_asks_by_its_key(server: Server) -> None:
    """[F5, S10]"""
    service = await registered(server, "portal", "system/Patient.rs __introspect")
    answer = await ask(server, None, **service.form(token=server.token()))
    assert answer.json()["active"] is True
    assert (await server.records())[-1].client == "portal"
    again = service.assertion()
    assert (await ask(server, None, **service.form(again, token=server.token()))).status_code == 200
    assert (await ask(server, None, **service.form(again, token=server.token()))).status_code == 401


async def test_a_back_end_service_gets_a_token_to_ask_with(server: Server) -> None:
    """[F5, S10, R217, R282, R283]"""
    service = await registered(server, "proxy", "__introspect")
    async with server.bearing(None) as http:
        got = (await http.post(TOKEN, data=service.form(scope="__introspect"))).json()
    assert got["scope"] == "__introspect"
    assert (await ask(server, got["access_token"], token=server.token())).json()["active"] is True


async def test_what_does_not_hold_is_inactive_and_nothing_more(server: Server) -> None:
    """[F5, R278]"""
    services, now = server.services, server.services.clock()
    revoked = issued(server, "system/*.rs", token_id="gone")
    of_all = issued(server, "system/*.rs", client="removed")
    await services.store.revocations.add(of_token("gone", now, now + timedelta(hours=1)))
    await services.store.revocations.add(of_client("removed", now, now + timedelta(hours=1)))
    identity = Identity("u-1", BASE, frozenset(("openid",)), int(now.timestamp()))
    for token in (
        issued(server, "system/*.rs", at=-3_600),
        revoked,
        of_all,
        server.token()[:-6] + "AAAAAA",
        services.id_tokens.issue(identity, int(now.timestamp())),
        "abcdefghijklmnopqrstuvwx.abcdefghijklmnopqrstuvwx",
        "garbage",
        "\x00é\r\n",
        "x" * 9_000,
    ):
        answer = await ask(server, of_a_gateway(server), token=token)
        assert (answer.status_code, answer.json()) == (200, INACTIVE), token[:40]


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
async def test_a_hint_changes_nothing(server: Server, hint: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc7662#section-2.1"""
    answer = await ask(server, of_a_gateway(server), token=server.token(), token_type_hint=hint)
    assert answer.json()["active"] is True


async def test_who_may_not_ask_is_told_nothing(server: Server) -> None:
    """[F5]"""
    token = server.token()
    revoked = issued(server, "__introspect", token_id="taken-back")
    now = server.services.clock()
    await server.services.store.revocations.add(of_token("taken-back", now, now + timedelta(hours=1)))
    for bearer in (None, "nonsense", token, issued(server, "openid launch"), revoked):
        answer = await ask(server, bearer, token=token)
        assert answer.status_code == 401
        assert "active" not in answer.json()
        if bearer is not None:
            assert answer.headers["www-authenticate"].startswith("Bearer error=")


async def test_a_client_without_the_scope_may_not_ask(server: Server) -> None:
    """[F5, S10]"""
    service = await registered(server, "nosy", "system/*.cruds")
    answer = await ask(server, None, **service.form(token=server.token(), scope="__introspect"))
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized_client")
    assert (await server.records())[-1].client == "nosy"


async def test_the_token_that_is_asked_about_cannot_vouch_for_itself(server: Server) -> None:
    token = server.token()
    async with server.bearing(None) as http:
        answer = await http.post(INTROSPECT, data={"token": token, "client_id": "test"})
    assert answer.status_code == 401


async def test_each_call_leaves_a_record(server: Server) -> None:
    """[F5]"""
    before = len(await server.records())
    gateway = of_a_gateway(server)
    await ask(server, gateway, token=issued(server, "patient/*.rs", patient="ann"))
    await ask(server, gateway, token="garbage")
    await ask(server, gateway)
    await ask(server, None, token="garbage")
    told = (await server.records())[before:]
    assert [record.status for record in told] == [200, 200, 400, 401]
    assert [record.client for record in told] == ["gateway", "gateway", "gateway", None]
    assert told[0].interaction == "introspection"
    assert told[0].patients == ("ann",)


async def test_it_is_asked_by_post_with_a_token(server: Server) -> None:
    """[F5] https://www.rfc-editor.org/rfc/rfc7662#section-2.1"""
    gateway = of_a_gateway(server)
    async with server.bearing(gateway) as http:
        assert (await http.get(INTROSPECT, params={"token": "x"})).status_code == 405
        assert (await http.post(INTROSPECT, json={"token": "x"})).status_code == 415
    assert (await ask(server, gateway)).json()["error"] == "invalid_request"
