"""
A server that is attacked, watched: where it redirects, what it logs and what it records.

Each answer of each test is looked at. Whoever is redirected goes to one of our own pages, or to an address
that an app has registered. Whatever is secret (codes, tokens, passwords, cookies, states, launches) is kept
in mind, to be looked for in what was logged and recorded (`told_in_secret`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, quote, quote_plus, urlsplit

import httpx
from structlog.testing import capture_logs

from audit.record import Record
from fhir_server.store.tickets import Kind, ticket_id
from tests.server.launching import AUTHORIZE, PASSWORD, TOKEN, a_person, add_app, launching
from tests.server.running import Server
from tests.smart.browsing import BASE, ORIGIN, App, Person, told_to_app

OTHER: Final = App("other", "https://other.example/callback", secret="s3cret-of-the-other-one")
PUBLIC: Final = App("public")
CONFIDENTIAL: Final = App("confidential", secret="s3cret-of-confidential")
REGISTERED: Final = (PUBLIC.redirect_uri, OTHER.redirect_uri)
HERE: Final = PUBLIC.redirect_uri
RECORD: Final = "launch/patient patient/*.rs"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
Told = list[tuple[str, str | int | float | bool | None]]
SECRET_CHARACTERS_MIN: Final = 12
"""Shorter ones could be found anywhere."""

_SECRET_FIELDS: Final = frozenset(
    """
    code code_verifier refresh_token access_token id_token token client_secret client_assertion password state
    launch request csrf
    """.split()
)
_TESTS: Final = count(1)


@dataclass(slots=True)
class Watched(Server):
    """Its clients remember each secret that goes back or forth, and fail where they are led astray."""

    secrets: set[str] = field(default_factory=set)
    logged: list[Any] = field(default_factory=list)

    def bearing(self, token: str | None) -> httpx.AsyncClient:
        http = Server.bearing(self, token)
        http.event_hooks = {"request": [self._sent], "response": [self._answered]}
        return http

    async def _sent(self, request: httpx.Request) -> None:
        self._remember(request.url.query.decode())
        kind = request.headers.get("content-type", "")
        if kind == "application/x-www-form-urlencoded":
            self._remember((await request.aread()).decode("latin-1"))
        self._keep(request.headers.get("authorization", "").partition(" ")[2])

    async def _answered(self, answer: httpx.Response) -> None:
        if answer.has_redirect_location:
            require_registered(place := answer.headers["location"])
            self._remember(urlsplit(place).query)
        for name, value in answer.cookies.items():
            self._keep(value if name else "")
        body = await answer.aread()
        if body and answer.headers.get("content-type") == "application/json":
            told = json.loads(body)
            self._remember_all({name: value for name, value in told.items() if isinstance(value, str)})

    def _remember(self, query: str) -> None:
        self._remember_all(dict(parse_qsl(query)))

    def _remember_all(self, told: Mapping[str, str]) -> None:
        for name, value in told.items():
            if name in _SECRET_FIELDS:
                self._keep(value)

    def _keep(self, value: str) -> None:
        if len(value) >= SECRET_CHARACTERS_MIN:
            self.secrets.add(value)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Whatever is logged meanwhile is kept."""
        with capture_logs() as facts:
            yield
        self.logged.extend(facts)

    async def recorded(self, request_id: str) -> list[Record]:
        """The records of one request."""
        return [record for record in await self.records() if record.request_id == request_id]

    async def told_in_secret(self) -> list[str]:
        """The secrets that stand in a log or record, the beginning of each."""
        told = f"{self.logged} {await self.records()}"
        return sorted(
            secret[:SECRET_CHARACTERS_MIN]
            for secret in self.secrets
            if any(written in told for written in (secret, quote(secret), quote_plus(secret)))
        )


def require_registered(place: str) -> None:
    """Fails unless a browser that is sent there comes to one of our pages, or to a registered address."""
    ours = place.startswith(("/auth/", f"{ORIGIN}/auth/")) and "\\" not in place
    assert ours or place.partition("?")[0] in REGISTERED, place
    assert place.isascii(), place
    assert place.isprintable(), place


@asynccontextmanager
async def attacked(mongodb_url: str, folder: Path, **told: Any) -> AsyncIterator[Watched]:
    """The ward of launching.py, with a third app."""
    async with launching(mongodb_url, folder, **told) as server:
        await add_app(server, OTHER)
        yield Watched(server.application, server.services)


def a_request_id() -> str:
    """One that no other request has."""
    return f"attack-{next(_TESTS)}"


async def logged_in(server: Server, name: str) -> Person:
    """Somebody who has opened the list of their apps."""
    person = a_person(server)
    page = await person.opens(f"{ORIGIN}/auth/login")
    assert (await person.logs_in(page, name, PASSWORD)).status_code == httpx.codes.OK
    return person


