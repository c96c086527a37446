"""
The pages on which a person proves who they are: by a password, then by a code where they have a second
factor.

https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

import secrets
from typing import Final

from fhir_server.api.authorization.browser import OutOfDate, Visit, later, led, page
from fhir_server.api.authorization.cookies import Cookies, form_token
from fhir_server.api.authorization.way import Way
from fhir_server.api.flood import Flood, Source
from fhir_server.api.pages.people import CodeView, LoginView, code_page, login_page
from fhir_server.api.response import Headers, Response
from fhir_server.pipeline.authorizing.addresses import APPS_PATH, LOGIN_PATH, SECOND_FACTOR_PATH
from fhir_server.pipeline.authorizing.sessions import begun, session_of
from fhir_server.pipeline.logging_in import LockedOut, LoginRefused, proven_by_code, proven_by_password
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import TooMany
from fhir_server.smart.caller import Contact

FORM_COOKIE_BYTES: Final = 24


class Login:
    """The handlers of /auth/login and /auth/second-factor."""

    def __init__(self, services: Services, cookies: Cookies, flood: Flood, way: Way) -> None:
        self._services = services
        self._cookies = cookies
        self._flood = flood
        self._way = way

    async def show(self, visit: Visit) -> Response:
        if visit.asked is not None:
            here = await self._way.at("login", visit)
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
            await self._way.app(visit.asked),
            visit.form.get("name", ""),
            problem,
        )
        return page(status, login_page(view), visit.asked, headers)

    async def log_in(self, visit: Visit) -> Response:
        await self._way.require_goes_on(visit)
        name, password = visit.form.get("name", ""), visit.form.get("password", "")
        self._flood.require_calm(visit.contact.address, "login")
        try:
            user = await proven_by_password(name, password, self._services, visit.contact)
        except (LoginRefused, LockedOut, TooMany) as refusal:
            self._not_logged_in(refusal, visit.contact)
            return later(await self._login_page(visit, str(refusal), refusal.status), refusal)
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
        if session is None:
            # Who was disabled, or got another password, in this moment.
            raise OutOfDate
        if visit.asked is not None:
            onward = await self._way.go_on(visit.asked, session, visit.contact)
        else:
            onward = led(SECOND_FACTOR_PATH if session.pending else APPS_PATH)
        headers = [
            *self._cookies.set(self._cookies.session, secret),
            *self._cookies.cleared(self._cookies.form),
        ]
        return Response(onward.status, [*onward.headers, *headers], b"")

    async def show_code(self, visit: Visit) -> Response:
        if visit.asked is not None:
            here = await self._way.at("code", visit)
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

    async def prove_code(self, visit: Visit) -> Response:
        await self._way.require_goes_on(visit)
        if visit.session is None or not visit.session.pending:
            raise OutOfDate
        code = visit.form.get("code", "")
        self._flood.require_calm(visit.contact.address, "login")
        try:
            user = await proven_by_code(visit.session.user, code, self._services, visit.contact)
        except (LoginRefused, LockedOut) as refusal:
            self._not_logged_in(refusal, visit.contact)
            return later(self._code_page(visit, str(refusal), refusal.status), refusal)
        return await self._begin(visit, await begun(user, self._services, pending=False))
