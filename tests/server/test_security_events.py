"""
Who got in, who tried and what was taken back is found among the AuditEvents: docs/security-events.md.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation import validate
from tests.server.launching import AUTHORIZE, PASSWORD, a_person, ask, given, launching
from tests.server.running import Server
from tests.smart.browsing import ORIGIN, App, forms

APP = App("confidential", secret="s3cret-of-confidential")
SCOPE = "openid fhirUser launch/patient patient/Observation.rs offline_access"
ALL = "type=110114,110113&_count=200&_sort=date"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


async def found(server: Server, query: str) -> list[dict[str, Any]]:
    async with server.as_("system/AuditEvent.rs") as http:
        answer = await http.get(f"/AuditEvent?{query}")
    assert answer.status_code == httpx.codes.OK, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


async def only(server: Server, query: str) -> dict[str, Any]:
    """The last one."""
    return (await found(server, f"{query}&_sort=-date&_count=1"))[0]


def user_of(event: dict[str, Any]) -> str:
    return str(event["agent"][2]["who"]["reference"])


async def test_what_leads_to_a_token_is_found_step_by_step(server: Server) -> None:
    await given(server, APP, "ann", SCOPE)
    login = await only(server, "agent=Patient/ann&subtype=110122")
    assert login["subtype"][-1]["code"] == "token"
    subtypes = {
        event["subtype"][-1]["code"]
        for event in await found(server, "agent=Patient/ann&type=110114&outcome=0")
    }
    assert subtypes >= {"110122", "authorize", "token"}
    decision = await only(server, "agent=Patient/ann&subtype=authorize")
    assert decision["agent"][0]["altId"] == "confidential"
    assert user_of(decision) == "Patient/ann"
    assert [event["id"] for event in await found(server, "patient=ann&subtype=authorize")] == [decision["id"]]


async def test_a_decision_and_a_token_say_what_was_given(server: Server) -> None:
    await given(server, APP, "bob", "launch/patient patient/Observation.rs")
    reasons = {record.interaction: record.query for record in await server.records() if record.query}
    assert reasons["authorize"] == reasons["token"] == "scope=launch/patient patient/Observation.rs"


async def test_a_wrong_password_is_a_refused_login(server: Server) -> None:
    person = a_person(server)
    await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "rita", "not the password")
    event = await only(server, "agent=RelatedPerson/rita&subtype=110122&outcome=4")
    assert event["outcomeDesc"] == "HTTP 401: wrong password"


async def test_the_failure_that_locks_says_so(server: Server) -> None:
    person = a_person(server)
    for _ in range(5):
        await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "nils", "not the password")
    assert "locks" in (await only(server, "altid=account-nils&outcome=4"))["outcomeDesc"]


async def test_a_refused_token_and_a_refused_question_are_found_by_their_client(server: Server) -> None:
    await ask(server, **APP.redeems("no code"))
    event = await only(server, "agent=confidential&subtype=token&outcome=4")
    assert event["outcomeDesc"].startswith("HTTP 400: invalid_grant")
    await a_person(server).opens(AUTHORIZE, params=App("public").asks(redirect_uri="https://evil.example/"))
    assert (await only(server, "agent=public&subtype=authorize&outcome=4"))["action"] == "E"


async def test_logging_out_and_taking_back_are_found(server: Server) -> None:
    told = await given(server, APP, "ann", SCOPE)
    async with server.bearing(None) as http:
        posted = {"data": {"token": told["refresh_token"]}, "auth": ("confidential", APP.secret or "")}
        assert (await http.post(f"{ORIGIN}/auth/revoke", **posted)).status_code == httpx.codes.OK  # type: ignore[arg-type]  # a form and who sends it
    assert (await only(server, "agent=confidential&subtype=revocation"))["outcome"] == "0"
    person = a_person(server)
    page = await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "ann", PASSWORD)
    await person.posts(next(one for one in forms(page) if one.action.endswith("/auth/logout")))
    event = await only(server, "agent=Patient/ann&subtype=110123")
    assert [one["code"] for one in event["subtype"]] == ["110123"]


async def test_what_others_ask_about_a_token_is_recorded(server: Server) -> None:
    told = await given(server, APP, "ann", SCOPE)
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get(f"{ORIGIN}/auth/userinfo")).status_code == httpx.codes.OK
    assert user_of(await only(server, "agent=Patient/ann&subtype=userinfo")) == "Patient/ann"
    async with server.bearing(None) as http:
        await http.post(f"{ORIGIN}/auth/introspect", data={"token": told["access_token"]})
    assert (await only(server, "subtype=introspection&outcome=4"))["type"]["code"] == "110114"


async def test_each_security_event_is_valid(server: Server) -> None:
    await given(server, APP, "ann", SCOPE)
    events = await found(server, ALL)
    assert events
    for event in events:
        assert validate(from_text(to_text(event)), expected_type="AuditEvent") == ()
