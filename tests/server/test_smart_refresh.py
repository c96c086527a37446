"""
An app goes on without asking again: refresh tokens, online and offline, until they are taken back.

The ids in brackets are those of requirements: F1 to F4, F6 and R77 to R118.

https://hl7.org/fhir/smart-app-launch/app-launch.html#refresh-access-token
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.smart.tokens import Grant
from tests.server.launching import (
    AUTHORIZE,
    PASSWORD,
    a_person,
    ask,
    given,
    launched,
    launching,
)
from tests.server.running import BASE, Server, serving
from tests.smart.browsing import ORIGIN, App, Person, forms, told_to_app

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")
APPS = {"public": PUBLIC, "confidential": CONFIDENTIAL}
OFFLINE = "launch/patient offline_access patient/*.rs"
ONLINE = "launch/patient online_access patient/*.rs"
MONTHS = timedelta(days=92)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


@contextmanager
def later(server: Server, passed: timedelta) -> Iterator[None]:
    """So much later on the server's clock."""
    services = server.services
    clock = services.clock
    object.__setattr__(services, "clock", lambda: clock() + passed)
    try:
        yield
    finally:
        object.__setattr__(services, "clock", clock)


async def reads(server: Server, token: str) -> int:
    async with server.bearing(token) as http:
        return (await http.get("/Patient/ann")).status_code


async def refreshed(server: Server, app: App, told: dict[str, Any], **others: str | None) -> httpx.Response:
    return await ask(server, **app.refreshes(told["refresh_token"], **others))


def refused(answer: httpx.Response, error: str = "invalid_grant") -> None:
    assert (answer.status_code, answer.json()["error"]) == (httpx.codes.BAD_REQUEST, error)
    assert "access_token" not in answer.text


async def online(server: Server, scope: str) -> tuple[Person, dict[str, Any]]:
    """Somebody in front of their browser, and what the app has from them."""
    person = a_person(server)
    page = await person.logs_in(await person.opens(AUTHORIZE, params=PUBLIC.asks(scope)), "ann", PASSWORD)
    code = told_to_app(await person.allows(page))["code"]
    return person, (await ask(server, **PUBLIC.redeems(code))).json()


async def logs_out(person: Person) -> None:
    page = await person.opens(f"{ORIGIN}/auth/apps")
    [form] = [one for one in forms(page) if one.action == "/auth/logout"]
    assert (await person.posts(form)).status_code == httpx.codes.OK


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("scope", [OFFLINE, ONLINE], ids=["offline", "online"])
async def test_a_refresh_token_gets_a_new_access_token(server: Server, name: str, scope: str) -> None:
    """[F1, T1, R86, R87, R109-R114, R116, R118, R365, R366, AUT-PAT-22]"""
    app = APPS[name]
    before = await given(server, app, "ann", scope)
    answer = await refreshed(server, app, before)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    told = answer.json()
    assert told["access_token"] != before["access_token"]
    assert told["refresh_token"] != before["refresh_token"]
    assert {key: value for key, value in told.items() if not key.endswith("_token")} == {
        "token_type": "Bearer",
        "expires_in": 3_600,
        "scope": scope,
        "patient": "ann",
        "need_patient_banner": True,
    }
    assert await reads(server, told["access_token"]) == httpx.codes.OK


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (OFFLINE, 200),
        ("patient/*.rs", 200),
        ("patient/Patient.rs", 200),
        ("patient/Patient.r", 200),
        ("patient/Patient.r launch/patient", 200),
        ("patient/Patient.read", 200),
        ("patient/Observation.rs?category=laboratory", 403),
    ],
)
async def test_an_app_may_ask_for_less(server: Server, asked: str, status: int) -> None:
    """[F1, R81, R104, R115]"""
    before = await given(server, PUBLIC, "ann", OFFLINE)
    told = (await refreshed(server, PUBLIC, before, scope=asked)).json()
    assert told["scope"] == asked
    assert await reads(server, told["access_token"]) == status
    whole = (await refreshed(server, PUBLIC, told)).json()
    assert whole["scope"] == OFFLINE


@pytest.mark.parametrize(
    "asked",
    [
        "patient/*.cruds",
        "patient/Patient.rs user/Patient.rs",
        "patient/Patient.u",
        "patient/Patient.rs openid",
        "patient/Patient.rs online_access",
        "system/*.rs",
        "patient/Patient.sr",
        "nonsense",
        " ",
    ],
)
async def test_an_app_may_not_ask_for_more(server: Server, asked: str) -> None:
    """[F1, R103, R104]: and what it has goes on to hold."""
    before = await given(server, PUBLIC, "ann", OFFLINE)
    refused(await refreshed(server, PUBLIC, before, scope=asked), "invalid_scope")
    assert (await refreshed(server, PUBLIC, before)).status_code == httpx.codes.OK


async def test_a_refresh_token_is_of_one_client(server: Server) -> None:
    """[F1, R103]"""
    before = await given(server, CONFIDENTIAL, "ann", OFFLINE)
    for thief in (PUBLIC, App("confidential")):
        answer = await refreshed(server, thief, before)
        assert answer.status_code in (400, 401)
        assert "access_token" not in answer.text
    assert (await refreshed(server, CONFIDENTIAL, before)).status_code == httpx.codes.OK


async def test_a_public_client_need_not_say_who_it_is(server: Server) -> None:
    """[F1, R103]: the refresh token says so."""
    before = await given(server, PUBLIC, "ann", OFFLINE)
    assert (await refreshed(server, PUBLIC, before, client_id=None)).status_code == httpx.codes.OK


