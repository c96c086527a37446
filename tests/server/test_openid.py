"""
Who logged in, over HTTP: https://openid.net/specs/openid-connect-core-1_0.html

The ids in brackets are those of requirements: O1, O2 and R197 to R210.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.smart.id_tokens import Identity
from fhir_server.smart.keys import LOOKED_SECONDS, Keyring, rotate
from fhir_server.smart.revocations import of_grant
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import Grant
from tests.databases import a_database
from tests.server.running import BASE, Server, serving
from tests.smart.test_keys import a_document_of_before

JWKS = "http://fhir.example/auth/jwks"
USERINFO = "http://fhir.example/auth/userinfo"
BOTH = "openid fhirUser user/*.rs"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, folder, refusals_per_second_max=10_000) as running,
    ):
        yield running


def a_token(server: Server, scope: str = BOTH, *, lifetime_seconds: int = 600, **stated: Any) -> str:
    """As an app has it to whom somebody has granted this."""
    told = {"user": "Practitioner/7", "account": "u-1", "grant": "g-1", **stated}
    now = int(server.services.clock().timestamp())
    grant = Grant("app", scope, lifetime_seconds, **told)
    return server.services.tokens.issue(grant, now=now, token_id=server.services.new_id())


async def ask(server: Server, token: str | None, method: str = "GET") -> httpx.Response:
    async with server.bearing(token) as http:
        return await http.request(method, USERINFO)


async def published(server: Server) -> tuple[KeySet, httpx.Response]:
    async with server.bearing(None) as http:
        answer = await http.get(JWKS)
    return KeySet.import_key_set(answer.json()), answer


async def test_anybody_can_verify_what_was_signed(server: Server) -> None:
    """[O1, R209, R210]"""
    services = server.services
    now = int(services.clock().timestamp())
    identity = Identity("u-1", "app", frozenset(("openid", "fhirUser")), now, "Practitioner/7", "n-1")
    token = services.id_tokens.issue(identity, now)
    keys, answer = await published(server)
    assert answer.headers["content-type"] == "application/json"
    found = jwt.decode(token, keys, algorithms=["RS256"])
    assert found.claims["fhirUser"] == f"{BASE}/Practitioner/7"
    assert (found.claims["iss"], found.claims["aud"], found.claims["nonce"]) == (BASE, "app", "n-1")
    access = jwt.decode(a_token(server), keys, algorithms=["ES256"])
    assert access.claims["iss"] == BASE


async def test_no_private_part_is_published(server: Server) -> None:
    """[O1]"""
    _, answer = await published(server)
    for key in answer.json()["keys"]:
        assert key.keys() <= {"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}


async def test_keys_may_be_kept_for_a_minute(server: Server) -> None:
    _, answer = await published(server)
    assert answer.headers.get_list("cache-control") == ["public, max-age=60"]
    async with server.bearing(None) as http:
        head = await http.head(JWKS)
        assert (head.status_code, head.content) == (200, b"")
        assert (await http.post(JWKS)).status_code == 405


async def test_keys_that_another_process_made_are_published(server: Server) -> None:
    services = server.services
    secret = wrapping_secret(services.settings.data_dir, None)
    before, _ = await published(server)
    kid = await rotate(services.store.state, secret, services.clock(), kept=timedelta(days=30))
    keyring: Keyring = services.keyring
    keyring._looked -= LOOKED_SECONDS
    after, _ = await published(server)
    told = {key.kid for key in after.keys}
    assert kid in told
    assert {key.kid for key in before.keys} < told
    assert len(told) == len(before.keys) + 2


async def test_a_database_of_before_id_tokens_is_served_with_an_rsa_key(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as running:
        before = a_document_of_before(wrapping_secret(tmp_path, None))
        await running.services.store.state.put("signing-keys", "current", before)
    async with (
        serving(mongodb_url, database_name, tmp_path) as one,
        serving(mongodb_url, database_name, tmp_path) as other,
    ):
        told = [
            {key.kid: key.as_dict().get("alg") for key in (await published(each))[0].keys}
            for each in (one, other)
        ]
        assert told[0] == told[1]
        assert sorted(map(str, told[0].values())) == ["ES256", "ES256", "RS256"]
        async with other.bearing(one.token()) as http:
            assert (await http.get("/Patient")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_app_asks_who_logged_in(server: Server, method: str) -> None:
    """[O1]"""
    answer = await ask(server, a_token(server), method)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {"sub": "u-1", "fhirUser": f"{BASE}/Practitioner/7"}
    record = (await server.records())[-1]
    assert (record.interaction, record.client, record.subject) == ("userinfo", "app", "u-1")


@pytest.mark.parametrize(
    ("scope", "user"),
    [("openid user/*.rs", "Practitioner/7"), (BOTH, "Device/1"), ("openid fhirUser", None)],
    ids=["not granted", "a device", "no resource"],
)
async def test_whom_fhir_does_not_know_has_no_fhir_user(server: Server, scope: str, user: str | None) -> None:
    """[O2, R197]"""
    assert (await ask(server, a_token(server, scope, user=user))).json() == {"sub": "u-1"}


async def test_who_has_no_token_that_holds_is_told_nothing(server: Server) -> None:
    services = server.services
    now = int(services.clock().timestamp())
    identity = Identity("u-1", "app", frozenset(("openid",)), now)
    id_token = services.id_tokens.issue(identity, now)
    for token in (None, "nonsense", a_token(server)[:-6] + "AAAAAA", id_token):
        answer = await ask(server, token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["error"] == "invalid_token"
    assert (await server.records())[-1].outcome == "refused"


async def test_an_id_token_opens_nothing(server: Server) -> None:
    """[O1]"""
    services = server.services
    now = int(services.clock().timestamp())
    identity = Identity("u-1", BASE, frozenset(("openid", "fhirUser")), now, "Practitioner/7")
    token = services.id_tokens.issue(identity, now)
    async with server.bearing(token) as http:
        assert (await http.get("/Patient")).status_code == 401


async def test_a_token_without_openid_tells_nobody(server: Server) -> None:
    for token in (a_token(server, "user/*.rs fhirUser"), a_token(server, account=None), server.token()):
        answer = await ask(server, token)
        assert answer.status_code == 403
        assert answer.json()["error"] == "insufficient_scope"
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


async def test_what_was_revoked_elsewhere_tells_nothing_at_once(server: Server) -> None:
    """[F4]"""
    token, services = a_token(server, grant="g-2"), server.services
    assert (await ask(server, token)).status_code == 200
    now = services.clock()
    await services.store.revocations.add(of_grant("g-2", now, now + timedelta(hours=1)))
    assert (await ask(server, token)).status_code == 401
