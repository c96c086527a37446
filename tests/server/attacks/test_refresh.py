"""
What is thrown at /auth/token with a refresh token, and what ends a grant.

The ids in brackets are those of requirements and attacks.
https://hl7.org/fhir/smart-app-launch/app-launch.html#refresh-access-token,
https://www.rfc-editor.org/rfc/rfc9700#section-4.14
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fhir_server.smart.grants import presented
from tests.server.attacking import (
    CONFIDENTIAL,
    OTHER,
    PUBLIC,
    RECORD,
    Watched,
    logged_in,
    redeemed,
    refused_as,
    works,
)
from tests.server.launching import TOKEN, add_app, add_user
from tests.smart.browsing import ORIGIN, App, Person, forms

OFFLINE = f"{RECORD} offline_access"


async def refreshed(server: Watched, app: App, token: str, **others: str) -> dict[str, Any]:
    async with server.bearing(None) as http:
        answer = await http.post(TOKEN, **app.refreshes(token, **others))
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def is_over(server: Watched, app: App, token: str) -> None:
    """This refresh token gives nothing, and the record says so."""
    await refused_as(server, "invalid_grant", 400, client=app.id, **app.refreshes(token))


@pytest.mark.parametrize("app", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
async def test_a_refresh_token_that_comes_twice_ends_the_grant(
    server: Watched, second: Watched, ann: Person, app: App
) -> None:
    """[F2, X16] The old one, the new one, and both access tokens; in each process."""
    first = await redeemed(server, ann, app, OFFLINE)
    later = await refreshed(second, app, first["refresh_token"])
    assert later["refresh_token"] != first["refresh_token"]
    assert await works(server, later["access_token"])
    assert await works(second, first["access_token"])
    await is_over(server, app, first["refresh_token"])
    for one in (server, second):
        await is_over(one, app, later["refresh_token"])
        assert not await works(one, first["access_token"])
        assert not await works(one, later["access_token"])


async def test_of_twenty_who_refresh_at_once_one_is_given_what_then_holds_no_more(
    server: Watched, second: Watched, ann: Person
) -> None:
    """[F2, X16]"""
    told = PUBLIC.refreshes((await redeemed(server, ann, PUBLIC, OFFLINE))["refresh_token"])
    async with server.bearing(None) as one, second.bearing(None) as other:
        answers = await asyncio.gather(
            *(http.post(TOKEN, **told) for _ in range(10) for http in (one, other))
        )
    given = [answer.json() for answer in answers if answer.status_code == httpx.codes.OK]
    assert len(given) == 1
    for server_ in (server, second):
        assert not await works(server_, given[0]["access_token"])
        await is_over(server_, PUBLIC, given[0]["refresh_token"])


THIEVES = {"another public": App("thief"), "a confidential": CONFIDENTIAL, "another confidential": OTHER}


@pytest.mark.parametrize("name", THIEVES)
async def test_a_refresh_token_is_of_one_app(server: Watched, ann: Person, name: str) -> None:
    """[F1, R103, X16] And that it was shown elsewhere does not end what the app has."""
    thief = THIEVES[name]
    if name == "another public":
        await add_app(server, thief)
    given = await redeemed(server, ann, PUBLIC, OFFLINE)
    await is_over(server, thief, given["refresh_token"])
    assert await works(server, given["access_token"])
    await refreshed(server, PUBLIC, given["refresh_token"])


NOT_GRANTED = {
    "more letters": "patient/Observation.cruds",
    "another type": "patient/Patient.rs",
    "all types": "patient/*.rs",
    "of users": "user/Observation.rs",
    "of systems": "system/*.rs",
    "without its criteria": "patient/Observation.rs",
    "other criteria": "patient/Observation.rs?category=vital-signs",
    "another word": "openid",
    "for longer": "online_access",
    "of an EHR": "__launch",
    "beside what was granted": "launch/patient patient/Observation.rs?category=laboratory patient/Patient.r",
    "made up": "evil",
    "64 kB": " ".join(["patient/Observation.rs?category=laboratory"] * 390),
    "spaces": "   ",
}


@pytest.mark.parametrize("name", NOT_GRANTED)
async def test_no_more_is_given_than_was_granted(server: Watched, ann: Person, name: str) -> None:
    """[F1, R103, R104, X12, X16] And the refresh token still holds."""
    asked = "launch/patient patient/Observation.rs?category=laboratory offline_access"
    given = await redeemed(server, ann, PUBLIC, asked)
    told = PUBLIC.refreshes(given["refresh_token"], scope=NOT_GRANTED[name])
    if name == "64 kB":
        await refused_as(server, "invalid_request", 413, **told)
    else:
        await refused_as(server, "invalid_scope", 400, client="public", **told)
    again = await refreshed(server, PUBLIC, given["refresh_token"])
    assert set(again["scope"].split()) == set(asked.split())


async def test_less_may_be_asked_for_and_then_all_again(server: Watched, ann: Person) -> None:
    """[F1, R103, R113, R115]"""
    given = await redeemed(server, ann, PUBLIC, f"{RECORD} patient/Observation.cud offline_access")
    less = await refreshed(server, PUBLIC, given["refresh_token"], scope="patient/*.rs")
    assert (less["scope"], less["patient"]) == ("patient/*.rs", "ann")
    empty = await refreshed(server, PUBLIC, less["refresh_token"], scope="")
    assert empty["scope"] == given["scope"]
    assert (await refreshed(server, PUBLIC, empty["refresh_token"]))["scope"] == given["scope"]


@pytest.mark.parametrize("scope", ["offline_access", "online_access"])
async def test_a_refresh_token_is_given_to_who_asked_for_one(
    server: Watched, ann: Person, scope: str
) -> None:
    """[F1, R89]"""
    assert "refresh_token" in await redeemed(server, ann, PUBLIC, f"{RECORD} {scope}")
    assert "refresh_token" not in await redeemed(server, ann, PUBLIC, f"{RECORD} openid")


async def test_neither_a_code_nor_an_access_token_refreshes(server: Watched, ann: Person) -> None:
    """[F1, F3]"""
    given = await redeemed(server, ann, PUBLIC, OFFLINE)
    await is_over(server, PUBLIC, given["access_token"])
    told = PUBLIC.redeems(given["refresh_token"])
    await refused_as(server, "invalid_grant", 400, client="public", **told)
    await refreshed(server, PUBLIC, given["refresh_token"])


async def test_a_refresh_token_holds_a_hundred_days_from_its_last_use(server: Watched, ann: Person) -> None:
    """[F3]"""
    given = await redeemed(server, ann, PUBLIC, OFFLINE)
    told = presented(given["refresh_token"])
    assert told is not None
    granted = await server.services.store.grants.get(told.grant)
    assert granted is not None
    assert granted.until - granted.used == timedelta(days=100)
    past = datetime.now(UTC) - timedelta(milliseconds=1)
    await server.services.store._database.grants.update_one({"_id": told.grant}, {"$set": {"until": past}})
    await is_over(server, PUBLIC, given["refresh_token"])


async def _logs_out(_server: Watched, person: Person, _given: dict[str, Any]) -> None:
    apps = await person.opens(f"{ORIGIN}/auth/apps")
    await person.posts(next(form for form in forms(apps) if form.action.endswith("/auth/logout")))


async def _takes_it_back(_server: Watched, person: Person, _given: dict[str, Any]) -> None:
    apps = await person.opens(f"{ORIGIN}/auth/apps")
    for form in forms(apps):
        if form.action.endswith("/auth/apps"):
            await person.posts(form, **dict(form.buttons))


async def _app_takes_it_back(server: Watched, _person: Person, given: dict[str, Any]) -> None:
    async with server.bearing(None) as http:
        told = {"client_id": "public", "token": given["refresh_token"]}
        assert (await http.post(f"{ORIGIN}/auth/revoke", data=told)).status_code == httpx.codes.OK


async def _is_disabled(server: Watched, _person: Person, given: dict[str, Any]) -> None:
    await server.services.store.users.disable(await _account(server, given))


async def _is_removed(server: Watched, _person: Person, given: dict[str, Any]) -> None:
    await server.services.store.users.remove(await _account(server, given))


async def _has_another_password(server: Watched, _person: Person, given: dict[str, Any]) -> None:
    users, hashed = server.services.store.users, await server.services.passwords.hashed("another horse 77")
    later = server.services.clock() + timedelta(milliseconds=2)
    await users.set_password(await _account(server, given), hashed, later)


async def _is_somebody_else(server: Watched, _person: Person, given: dict[str, Any]) -> None:
    await server.services.store.users.set_fhir_user(await _account(server, given), "Patient/bob")


async def _account(server: Watched, given: dict[str, Any]) -> str:
    told = presented(given["refresh_token"])
    assert told is not None
    granted = await server.services.store.grants.get(told.grant)
    assert granted is not None
    return granted.account


End = Callable[[Watched, Person, dict[str, Any]], Awaitable[None]]
ENDS: dict[str, tuple[End, str]] = {
    "logging out of an online grant": (_logs_out, "online_access"),
    "the person, on the page": (_takes_it_back, "offline_access"),
    "the app": (_app_takes_it_back, "offline_access"),
    "a user disabled": (_is_disabled, "offline_access"),
    "a user removed": (_is_removed, "offline_access"),
    "another password": (_has_another_password, "offline_access"),
    "a user who is somebody else": (_is_somebody_else, "offline_access"),
}
AT_ONCE = ("logging out of an online grant", "the person, on the page", "the app")
"""What revokes access tokens by itself; when users change, the command that changes them does."""


@pytest.mark.parametrize("name", ENDS)
async def test_what_has_ended_is_over_in_each_process(server: Watched, second: Watched, name: str) -> None:
    """[F1, F4, R100, R101, X16]"""
    end, scope = ENDS[name]
    user = await add_user(server, f"ends by {name}", "Patient/ann")
    person = await logged_in(server, user.name)
    given = await redeemed(server, person, PUBLIC, f"{RECORD} {scope}")
    assert await works(second, given["access_token"])
    await end(server, person, given)
    for one in (second, server):
        await is_over(one, PUBLIC, given["refresh_token"])
        if name in AT_ONCE:
            assert not await works(one, given["access_token"])


async def test_what_was_granted_for_longer_outlives_the_session(server: Watched) -> None:
    """[F1, R101]"""
    person = await logged_in(server, "ann")
    given = await redeemed(server, person, PUBLIC, OFFLINE)
    both = await redeemed(server, person, PUBLIC, f"{OFFLINE} online_access")
    await _logs_out(server, person, given)
    assert await works(server, given["access_token"])
    for one in (given, both):
        await refreshed(server, PUBLIC, one["refresh_token"])


async def test_nobody_takes_back_what_is_not_theirs(server: Watched, ann: Person) -> None:
    """[F4, X1] Neither another user on the page, nor another app; and nobody is told whether it was there."""
    given = await redeemed(server, ann, PUBLIC, OFFLINE)
    told = presented(given["refresh_token"])
    assert told is not None
    other = await logged_in(server, "bob")
    apps = await other.opens(f"{ORIGIN}/auth/apps")
    csrf = dict(forms(apps)[0].fields)["csrf"]
    for grant in (told.grant, "unknown", '{"$ne": ""}'):
        page = await other.http.post(f"{ORIGIN}/auth/apps", data={"csrf": csrf, "grant": grant})
        assert "over already" in page.text
    async with server.bearing(None) as http:
        for token in (given["refresh_token"], given["access_token"], "x" * 60):
            secret = str(OTHER.secret)
            answer = await http.post(f"{ORIGIN}/auth/revoke", data={"token": token}, auth=(OTHER.id, secret))
            assert (answer.status_code, answer.content) == (httpx.codes.OK, b"")
    assert await works(server, given["access_token"])
    await refreshed(server, PUBLIC, given["refresh_token"])


async def test_an_app_that_was_removed_is_nobody(server: Watched, ann: Person) -> None:
    """[F4, X16]"""
    app = App("removed")
    await add_app(server, app)
    given = await redeemed(server, ann, app, OFFLINE)
    await server.services.store.clients.remove(app.id)
    await refused_as(server, "invalid_client", 401, **app.refreshes(given["refresh_token"]))


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 100
    assert await server.told_in_secret() == []