async def test_the_context_of_the_launch_is_kept(server: Server) -> None:
    """[F1, R118]"""
    context = {
        "patient": "ann",
        "encounter": "ann-visit",
        "fhirContext": [{"reference": "ImagingStudy/1"}],
        "need_patient_banner": False,
        "intent": "review",
        "smart_style_url": "https://ehr.example/style.json",
        "tenant": "clinic-3",
    }
    made = await launched(server, PUBLIC, **context)
    before = await given(server, PUBLIC, "dora", "launch patient/*.rs online_access", launch=made)
    told = (await refreshed(server, PUBLIC, before)).json()
    assert {name: told[name] for name in context} == context


async def test_who_is_offline_need_not_be_there(server: Server) -> None:
    """[F1, R101, R365]"""
    person, before = await online(server, OFFLINE)
    await logs_out(person)
    with later(server, timedelta(days=1)):
        told = (await refreshed(server, PUBLIC, before)).json()
        assert await reads(server, told["access_token"]) == httpx.codes.OK


async def test_who_is_online_gets_tokens_until_they_leave(server: Server) -> None:
    """[F1, R100, R366]"""
    person, before = await online(server, ONLINE)
    with later(server, timedelta(hours=2)):
        told = (await refreshed(server, PUBLIC, before)).json()
        assert await reads(server, told["access_token"]) == httpx.codes.OK
    await logs_out(person)
    refused(await refreshed(server, PUBLIC, told))
    assert await reads(server, told["access_token"]) == httpx.codes.UNAUTHORIZED


async def test_who_is_online_gets_none_after_their_session(server: Server) -> None:
    """[F1, R100]"""
    _, before = await online(server, ONLINE)
    with later(server, timedelta(seconds=server.services.settings.session_seconds_max + 1)):
        refused(await refreshed(server, PUBLIC, before))


async def test_a_refresh_token_that_comes_again_ends_all_that_came_from_it(server: Server) -> None:
    """[F2]"""
    first = await given(server, PUBLIC, "ann", OFFLINE)
    second = (await refreshed(server, PUBLIC, first)).json()
    refused(await refreshed(server, PUBLIC, first))
    refused(await refreshed(server, PUBLIC, second))
    for token in (first["access_token"], second["access_token"]):
        assert await reads(server, token) == httpx.codes.UNAUTHORIZED


async def test_a_refresh_token_holds_three_months_from_its_last_use(server: Server) -> None:
    """[F3, AUT-PAT-21]"""
    told = await given(server, PUBLIC, "ann", OFFLINE)
    for times in (1, 2):
        with later(server, times * MONTHS):
            answer = await refreshed(server, PUBLIC, told)
            assert answer.status_code == httpx.codes.OK
            told = answer.json()
    with later(server, 2 * MONTHS + timedelta(days=101)):
        refused(await refreshed(server, PUBLIC, told))


@pytest.mark.parametrize("token", ["", "nonsense", "abcdefghijklmnop.abcdefghijklmnop", "x" * 5_000])
async def test_what_is_no_refresh_token_is_refused(server: Server, token: str) -> None:
    """[F3, AUT-PAT-23]"""
    refused(await ask(server, **PUBLIC.refreshes(token)))


async def test_an_access_token_holds_until_it_expires(server: Server) -> None:
    """[F6, R77, R94, R265]"""
    told = await given(server, PUBLIC, "ann", "patient/*.rs")
    with later(server, timedelta(seconds=told["expires_in"] - 5)):
        assert await reads(server, told["access_token"]) == httpx.codes.OK
    with later(server, timedelta(seconds=told["expires_in"] + 1)):
        assert await reads(server, told["access_token"]) == httpx.codes.UNAUTHORIZED


async def test_an_access_token_of_another_server_opens_nothing(server: Server) -> None:
    """[F6, R96]: also with the same keys, for another base."""
    settings = server.services.settings
    url, name = str(settings.mongodb_url), settings.mongodb_database
    assert name is not None
    told: dict[str, Any] = {"base_url": f"{BASE}X"}
    grant = Grant("public", "patient/*.rs", 600, None, "ann", None)
    async with serving(url, name, settings.data_dir, **told) as other:
        now = int(other.services.clock().timestamp())
        token = other.services.tokens.issue(grant, now=now, token_id="of-another-base")
    assert await reads(server, token) == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("name", APPS)
async def test_an_app_gives_back_what_it_was_given(server: Server, name: str) -> None:
    """[F4] https://www.rfc-editor.org/rfc/rfc7009"""
    app = APPS[name]
    told = await given(server, app, "ann", OFFLINE)
    posted = app.refreshes(told["refresh_token"])
    posted["data"]["token"] = told["refresh_token"]
    async with server.bearing(None) as http:
        assert (await http.post(f"{ORIGIN}/auth/revoke", **posted)).status_code == httpx.codes.OK
    assert await reads(server, told["access_token"]) == httpx.codes.UNAUTHORIZED
    refused(await refreshed(server, app, told))


async def test_a_person_takes_back_what_they_gave_and_it_holds_no_more_at_once(server: Server) -> None:
    """[F4, PAR-1]"""
    person, told = await online(server, OFFLINE)
    async with server.bearing(None) as http:
        managed = (await http.get("/.well-known/smart-configuration")).json()["management_endpoint"]
    page = await person.opens(managed)
    [form] = [one for one in forms(page) if any(name == "grant" for name, _ in one.buttons)]
    for name, value in form.buttons:
        if name == "grant":
            await person.posts(form, grant=value)
    assert await reads(server, told["access_token"]) == httpx.codes.UNAUTHORIZED
    refused(await refreshed(server, PUBLIC, told))
