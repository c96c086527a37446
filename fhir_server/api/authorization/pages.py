"""
The addresses of /auth that a person sees: to log in, to choose and decide, and to take back what was decided.

Each answers GET with its page, or leads to the page that comes next; POST does what the page asks and leads
on. What is asked for goes along as a secret in the address, and nothing about a patient does.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog

from fhir_server.api.authorization.apps import Apps
from fhir_server.api.authorization.browser import OutOfDate, Visit, later, led, page
from fhir_server.api.authorization.cookies import Cookies, is_own_form
from fhir_server.api.authorization.deciding import Deciding
from fhir_server.api.authorization.login import Login
from fhir_server.api.authorization.way import Way
from fhir_server.api.contact import contact_of
from fhir_server.api.flood import Flood, Source
from fhir_server.api.pages.people import ErrorView, error_page
from fhir_server.api.request import Receive, Request
from fhir_server.api.response import Response, Send
from fhir_server.pipeline.authorizing.addresses import (
    APPS_PATH,
    AUTHORIZE_PATH,
    CONSENT_PATH,
    LOGIN_PATH,
    LOGOUT_PATH,
    PATIENT_PATH,
    SECOND_FACTOR_PATH,
)
from fhir_server.pipeline.authorizing.asking import Refused, asked, request_of
from fhir_server.pipeline.authorizing.sessions import session_of
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import FhirError, Invalid, TooMany
from fhir_server.smart.authorization_request import Unredirectable
from fhir_server.smart.caller import Contact
from fhir_server.smart.rates import Rates, network_of

log = structlog.get_logger()

FORM_BYTES_MAX: Final = 65_536
HELD_SECONDS: Final = 1.0
"""How long a refusal of who comes too often is held back: as long as Retry-After says at least."""
PAGES: Final = frozenset(
    (
        AUTHORIZE_PATH, LOGIN_PATH, SECOND_FACTOR_PATH, PATIENT_PATH, CONSENT_PATH, APPS_PATH, LOGOUT_PATH,
    )
)  # fmt: skip
"""Addresses that need no token: who is in front of them logs in."""


class Pages:
    """An ASGI application for the addresses in PAGES."""

    def __init__(self, services: Services, flood: Flood) -> None:
        self._services = services
        self._flood = flood
        self._rates = Rates(services.settings.authorize_requests_per_minute_max, 60.0, time.monotonic)
        self._cookies = Cookies(services.settings.base_url)
        self._way = Way(services)
        login = Login(services, self._cookies, flood, self._way)
        deciding = Deciding(services, self._way)
        apps = Apps(services, self._cookies)
        self._handlers: Mapping[tuple[str, str], Callable[[Visit], Awaitable[Response]]] = {
            (AUTHORIZE_PATH, "GET"): self._authorize,
            (AUTHORIZE_PATH, "POST"): self._authorize,
            (LOGIN_PATH, "GET"): login.show,
            (LOGIN_PATH, "POST"): login.log_in,
            (SECOND_FACTOR_PATH, "GET"): login.show_code,
            (SECOND_FACTOR_PATH, "POST"): login.prove_code,
            (PATIENT_PATH, "GET"): deciding.show_patients,
            (PATIENT_PATH, "POST"): deciding.choose_patient,
            (CONSENT_PATH, "GET"): deciding.show_consent,
            (CONSENT_PATH, "POST"): deciding.decide,
            (APPS_PATH, "GET"): apps.show,
            (APPS_PATH, "POST"): apps.revoke,
            (LOGOUT_PATH, "POST"): apps.log_out,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        contact = contact_of(scope)
        try:
            response = await self._respond(scope, receive, contact)
        except FhirError as refusal:
            response = self._problem(refusal.status, "This does not work now", str(refusal), contact)
            if isinstance(refusal, TooMany):
                later(response, refusal)
        except Exception as bug:  # The outermost place: what breaks has an answer, too.
            log.error("bug", request_id=contact.request_id, exc_info=bug)
            response = self._problem(500, "Something broke", "The log of the server knows what.", contact)
        if response.status == TooMany.status:
            # Who does not wait before coming again waits here: else to refuse them would keep us from others.
            await asyncio.sleep(HELD_SECONDS)
        await response.send(send, request_id=contact.request_id, without_body=scope["method"] == "HEAD")

    async def _respond(self, scope: MutableMapping[str, Any], receive: Receive, contact: Contact) -> Response:
        path, method = scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"]
        if (path, method) not in self._handlers:
            allowed = ", ".join(known for place, known in self._handlers if place == path)
            response = self._problem(405, "This cannot be done", f"It is asked by {allowed}.", contact)
            response.headers.append((b"allow", allowed.encode()))
            return response
        request = Request(scope, receive, FORM_BYTES_MAX, self._services.settings.request_seconds_max)
        try:
            return await self._handlers[path, method](await self._visit(path, method, request, contact))
        except Refused as no:
            return led(no.url)
        except Unredirectable as refusal:
            return self._problem(400, "This cannot go on", str(refusal), contact)
        except OutOfDate:
            told = "This page is out of date. Go back to the app and start again."
            return self._problem(400, "Start again", told, contact)
        except Invalid as refusal:
            return self._problem(400, "This cannot go on", str(refusal), contact)

    async def _visit(self, path: str, method: str, request: Request, contact: Contact) -> Visit:
        cookies = self._cookies.of(request)
        posted = await request.form() if method == "POST" else ()
        pairs = posted if path != AUTHORIZE_PATH or posted else request.parameters
        form = dict(pairs)
        session = await session_of(cookies.get(self._cookies.session), self._services)
        told = form.get("request") if method == "POST" else dict(request.parameters).get("request")
        asked = None if path == AUTHORIZE_PATH else await request_of(told, self._services)
        if method == "POST" and path != AUTHORIZE_PATH:
            cookie = cookies.get(self._cookies.session if session else self._cookies.form)
            if not is_own_form(form, cookie):
                raise OutOfDate
        return Visit(request, contact, cookies, session, asked, form, tuple(pairs))

    async def _authorize(self, visit: Visit) -> Response:
        address = visit.contact.address
        self._flood.require_calm(address, "authorize")
        self._require_rate(address)
        try:
            waiting = await asked(visit.pairs, visit.session, self._services, visit.contact)
        except (Refused, Unredirectable):
            self._flood.refused(address, "authorize")
            raise
        return await self._way.go_on(waiting, visit.session, visit.contact)

    def _require_rate(self, address: str) -> None:
        """Raises TooMany, counted: who asks need not be anybody, and each request waits in the database."""
        if seconds := self._rates.seconds_to_wait(network_of(address)):
            self._flood.count(Source(address, "authorize"))
            raise TooMany("Too many apps ask from this address", retry_after_seconds=seconds)

    def _problem(self, status: int, title: str, told: str, contact: Contact) -> Response:
        return page(status, error_page(ErrorView(title, told, contact.request_id)), None)
