"""
What a code is good for, and what comes of it.

The ids in brackets are those of requirements: T1 to T4, T8 and R31 to R91.

https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-access-token
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import ask, decided, given, launching
from tests.server.running import Server
from tests.smart.browsing import App, challenge, told_to_app

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")
APPS = {"public": PUBLIC, "confidential": CONFIDENTIAL}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


async def a_code(server: Server, app: App) -> str:
    return told_to_app(await decided(server, app, "ann", "launch/patient patient/*.rs"))["code"]


@pytest.mark.parametrize("name", APPS)
async def test_the_answer_is_json_that_nobody_keeps(server: Server, name: str) -> None:
    """[T1, T2, T8, R74-R76, R78, R84-R88, R91, R169, R170]"""
    app = APPS[name]
    code = told_to_app(await decided(server, app, "ann", "launch/patient patient/*.rs"))["code"]
    answer = await ask(server, **app.redeems(code))
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    told = answer.json()
    assert told["token_type"] == "Bearer"
    assert re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", told["access_token"])
    assert 0 < told["expires_in"] <= 3_600
    assert told["scope"] == "launch/patient patient/*.rs"
    assert told["patient"] == "ann"
    assert "refresh_token" not in told


@pytest.mark.parametrize(
    ("scope", "refreshed"),
    [("patient/*.rs", False), ("patient/*.rs offline_access", True), ("patient/*.rs online_access", True)],
)
async def test_there_is_a_refresh_token_when_the_user_allowed_it(
    server: Server, scope: str, *, refreshed: bool
) -> None:
    """[F1, R81, R89]"""
    assert ("refresh_token" in await given(server, PUBLIC, "ann", scope)) is refreshed


VERIFIERS = {
    "absent": None,
    "blank": "",
    "another": "a" * 43,
    "the challenge itself": challenge(PUBLIC.verifier),
    "a part": PUBLIC.verifier[:43],
}


@pytest.mark.parametrize("name", VERIFIERS)
async def test_a_code_is_good_with_its_verifier_alone(server: Server, name: str) -> None:
    """[T3, R31, R73]"""
    code = await a_code(server, PUBLIC)
    answer = await ask(server, **PUBLIC.redeems(code, code_verifier=VERIFIERS[name]))
    assert (answer.status_code, answer.json()["error"]) == (httpx.codes.BAD_REQUEST, "invalid_grant")
    assert answer.json()["error_description"]
    assert (await ask(server, **PUBLIC.redeems(code))).status_code == httpx.codes.OK


async def test_a_code_is_good_for_its_client_and_at_its_address_alone(server: Server) -> None:
    """[T3]"""
    code = await a_code(server, PUBLIC)
    other = App("confidential", verifier=PUBLIC.verifier, secret=CONFIDENTIAL.secret)
    for posted in (
        other.redeems(code),
        PUBLIC.redeems(code, redirect_uri=f"{PUBLIC.redirect_uri}/"),
        PUBLIC.redeems(code, redirect_uri=None),
        PUBLIC.redeems(f"{code}x"),
        PUBLIC.redeems(""),
    ):
        answer = await ask(server, **posted)
        assert (answer.status_code, answer.json()["error"]) == (httpx.codes.BAD_REQUEST, "invalid_grant")
    assert (await ask(server, **PUBLIC.redeems(code))).status_code == httpx.codes.OK


async def test_a_client_proves_itself_as_it_registered(server: Server) -> None:
    """[T4, R356]"""
    code, verifier = await a_code(server, CONFIDENTIAL), CONFIDENTIAL.verifier
    secret = CONFIDENTIAL.secret
    for posted in (
        App("confidential", verifier=verifier).redeems(code),
        App("confidential", verifier=verifier, secret="wrong").redeems(code),
        App("public", verifier=verifier, secret=secret).redeems(code),
        App("nobody", verifier=verifier, secret=secret).redeems(code),
        App("nobody", verifier=verifier).redeems(code),
        App("confidential", verifier=verifier).redeems(code, client_id=None),
        App("confidential", verifier=verifier).redeems(code, client_secret=secret),
    ):
        answer = await ask(server, **posted)
        assert (answer.status_code, answer.json()["error"]) == (httpx.codes.UNAUTHORIZED, "invalid_client")
    assert (await ask(server, **CONFIDENTIAL.redeems(code))).status_code == httpx.codes.OK


async def test_a_public_client_names_itself(server: Server) -> None:
    """[T4, R355]"""
    code = await a_code(server, PUBLIC)
    answer = await ask(server, **PUBLIC.redeems(code, client_id=None))
    assert (answer.status_code, answer.json()["error"]) == (httpx.codes.UNAUTHORIZED, "invalid_client")
    assert (await ask(server, **PUBLIC.redeems(code))).status_code == httpx.codes.OK