async def allowed(person: Person, app: App, scope: str, **asked: str | None) -> dict[str, str]:
    """What the app is told after this person, who is logged in, has allowed what is offered."""
    page = await person.opens(f"{ORIGIN}/auth/authorize", params=app.asks(scope, **asked))
    assert person.where.startswith(f"{ORIGIN}/auth/consent"), page.text
    return told_to_app(await person.allows(page))


async def a_code(person: Person, app: App, scope: str = RECORD) -> str:
    return (await allowed(person, app, scope))["code"]


async def redeemed(server: Server, person: Person, app: App, scope: str) -> dict[str, Any]:
    """The answer with the tokens, after this person has allowed it."""
    code = await a_code(person, app, scope)
    async with server.bearing(None) as http:
        answer = await http.post(TOKEN, **app.redeems(code))
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def refused_as(
    server: Watched, error: str, status: int, url: str = TOKEN, *, client: str | None = None, **posted: Any
) -> httpx.Response:
    """Post it: refused in this way, nothing kept by caches, and one record with the client and why."""
    request_id = a_request_id()
    async with server.bearing(None) as http:
        headers = {"X-Request-Id": request_id, **posted.pop("headers", {})}
        answer = await http.post(url, headers=headers, **posted)
    assert (answer.json().get("error"), answer.status_code) == (error, status), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert "access_token" not in answer.json()
    [record] = [one for one in await server.recorded(request_id) if one.interaction != "read"]
    assert (record.outcome, record.status, record.client) == ("refused", status, client)
    assert (record.reason or "").startswith(error)
    return answer


async def over(server: Server, kind: Kind, secret: str) -> None:
    """Time has gone by for this ticket: it held until a moment ago."""
    done = await server.services.store._database.tickets.update_one(
        {"_id": ticket_id(kind, secret)}, {"$set": {"at": datetime.now(UTC) - timedelta(seconds=1)}}
    )
    assert done.modified_count == 1


async def works(server: Server, token: str) -> bool:
    """Does this access token read a patient?"""
    async with server.bearing(token) as http:
        answer = await http.get("/Patient/ann")
    assert answer.status_code in (httpx.codes.OK, httpx.codes.UNAUTHORIZED), answer.text
    return answer.status_code == httpx.codes.OK


def changed(*without: str, scope: str | None = RECORD, **told: str | None) -> Told:
    """What an app asks, with this instead."""
    asked = {**PUBLIC.asks("", **told), "scope": scope}
    return [(name, value) for name, value in asked.items() if value is not None and name not in without]


async def asks(server: Watched, told: Told, request_id: str | None = None) -> httpx.Response:
    """The answer of /auth/authorize itself, which is not followed."""
    async with server.bearing(None) as http:
        headers = {"X-Request-Id": request_id or a_request_id()}
        return await http.get(AUTHORIZE, params=told, headers=headers)


async def a_page_says_no(server: Watched, told: Told, client: str | None) -> None:
    """An error page of ours, and one record."""
    request_id = a_request_id()
    answer = await asks(server, told, request_id)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "location" not in answer.headers
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "http-equiv" not in answer.text.lower()
    assert "href=" not in answer.text.replace('href="/', ""), "no link leads elsewhere"
    [record] = await server.recorded(request_id)
    assert (record.interaction, record.outcome, record.status) == ("authorize", "refused", 400)
    assert (record.client, record.reason is None) == (client, False)


async def the_app_is_told(server: Watched, told: Told, error: str) -> dict[str, str]:
    """A redirect to the app with this error, the state and who says so, and one record."""
    request_id = a_request_id()
    answer = await asks(server, told, request_id)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    assert answer.headers["location"].startswith(f"{HERE}?error=")
    assert answer.headers["referrer-policy"] == "no-referrer"
    said = told_to_app(answer)
    assert (said["error"], said["iss"]) == (error, BASE)
    assert "code" not in said
    [record] = await server.recorded(request_id)
    assert (record.interaction, record.outcome, record.client) == ("authorize", "refused", PUBLIC.id)
    assert (record.reason or "").startswith(f"{error}: ")
    return said


async def waiting(person: Person, scope: str = RECORD, app: App = PUBLIC) -> httpx.Response:
    """The page on which this person decides, or chooses."""
    return await person.opens(AUTHORIZE, params=app.asks(scope))


def secret_of(person: Person) -> str:
    return parse_qs(urlsplit(person.where).query)["request"][0]


def is_for_app(answer: httpx.Response) -> bool:
    return str(answer.headers.get("location", "")).startswith(PUBLIC.redirect_uri)
