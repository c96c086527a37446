"""
The pages on which a person logs in, chooses and decides, and takes back what was decided.

Each address answers GET with its page, or leads to the page that comes next; POST does what the page asks and
leads on. What is asked for goes along as a secret in the address, and nothing about a patient does.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from fhir_server.api.authorization.apps import Apps
from fhir_server.api.authorization.browser import OutOfDate, Visit, led, page
from fhir_server.api.authorization.cookies import Cookies, form_token, is_own_form
from fhir_server.api.contact import contact_of
from fhir_server.api.flood import Flood, Source
from fhir_server.api.pages.people import (
    AppView,
    CodeView,
    ConsentView,
    ErrorView,
    LoginView,
    PatientLine,
    PatientsView,
    chosen,
    code_page,
    consent_page,
    error_page,
    login_page,
    patients_page,
    target_of,
)
from fhir_server.api.request import Receive, Request
from fhir_server.api.response import Headers, Response, Send
from fhir_server.interactions.naming import identifier_of, name_of
from fhir_server.pipeline.authorizing.addresses import (
    APPS_PATH,
    AUTHORIZE_PATH,
    CONSENT_PATH,
    LOGIN_PATH,
    LOGOUT_PATH,
    PATIENT_PATH,
    SECOND_FACTOR_PATH,
)
from fhir_server.pipeline.authorizing.approving import approved, is_decided, offered
from fhir_server.pipeline.authorizing.asking import Asked, Refused, asked, refused, request_of
from fhir_server.pipeline.authorizing.choosing import SHOWN_MAX, Json, patients_like, readable
from fhir_server.pipeline.authorizing.recording import Who
from fhir_server.pipeline.authorizing.sessions import Session, begun, session_of
from fhir_server.pipeline.authorizing.steps import Page, next_step, with_patient
from fhir_server.pipeline.logging_in import LockedOut, LoginRefused, proven_by_code, proven_by_password
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError, Invalid, TooMany
from fhir_server.r4.resource import Key
from fhir_server.smart.authorization_request import AuthorizationRefused, Unredirectable
from fhir_server.smart.caller import Contact
from fhir_server.smart.rates import Rates, network_of
from fhir_server.smart.words import offers

log = structlog.get_logger()

FORM_BYTES_MAX: Final = 65_536
FORM_COOKIE_BYTES: Final = 24
HELD_SECONDS: Final = 1.0
"""How long a refusal of who comes too often is held back: as long as Retry-After says at least."""
PAGES: Final = frozenset(
    (
        AUTHORIZE_PATH, LOGIN_PATH, SECOND_FACTOR_PATH, PATIENT_PATH, CONSENT_PATH, APPS_PATH, LOGOUT_PATH,
    )
)  # fmt: skip
"""Addresses that need no token: who is in front of them logs in."""

_ADDRESSES: Final[Mapping[Page, str]] = {
    "login": LOGIN_PATH,
    "code": SECOND_FACTOR_PATH,
    "patient": PATIENT_PATH,
    "consent": CONSENT_PATH,
}


class Pages:
    """An ASGI application for the addresses in PAGES."""

    def __init__(self, services: Services, flood: Flood) -> None:
        self._services = services
        self._flood = flood
        self._rates = Rates(services.settings.authorize_requests_per_minute_max, 60.0, time.monotonic)
        self._cookies = Cookies(services.settings.base_url)
        apps = Apps(services, self._cookies)
        self._handlers: Mapping[tuple[str, str], Callable[[Visit], Awaitable[Response]]] = {
            (AUTHORIZE_PATH, "GET"): self._authorize,
            (AUTHORIZE_PATH, "POST"): self._authorize,
            (LOGIN_PATH, "GET"): self._show_login,
            (LOGIN_PATH, "POST"): self._log_in,
            (SECOND_FACTOR_PATH, "GET"): self._show_code,
            (SECOND_FACTOR_PATH, "POST"): self._prove_code,
            (PATIENT_PATH, "GET"): self._show_patients,
            (PATIENT_PATH, "POST"): self._choose_patient,
            (CONSENT_PATH, "GET"): self._show_consent,
            (CONSENT_PATH, "POST"): self._decide,
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
                _later(response, refusal)
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

    # What an app asks for.

    async def _authorize(self, visit: Visit) -> Response:
        address = visit.contact.address
        self._flood.require_calm(address, "authorize")
        self._require_rate(address)
        try:
            secret = await asked(visit.pairs, visit.session, self._services, visit.contact)
        except (Refused, Unredirectable):
            self._flood.refused(address, "authorize")
            raise
        waiting = await request_of(secret, self._services)
        assert waiting is not None, "it was kept a moment ago"
        return await self._go_on(waiting, visit.session, visit.contact)

    def _require_rate(self, address: str) -> None:
        """Raises TooMany, counted: who asks need not be anybody, and each request waits in the database."""
        if seconds := self._rates.seconds_to_wait(network_of(address)):
            self._flood.count(Source(address, "authorize"))
            raise TooMany("Too many apps ask from this address", retry_after_seconds=seconds)

    async def _go_on(self, waiting: Asked, session: Session | None, contact: Contact) -> Response:
        services = self._services
        try:
            step = await next_step(waiting, session, services, contact)
            if step.page == "consent" and session and await is_decided(step.asked, session, services):
                told = offered(step.asked, session, services)
                everything = (*told.choices, *told.scopes)
                return led(await approved(step.asked, everything, session, services, contact))
        except AuthorizationRefused as refusal:
            raise await self._refused(refusal, waiting, session, contact) from refusal
        return led(f"{_ADDRESSES[step.page]}?{urlencode({'request': waiting.secret})}")

    async def _at(self, page: Page, visit: Visit) -> Asked | Response:
        """What waits, if this is its page; else the way to the right one."""
        if visit.asked is None:
            raise OutOfDate
        try:
            step = await next_step(visit.asked, visit.session, self._services, visit.contact)
        except AuthorizationRefused as refusal:
            raise await self._refused(refusal, visit.asked, visit.session, visit.contact) from refusal
        if step.page == page:
            return step.asked
        return led(f"{_ADDRESSES[step.page]}?{urlencode({'request': visit.asked.secret})}")

    async def _refused(
        self, refusal: AuthorizationRefused, waiting: Asked, session: Session | None, contact: Contact
    ) -> Refused:
        """It is decided: the app is told no."""
        services = self._services
        await services.store.tickets.take("request", waiting.secret, services.clock())
        who = Who(waiting.client, *((session.user.id, session.user.fhir_user) if session else ()))
        return await refused(refusal, waiting.address, who, services, contact)

    async def _require_goes_on(self, visit: Visit) -> None:
        """Raises Refused when the person does not want to go on."""
        if visit.form.get("decision") in ("cancel", "deny") and visit.asked is not None:
            told = AuthorizationRefused("access_denied", "The person does not allow it")
            raise await self._refused(told, visit.asked, visit.session, visit.contact)

    # Who the person is.

    async def _show_login(self, visit: Visit) -> Response:
        if visit.asked is not None:
            here = await self._at("login", visit)
            if isinstance(here, Response):
                return here
        elif visit.session is not None:
            return led(SECOND_FACTOR_PATH if visit.session.pending else APPS_PATH)
        return await self._login_page(visit)

    async def _login_page(self, visit: Visit, problem: str | None = None, status: int = 200) -> Response:
        cookie = visit.cookies.get(self._cookies.session if visit.session else self._cookies.form)
        headers: Headers = []
        if cookie is None:
            cookie = secrets.token_urlsafe(FORM_COOKIE_BYTES)
            headers = self._cookies.set(self._cookies.form, cookie)
        view = LoginView(
            LOGIN_PATH,
            form_token(cookie),
            "" if visit.asked is None else visit.asked.secret,
            await self._app(visit.asked),
            visit.form.get("name", ""),
            problem,
        )
        return page(status, login_page(view), visit.asked, headers)

    async def _log_in(self, visit: Visit) -> Response:
        await self._require_goes_on(visit)
        name, password = visit.form.get("name", ""), visit.form.get("password", "")
        self._flood.require_calm(visit.contact.address, "login")
        try:
            user = await proven_by_password(name, password, self._services, visit.contact)
        except (LoginRefused, LockedOut, TooMany) as refusal:
            self._not_logged_in(refusal, visit.contact)
            return _later(await self._login_page(visit, str(refusal), refusal.status), refusal)
        return await self._begin(visit, await begun(user, self._services, pending=user.totp is not None))

    def _not_logged_in(self, refusal: LoginRefused | LockedOut | TooMany, contact: Contact) -> None:
        if isinstance(refusal, TooMany):
            # There was no room to look at it, so that nothing is recorded yet.
            self._flood.count(Source(contact.address, "login"))
        else:
            self._flood.refused(contact.address, "login")

    async def _begin(self, visit: Visit, secret: str) -> Response:
        """Go on in a new session: what the browser was known by before is worth nothing any more."""
        if visit.session is not None:
            await self._services.store.tickets.take("session", visit.session.secret, self._services.clock())
        session = await session_of(secret, self._services)
        assert session is not None, "it was begun a moment ago"
        if visit.asked is not None:
            onward = await self._go_on(visit.asked, session, visit.contact)
        else:
            onward = led(SECOND_FACTOR_PATH if session.pending else APPS_PATH)
        headers = [
            *self._cookies.set(self._cookies.session, secret),
            *self._cookies.cleared(self._cookies.form),
        ]
        return Response(onward.status, [*onward.headers, *headers], b"")

    async def _show_code(self, visit: Visit) -> Response:
        if visit.asked is not None:
            here = await self._at("code", visit)
            if isinstance(here, Response):
                return here
        elif visit.session is None or not visit.session.pending:
            return led(LOGIN_PATH)
        return self._code_page(visit)

    def _code_page(self, visit: Visit, problem: str | None = None, status: int = 200) -> Response:
        assert visit.session is not None, "a code is asked for after the password"
        request = "" if visit.asked is None else visit.asked.secret
        view = CodeView(SECOND_FACTOR_PATH, form_token(visit.session.secret), request, problem)
        return page(status, code_page(view), visit.asked)

    async def _prove_code(self, visit: Visit) -> Response:
        await self._require_goes_on(visit)
        if visit.session is None or not visit.session.pending:
            raise OutOfDate
        code = visit.form.get("code", "")
        self._flood.require_calm(visit.contact.address, "login")
        try:
            user = await proven_by_code(visit.session.user, code, self._services, visit.contact)
        except (LoginRefused, LockedOut) as refusal:
            self._not_logged_in(refusal, visit.contact)
            return _later(self._code_page(visit, str(refusal), refusal.status), refusal)
        return await self._begin(visit, await begun(user, self._services, pending=False))

    # Whose record, and what of it.

    async def _show_patients(self, visit: Visit) -> Response:
        here = await self._at("patient", visit)
        return here if isinstance(here, Response) else await self._patients_page(visit, here)

    async def _patients_page(self, visit: Visit, waiting: Asked, problem: str | None = None) -> Response:
        assert visit.session is not None, "who chooses is logged in"
        query = visit.form.get("query", "")
        found = await patients_like(query, visit.session, self._services, visit.contact)
        app = await self._app(waiting)
        assert app is not None, "somebody asks"
        view = PatientsView(
            PATIENT_PATH,
            form_token(visit.session.secret),
            waiting.secret,
            app,
            query,
            tuple(_line(one) for one in found[:SHOWN_MAX]),
            len(found) > SHOWN_MAX,
            problem,
        )
        return page(400 if problem else 200, patients_page(view), waiting)

    async def _choose_patient(self, visit: Visit) -> Response:
        await self._require_goes_on(visit)
        here = await self._at("patient", visit)
        if isinstance(here, Response):
            return here
        assert visit.session is not None, "who chooses is logged in"
        if visit.form.get("decision") == "search":
            return await self._patients_page(visit, here)
        patient = visit.form.get("patient", "")
        try:
            chosen = await with_patient(here, patient, visit.session, self._services, visit.contact)
        except (AuthorizationRefused, FhirError):
            return await self._patients_page(visit, here, "Choose one of these patients.")
        return await self._go_on(chosen, visit.session, visit.contact)

    async def _show_consent(self, visit: Visit) -> Response:
        here = await self._at("consent", visit)
        return here if isinstance(here, Response) else await self._consent_page(visit, here)

    async def _consent_page(self, visit: Visit, waiting: Asked) -> Response:
        assert visit.session is not None, "who decides is logged in"
        told = offered(waiting, visit.session, self._services)
        app = await self._app(waiting)
        assert app is not None, "somebody asks"
        view = ConsentView(
            CONSENT_PATH,
            form_token(visit.session.secret),
            waiting.secret,
            app,
            visit.session.user.name,
            await self._patient(waiting, visit),
            offers((*told.choices, *told.scopes), definitions().resource_types),
        )
        return page(200, consent_page(view), waiting)

    async def _decide(self, visit: Visit) -> Response:
        await self._require_goes_on(visit)
        here = await self._at("consent", visit)
        if isinstance(here, Response):
            return here
        assert visit.session is not None, "who decides is logged in"
        if visit.form.get("decision") != "allow":
            return await self._consent_page(visit, here)
        told = offered(here, visit.session, self._services)
        allowed = chosen(visit.pairs, offers((*told.choices, *told.scopes), definitions().resource_types))
        try:
            return led(await approved(here, allowed, visit.session, self._services, visit.contact))
        except AuthorizationRefused as refusal:
            raise await self._refused(refusal, here, visit.session, visit.contact) from refusal

    # What pages are made of.

    async def _app(self, waiting: Asked | None) -> AppView | None:
        if waiting is None:
            return None
        client = await self._services.store.clients.get(waiting.client)
        if client is None:
            raise OutOfDate
        return AppView(client.name, target_of(waiting.redirect_uri))

    async def _patient(self, waiting: Asked, visit: Visit) -> PatientLine | None:
        if waiting.patient is None or visit.session is None:
            return None
        try:
            key = Key("Patient", waiting.patient)
            return _line(await readable(key, visit.session, self._services, visit.contact))
        except AuthorizationRefused:
            # Somebody who speaks for a patient need not be able to read their whole record.
            return PatientLine(waiting.patient, "the person you speak for")

    def _problem(self, status: int, title: str, told: str, contact: Contact) -> Response:
        return page(status, error_page(ErrorView(title, told, contact.request_id)), None)


def _line(patient: Json) -> PatientLine:
    return PatientLine(
        str(patient["id"]),
        name_of(patient),
        str(patient.get("birthDate", "")),
        str(patient.get("gender", "")),
        identifier_of(patient),
    )


def _later(response: Response, refusal: LoginRefused | LockedOut | TooMany) -> Response:
    if isinstance(refusal, LoginRefused):
        return response
    seconds = refusal.seconds if isinstance(refusal, LockedOut) else refusal.retry_after_seconds
    response.headers.append((b"retry-after", str(seconds).encode()))
    return response
