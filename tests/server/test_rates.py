"""
Who comes too often is told when to come again, and is counted: nothing is silent, and nothing fills the disk.

https://www.rfc-editor.org/rfc/rfc6585#section-4
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from audit.record import Record
from tests.server.launching import AUTHORIZE, PASSWORD, TOKEN, add_app, ask, decided, launching
from tests.server.running import BASE, Server, issues_of
from tests.smart.browsing import ORIGIN, App, Person, told_to_app

CALLER_MAX = 8
TOKEN_MAX = 5
REFUSALS_MAX = 3
ASKED_MAX = 12
LOGIN = f"{ORIGIN}/auth/login"
TRIES = 50
THROTTLED = httpx.codes.TOO_MANY_REQUESTS
PUBLIC, CONFIDENTIAL = App("public"), App("confidential", secret="s3cret-of-confidential")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    told = {
        "caller_requests_per_second_max": CALLER_MAX,
        "token_requests_per_minute_max": TOKEN_MAX,
        "refusals_per_second_max": REFUSALS_MAX,
        "authorize_requests_per_minute_max": ASKED_MAX,
    }
    async with launching(mongodb_url, tmp_path_factory.mktemp("data"), **told) as running:
        yield running


def at(server: Server, address: str) -> httpx.AsyncClient:
    """A browser or app at this address."""
    transport = httpx.ASGITransport(server.application, raise_app_exceptions=False, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url=BASE)


async def counted(server: Server, route: str, calls: int, **who: str) -> list[Record]:
    """The records of so many calls of this route that were counted together; each second they are written."""
    found: list[Record] = []
    for _ in range(TRIES):
        records = await server.records()
        found = [one for one in records if one.reason == f"{route} TooMany" and _is_of(one, who)]
        if sum(one.count for one in found) >= calls:
            break
        await asyncio.sleep(0.1)
    assert sum(one.count for one in found) == calls
    return found


def _is_of(record: Record, who: dict[str, str]) -> bool:
    return all(getattr(record, name) == value for name, value in who.items())


async def test_a_caller_beyond_the_rate_is_throttled_and_counted(server: Server) -> None:
    async with server.bearing(server.token(client="busy")) as http:
        answers = [await http.get("/Patient/ann") for _ in range(10 * CALLER_MAX)]
    throttled = [one for one in answers if one.status_code == THROTTLED]
    assert {one.status_code for one in answers} == {httpx.codes.OK, THROTTLED}
    assert {one.headers["retry-after"] for one in throttled} == {"1"}
    assert issues_of(throttled[0])[0]["code"] == "throttled"
    records = await counted(server, "GET", len(throttled), client="busy")
    assert len(records) < len(throttled)
    assert {(one.interaction, one.subject, one.status) for one in records} == {("request", "busy", 429)}


async def test_each_client_and_each_user_has_a_rate_of_its_own(server: Server) -> None:
    async with server.bearing(server.token(client="many")) as http:
        answers = [await http.get("/Patient/ann") for _ in range(10 * CALLER_MAX)]
    assert THROTTLED in {one.status_code for one in answers}
    others = (
        server.token(client="other"),
        server.token("user/*.rs", client="many", user="Practitioner/dora"),
    )
    for token in others:
        async with server.bearing(token) as http:
            assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK


async def test_another_token_of_the_same_client_has_the_same_rate(server: Server) -> None:
    statuses = []
    for _ in range(10 * CALLER_MAX):
        async with server.bearing(server.token(client="anew")) as http:
            statuses.append((await http.get("/Patient/ann")).status_code)
    assert THROTTLED in statuses


async def test_a_client_that_asks_for_tokens_too_often_is_throttled_and_counted(server: Server) -> None:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""
    answers = [await ask(server, **CONFIDENTIAL.redeems("no code")) for _ in range(TOKEN_MAX + 3)]
    assert [one.status_code for one in answers] == [httpx.codes.BAD_REQUEST] * TOKEN_MAX + [THROTTLED] * 3
    assert answers[-1].json()["error"] == "temporarily_unavailable"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].headers["cache-control"] == "no-store"
    await counted(server, "token", 3, client="confidential")


async def test_who_does_not_prove_to_be_a_client_uses_up_nothing_of_its_rate(server: Server) -> None:
    app = App("careful", secret="its own")
    await add_app(server, app)
    wrong = App("careful", secret="guessed")
    for _ in range(TOKEN_MAX + 3):
        await ask(server, **wrong.redeems("no code"))
    assert (await ask(server, **app.redeems("no code"))).json()["error"] == "invalid_grant"


async def test_a_public_client_has_a_rate_for_each_address(server: Server) -> None:
    statuses = {}
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"):
        async with at(server, address) as http:
            asked = [await http.post(TOKEN, **PUBLIC.redeems("no code")) for _ in range(TOKEN_MAX)]
            statuses[address] = {one.status_code for one in asked}
    assert list(statuses.values()) == [{400}, {400}, {400}, {THROTTLED}], "of IPv6, a /64 is one address"


async def test_a_code_that_came_too_early_is_not_used_up(server: Server) -> None:
    app = App("early")
    await add_app(server, app)
    async with at(server, "192.0.2.3") as http:
        code = told_to_app(await decided(server, app, "ann", "launch/patient patient/*.rs"))["code"]
        for _ in range(TOKEN_MAX):
            await http.post(TOKEN, **app.redeems("no code"))
        assert (await http.post(TOKEN, **app.redeems(code))).status_code == THROTTLED
    assert (await ask(server, **app.redeems(code))).status_code == httpx.codes.OK


async def test_an_address_whose_logins_are_refused_is_slowed_and_counted(server: Server) -> None:
    address = "192.0.2.4"
    answers = await asyncio.gather(*(_guesses(server, address, f"nobody-{number}") for number in range(6)))
    answers += [await _guesses(server, address, f"somebody-{number}") for number in range(6)]
    throttled = [one for one in answers if one.status_code == THROTTLED]
    assert throttled
    assert {one.headers["retry-after"] for one in throttled} == {"1"}
    await counted(server, "login", len(throttled), address=address)
    async with at(server, "192.0.2.5") as http:
        answer = await Person(http).logs_in(await http.get(LOGIN), "ann", PASSWORD)
        assert answer.status_code == httpx.codes.OK, "another address is another one"


async def test_logins_that_find_no_room_are_refused_and_counted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.passwords, "_taken_max", 1)
    address = "192.0.2.6"
    answers = await asyncio.gather(*(_guesses(server, address, f"nobody-{number}") for number in range(3)))
    throttled = [one for one in answers if one.status_code == THROTTLED]
    assert throttled
    assert {one.headers["retry-after"] for one in throttled} == {"1"}
    await counted(server, "login", len(throttled), address=address)


async def test_an_address_whose_apps_are_refused_is_slowed_and_counted(server: Server) -> None:
    async with at(server, "192.0.2.7") as http:
        bad = PUBLIC.asks(redirect_uri="https://evil.example/")
        answers = [await http.get(AUTHORIZE, params=bad) for _ in range(8)]
        throttled = [one for one in answers if one.status_code == THROTTLED]
        assert {one.status_code for one in answers} == {httpx.codes.BAD_REQUEST, THROTTLED}
        assert {one.headers["retry-after"] for one in throttled} == {"1"}
        answer = await Person(http).logs_in(await http.get(LOGIN), "ann", PASSWORD)
        assert answer.status_code == httpx.codes.OK, "people at this address log in meanwhile"
    await counted(server, "authorize", len(throttled), address="192.0.2.7")


async def test_an_address_from_which_apps_ask_too_often_is_throttled_and_counted(server: Server) -> None:
    """Each waits for a person who may never come: nobody fills the database with them."""
    async with at(server, "192.0.2.9") as http:
        answers = [await http.get(AUTHORIZE, params=PUBLIC.asks()) for _ in range(ASKED_MAX + 3)]
    assert [one.status_code for one in answers] == [httpx.codes.SEE_OTHER] * ASKED_MAX + [THROTTLED] * 3
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    await counted(server, "authorize", 3, address="192.0.2.9")
    async with at(server, "192.0.2.10") as http:
        assert (await http.get(AUTHORIZE, params=PUBLIC.asks())).status_code == httpx.codes.SEE_OTHER


async def test_an_address_whose_calls_are_refused_keeps_nobody_from_logging_in(server: Server) -> None:
    async with at(server, "192.0.2.8") as http:
        statuses = [(await http.get("/Patient/ann")).status_code for _ in range(20)]
        assert THROTTLED in statuses
        answer = await Person(http).logs_in(await http.get(LOGIN), "ann", PASSWORD)
        assert answer.status_code == httpx.codes.OK


async def _guesses(server: Server, address: str, name: str) -> httpx.Response:
    """The answer to a wrong password, by a browser of its own."""
    async with at(server, address) as http:
        return await Person(http).logs_in(await http.get(LOGIN), name, "not the password")
