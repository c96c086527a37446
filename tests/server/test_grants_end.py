"""
What was granted ends with what it stands on: the client, the password, who somebody is, whom they speak for.

And it ends also for those who were on their way at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.api.authorization import apps
from fhir_server.pipeline.authorizing.sessions import begun, session_of
from fhir_server.smart.clients import Client
from fhir_server.smart.revocations import of_client
from fhir_server.smart.tokens import LONGEST
from tests.server.launching import (
    AUTHORIZE,
    PASSWORD,
    a_person,
    add_app,
    add_user,
    ask,
    given,
    launching,
)
from tests.server.running import Server
from tests.smart.browsing import ORIGIN, App, forms, told_to_app

SCOPE = "launch/patient offline_access patient/*.rs"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


async def refreshed(server: Server, app: App, told: dict[str, Any]) -> httpx.Response:
    return await ask(server, **app.refreshes(told["refresh_token"]))


async def test_an_app_that_is_registered_again_has_nothing_of_what_it_had(server: Server) -> None:
    app = App("comes-again")
    await add_app(server, app)
    told = await given(server, app, "ann", SCOPE)
    assert await server.services.store.clients.remove(app.id)
    await add_app(server, app)
    answer = await refreshed(server, app, told)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_token_that_is_made_while_its_client_is_removed_holds_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has been looked up, and a second later it is gone."""
    app = App("removed-meanwhile")
    await add_app(server, app)
    told = await given(server, app, "ann", SCOPE)
    clients, clock = server.services.store.clients, server.services.clock
    known = clients.get

    async def looked_up_just_before_it_was_removed(id: str) -> Client | None:
        client = await known(id)
        await server.services.store.revocations.add(of_client(app.id, clock(), clock() + LONGEST))
        await a_second_later(server)
        return client

    monkeypatch.setattr(clients, "get", looked_up_just_before_it_was_removed)
    answer = await refreshed(server, app, told)
    async with server.bearing(answer.json().get("access_token", "none")) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.UNAUTHORIZED


async def a_second_later(server: Server) -> None:
    await asyncio.sleep(1.01 - server.services.clock().timestamp() % 1)


async def test_a_password_that_is_changed_as_somebody_logs_in_begins_nothing(server: Server) -> None:
    """Who proved the old one has no session, however long it took to make it."""
    services = server.services
    user = await add_user(server, "anew", "Patient/ann")
    hashed = await services.passwords.hashed("another correct staple 8")
    assert await services.store.users.set_password(user.id, hashed, services.clock())
    assert await session_of(await begun(user, services, pending=False), services) is None


async def test_who_becomes_somebody_else_in_the_record_logs_in_anew(server: Server) -> None:
    user = await add_user(server, "turncoat", "Practitioner/dora")
    person = a_person(server)
    await person.opens(f"{ORIGIN}/auth/apps")
    await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "turncoat", PASSWORD)
    assert person.where == f"{ORIGIN}/auth/apps"
    assert await server.services.store.users.set_fhir_user(user.id, "Patient/bob")
    await person.opens(f"{ORIGIN}/auth/apps")
    assert person.where == f"{ORIGIN}/auth/login"


async def test_a_patient_whom_somebody_chose_as_somebody_else_is_not_theirs_to_grant(server: Server) -> None:
    user = await add_user(server, "chameleon", "Practitioner/dora")
    person, app = a_person(server), App("public")
    page = await person.opens(AUTHORIZE, params=app.asks(SCOPE))
    page = await person.logs_in(page, "chameleon", PASSWORD)
    page = await person.posts(next(one for one in forms(page) if one.method == "post"), patient="ann")
    consent = person.where
    assert consent.startswith(f"{ORIGIN}/auth/consent")
    assert await server.services.store.users.set_fhir_user(user.id, "Patient/bob")
    page = await person.opens(consent)
    answer = await person.logs_in(page, "chameleon", PASSWORD)
    assert told_to_app(answer)["error"] == "access_denied"


@pytest.mark.parametrize(
    "after",
    [{"active": False}, {"patient": {"reference": "Patient/bob"}}],
    ids=["not active", "somebody else's"],
)
async def test_a_relative_who_speaks_for_the_patient_no_more_gives_nothing_more(
    server: Server, after: dict[str, Any]
) -> None:
    """[X16]"""
    relative = {"resourceType": "RelatedPerson", "id": "ron", "patient": {"reference": "Patient/ann"}}
    name = f"ron-{len(after)}-{next(iter(after))}"
    async with server.as_() as http:
        (await http.put("/RelatedPerson/ron", json=relative)).raise_for_status()
        await add_user(server, name, "RelatedPerson/ron")
        told = await given(server, App("public"), name, SCOPE)
        again = await refreshed(server, App("public"), told)
        assert again.status_code == httpx.codes.OK, again.text
        (await http.put("/RelatedPerson/ron", json={**relative, **after})).raise_for_status()
    answer = await refreshed(server, App("public"), again.json())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_the_page_shows_the_latest_of_very_many_and_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clinician launches apps all day; each line says whose record it is about."""
    monkeypatch.setattr(apps, "APPS_SHOWN_MAX", 2)
    await add_user(server, "busy", "Practitioner/dora")
    person = a_person(server)
    for _ in range(3):
        await given(server, App("public"), "busy", "launch/patient patient/*.rs")
    page = await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "busy", PASSWORD)
    assert page.text.count("End access") == 2
    assert page.text.count("Patient/ann") == 2
    assert "the latest 2" in page.text
    form = next(one for one in forms(page) if any(name == "grant" for name, _ in one.buttons))
    page = await person.posts(form, grant=dict(form.buttons)["grant"])
    assert page.text.count("End access") == 2
    assert "the latest 2" not in page.text


async def test_who_is_disabled_as_they_log_in_begins_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await add_user(server, "too-late", "Patient/ann")
    tickets = server.services.store.tickets
    kept = tickets.put

    async def put_as_they_are_disabled(*told: Any) -> None:
        await kept(*told)
        assert await server.services.store.users.disable(user.id)

    monkeypatch.setattr(tickets, "put", put_as_they_are_disabled)
    person = a_person(server)
    answer = await person.logs_in(await person.opens(f"{ORIGIN}/auth/login"), "too-late", PASSWORD)
    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
