"""
Who decides, and how often; whose record, and how much of it: what is thrown at people's decisions.

The ids in brackets are those of requirements and attacks.
https://hl7.org/fhir/smart-app-launch/app-launch.html, https://www.rfc-editor.org/rfc/rfc9700
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pyotp
import pytest
import pytest_asyncio

from tests.server.attacking import (
    FORM,
    PUBLIC,
    RECORD,
    Watched,
    a_request_id,
    allowed,
    is_for_app,
    logged_in,
    over,
    redeemed,
    secret_of,
    waiting,
)
from tests.server.launching import AUTHORIZE, PASSWORD, a_person, add_app, add_user, ask
from tests.smart.browsing import ORIGIN, App, Form, Person, forms, told_to_app

EVIL = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dora(server: Watched) -> Person:
    return await logged_in(server, "dora")


async def recorded(
    server: Watched, sent: Callable[[str], Awaitable[httpx.Response]]
) -> tuple[httpx.Response, Any]:
    """The answer, and the record of it."""
    request_id = a_request_id()
    answer = await sent(request_id)
    [record] = [one for one in await server.recorded(request_id) if one.interaction == "authorize"]
    return answer, record


# Who decides, and how often.


async def test_a_request_is_of_the_person_who_has_begun(server: Watched, ann: Person) -> None:
    """[A10, X15] Whoever knows the address of a page can at most end it."""
    await waiting(ann)
    other = await logged_in(server, "bob")
    answer, record = await recorded(
        server, lambda told: other.opens(ann.where, headers={"X-Request-Id": told})
    )
    assert told_to_app(answer)["error"] == "access_denied"
    assert (record.client, record.user, record.outcome) == (PUBLIC.id, "Patient/bob", "refused")
    assert (await ann.opens(ann.where)).status_code == httpx.codes.BAD_REQUEST


async def test_nobody_decides_without_logging_in(server: Watched, ann: Person) -> None:
    """[A10]"""
    await waiting(ann)
    somebody = a_person(server)
    await somebody.opens(ann.where)
    assert somebody.where.startswith(f"{ORIGIN}/auth/login?request=")
    page = await somebody.opens(somebody.where)
    form = Form(f"{ORIGIN}/auth/consent", "post", forms(page)[0].fields)
    answer = await somebody.posts(form, decision="allow", **{"choice-0": "all"})
    assert not is_for_app(answer)
    assert somebody.where.startswith(f"{ORIGIN}/auth/login?request=")


async def test_what_is_decided_is_decided(server: Watched, ann: Person) -> None:
    """[A7, A9] Twice, by the button to go back, and the other way."""
    page = await waiting(ann)
    where = ann.where
    assert "code" in told_to_app(await ann.allows(page))
    for again in (
        await ann.opens(where),
        await ann.allows(page),
        await ann.posts(forms(page)[0], decision="deny"),
    ):
        assert again.status_code == httpx.codes.BAD_REQUEST
        assert "location" not in again.headers


async def test_who_says_no_has_said_no(server: Watched, ann: Person) -> None:
    """[A9, R54]"""
    page = await waiting(ann)
    no = told_to_app(await ann.posts(forms(page)[0], decision="deny"))
    assert (no["error"], no["state"]) == ("access_denied", PUBLIC.state)
    assert (await ann.allows(page)).status_code == httpx.codes.BAD_REQUEST


async def test_of_twenty_decisions_at_once_one_gives_a_code(server: Watched, ann: Person) -> None:
    """[A7, X15]"""
    page = await waiting(ann)
    form = urlencode(forms(page)[0].filled(decision="allow"))
    answers = await asyncio.gather(
        *(ann.http.post(f"{ORIGIN}/auth/consent", content=form, headers=FORM) for _ in range(20))
    )
    assert sum("code=" in answer.headers.get("location", "") for answer in answers) == 1


async def test_after_a_quarter_of_an_hour_it_is_too_late(server: Watched, ann: Person) -> None:
    """[A7]"""
    page = await waiting(ann)
    await over(server, "request", secret_of(ann))
    answer = await ann.allows(page)
    assert (answer.status_code, "location" in answer.headers) == (httpx.codes.BAD_REQUEST, False)


async def test_a_session_that_is_over_decides_nothing(server: Watched) -> None:
    """[A10]"""
    person = await logged_in(server, "ann")
    page = await waiting(person)
    await over(server, "session", person.http.cookies["session"])
    answer = await person.allows(page)
    assert not is_for_app(answer)
    assert answer.status_code == httpx.codes.BAD_REQUEST


async def _disabled(server: Watched, id: str) -> None:
    await server.services.store.users.disable(id)


async def _another_password(server: Watched, id: str) -> None:
    later = server.services.clock() + timedelta(milliseconds=2)
    hashed = await server.services.passwords.hashed("another staple horse 9")
    await server.services.store.users.set_password(id, hashed, later)


async def _removed(server: Watched, id: str) -> None:
    await server.services.store.users.remove(id)


CHANGES = {"disabled": _disabled, "another password": _another_password, "removed": _removed}


@pytest.mark.parametrize("name", CHANGES)
async def test_who_may_not_log_in_any_more_decides_nothing(server: Watched, name: str) -> None:
    """[A10, X16] Nor is a code good that was given a moment before."""
    user = await add_user(server, f"changed {name}", "Patient/ann")
    person = await logged_in(server, user.name)
    early = (await allowed(person, PUBLIC, RECORD))["code"]
    page = await waiting(person)
    await CHANGES[name](server, user.id)
    answer = await person.allows(page)
    assert not is_for_app(answer)
    told = (await ask(server, **PUBLIC.redeems(early))).json()
    assert told["error"] == "invalid_grant"


async def test_who_has_logged_out_does_not_come_back_by_a_button(server: Watched) -> None:
    """[A10]"""
    person = await logged_in(server, "ann")
    page = await waiting(person)
    apps = await person.opens(f"{ORIGIN}/auth/apps")
    before = person.http.cookies["session"]
    logout = next(form for form in forms(apps) if form.action.endswith("/auth/logout"))
    out = await person.posts(logout)
    assert "Max-Age=0" in out.headers["set-cookie"]
    person.http.cookies.set("session", before, domain="fhir.example")
    answer = await person.allows(page)
    assert not is_for_app(answer)
    await person.opens(f"{ORIGIN}/auth/apps")
    assert person.where.endswith("/auth/login")


async def test_an_app_that_is_removed_meanwhile_gets_nobody_sent(server: Watched, ann: Person) -> None:
    """[A3, X13] Its address is registered no more."""
    app = App("passing", PUBLIC.redirect_uri)
    for decision in ("allow", "deny"):
        await add_app(server, app)
        page = await waiting(ann, app=app)
        await server.services.store.clients.remove(app.id)
        answer = await ann.posts(forms(page)[0], decision=decision)
        assert (answer.status_code, "location" in answer.headers) == (httpx.codes.BAD_REQUEST, False)


async def test_an_app_that_is_registered_anew_asks_anew(server: Watched, ann: Person) -> None:
    """[A3, X13] What the one before it has asked for, or was given, is not its own."""
    before, after = App("renewed", PUBLIC.redirect_uri), App("renewed", "https://other.example/callback")
    await add_app(server, before)
    given = await redeemed(server, ann, before, f"{RECORD} offline_access")
    page = await waiting(ann, app=before)
    await server.services.store.clients.remove(before.id)
    await asyncio.sleep(0.002)
    await add_app(server, after)
    answer = await ann.allows(page)
    assert (answer.status_code, "location" in answer.headers) == (httpx.codes.BAD_REQUEST, False)
    refreshed = await ask(server, **after.refreshes(given["refresh_token"]))
    assert refreshed.json()["error"] == "invalid_grant"


# Whose record.

PATIENTS = {
    "nobody": "nobody",
    "empty": "",
    "a path": "../Practitioner/dora",
    "a reference": "Patient/ann",
    "a practitioner": "dora",
    "a query": "ann?_include=*",
    "an operator": '{"$ne": ""}',
    "markup": EVIL,
    "two": "ann,bob",
    "ten kilobytes": "a" * 10_000,
    "lines": "ann\r\nLocation: https://evil.example",
    "a NUL": "ann\0",
    "unicode": "\u0430nn",
}


@pytest.mark.parametrize("name", PATIENTS)
async def test_a_patient_whom_there_is_not_cannot_be_chosen(server: Watched, dora: Person, name: str) -> None:
    """[T5, X1, X21]"""
    page = await waiting(dora)
    assert dora.where.startswith(f"{ORIGIN}/auth/patient")
    form = next(one for one in forms(page) if one.method == "post")
    answer = await dora.posts(form, patient=PATIENTS[name])
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "Choose one of these patients." in answer.text
    assert "<script>" not in answer.text
    found = await dora.posts(forms(answer)[0], decision="search", query=PATIENTS[name])
    assert found.status_code == httpx.codes.OK
    assert "<script>" not in found.text
    chosen = await dora.posts(form, patient="ann")
    assert forms(chosen), "the request goes on with one whom there is"


@pytest.mark.parametrize("name", ["ann", "rita"])
async def test_who_has_one_record_cannot_choose_another(server: Watched, name: str) -> None:
    """[T5, X1]"""
    person = await logged_in(server, name)
    page = await waiting(person)
    fields = [pair for pair in forms(page)[0].fields if pair[0] in ("csrf", "request")]
    await person.posts(Form(f"{ORIGIN}/auth/patient", "post", fields), patient="bob")
    assert person.where.startswith(f"{ORIGIN}/auth/consent")
    answer = await person.allows(page, patient="bob")
    told = (await ask(server, **PUBLIC.redeems(told_to_app(answer)["code"]))).json()
    assert told["patient"] == "ann"
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Patient/bob")).status_code == httpx.codes.NOT_FOUND


async def test_who_speaks_for_nobody_any_more_gives_nothing(server: Watched) -> None:
    """[T5, X16]"""
    told = {"resourceType": "RelatedPerson", "id": "rosa", "patient": {"reference": "Patient/ann"}}
    async with server.as_() as http:
        (await http.put("/RelatedPerson/rosa", json={**told, "active": True})).raise_for_status()
        await add_user(server, "rosa", "RelatedPerson/rosa")
        person = await logged_in(server, "rosa")
        given = await redeemed(server, person, PUBLIC, f"{RECORD} offline_access")
        page = await waiting(person)
        (await http.put("/RelatedPerson/rosa", json={**told, "active": False})).raise_for_status()
    answer = await person.allows(page)
    assert told_to_app(answer)["error"] == "access_denied"
    refreshed = await ask(server, **PUBLIC.refreshes(given["refresh_token"]))
    assert refreshed.json()["error"] == "invalid_grant"


async def test_who_is_nobody_in_the_record_gives_nothing_of_it(server: Watched) -> None:
    """[O2, T5, X12]"""
    person = await logged_in(server, "nils")
    told = await redeemed(
        server, person, PUBLIC, "openid fhirUser launch/patient patient/*.cruds user/*.cruds"
    )
    assert told["scope"] == "openid"
    assert "patient" not in told
    refused = await person.opens(AUTHORIZE, params=PUBLIC.asks("patient/*.rs user/*.rs"))
    answer = await person.allows(refused)
    assert told_to_app(answer)["error"] == "access_denied"


# What is allowed.

WIDER: dict[str, dict[str, str]] = {
    "of systems": {"choice-0": "some", "part-0": "system/*.cruds"},
    "more letters": {"choice-0": "some", "part-0": "patient/Observation.cruds"},
    "another type": {"choice-0": "some", "part-0": "patient/Patient.rs"},
    "all types": {"choice-0": "some", "part-0": "patient/*.rs"},
    "of users": {"choice-0": "some", "part-0": "user/Observation.rs"},
    "without its criteria": {"choice-0": "some", "part-0": "patient/Observation.rs"},
    "a place that was not offered": {"choice-7": "all"},
    "a place below the first": {"choice--1": "all"},
    "several in one": {"choice-0": "some", "part-0": "patient/Observation.r patient/Patient.r"},
    "a scope as its own name": {"scope": "patient/*.cruds"},
    "for longer": {"choice-0": "some", "part-0": "offline_access"},
}


@pytest.mark.parametrize("name", WIDER)
async def test_nothing_is_allowed_that_was_not_offered(server: Watched, ann: Person, name: str) -> None:
    """[A9, S1, X12]"""
    page = await waiting(ann, "launch/patient patient/Observation.rs?category=laboratory")
    form = forms(page)[0]
    form.fields = [pair for pair in form.fields if pair[0] in ("csrf", "request")]
    assert told_to_app(await ann.posts(form, decision="allow", **WIDER[name]))["error"] == "access_denied"


# What an organisation decides for its clinicians.

LAUNCHED: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "for this one": ({"user": "Practitioner/dora"}, {}, "code"),
    "for nobody by name": ({}, {}, "consent"),
    "and asked to ask": ({"user": "Practitioner/dora"}, {"prompt": "consent"}, "consent"),
    "for a colleague": ({"user": "Practitioner/dan"}, {}, "error"),
}


@pytest.mark.parametrize("name", LAUNCHED)
async def test_what_is_decided_for_a_clinician_is_given_for_no_other(
    server: Watched, dora: Person, name: str
) -> None:
    """[A8, A9, X15] In a browser in which somebody is logged in already, perhaps the colleague before."""
    told, asked, expected = LAUNCHED[name]
    app = App(f"decided-{expected}-{len(asked)}", PUBLIC.redirect_uri)
    await add_app(server, app, decided_for_clinicians=True)
    async with server.as_("__launch system/*.rs") as http:
        made = await http.post(f"{ORIGIN}/auth/launch", json={"client_id": app.id, "patient": "ann", **told})
    asks = app.asks("launch patient/*.rs", launch=made.json()["launch"], **asked)
    answer = await dora.opens(AUTHORIZE, params=asks)
    if expected == "consent":
        assert dora.where.startswith(f"{ORIGIN}/auth/consent")
        assert "code" in told_to_app(await dora.allows(answer))
    else:
        assert expected in told_to_app(answer)


# A second factor.


async def test_who_has_not_come_with_the_code_yet_has_no_page_but_that(server: Watched) -> None:
    """[A10]"""
    user = await add_user(server, "two", "Patient/ann")
    uri, sealed = server.services.second_factors.enrolled(user.id, name=user.name, issuer="x")
    await server.services.store.users.set_second_factor(user.id, sealed)
    person = a_person(server)
    login = await person.opens(AUTHORIZE, params=PUBLIC.asks(RECORD))
    page = await person.logs_in(login, "two", PASSWORD)
    assert person.where.startswith(f"{ORIGIN}/auth/second-factor")
    pending = person.http.cookies["session"]
    request = secret_of(person)
    for place in ("consent", "patient"):
        await person.opens(f"{ORIGIN}/auth/{place}?request={request}")
        assert person.where.startswith(f"{ORIGIN}/auth/second-factor")
    await person.opens(f"{ORIGIN}/auth/apps")
    assert person.where.endswith("/auth/second-factor")
    fields = forms(page)[0].fields
    answer = await person.posts(Form(f"{ORIGIN}/auth/consent", "post", fields), decision="allow")
    assert person.where.startswith(f"{ORIGIN}/auth/second-factor"), answer.text
    silent = await person.opens(AUTHORIZE, params=PUBLIC.asks(RECORD, prompt="none"))
    assert told_to_app(silent)["error"] == "login_required"
    totp = pyotp.parse_uri(uri)
    assert isinstance(totp, pyotp.TOTP)
    consent = await person.posts(forms(page)[0], code=totp.at(server.services.clock()))
    assert person.where.startswith(f"{ORIGIN}/auth/consent")
    assert person.http.cookies["session"] != pending
    assert told_to_app(await person.allows(consent))["code"]


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 50
    assert await server.told_in_secret() == []
