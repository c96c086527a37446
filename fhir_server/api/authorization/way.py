"""
The way from page to page while an app waits, which each of its pages goes.

Where a page does not come next, it leads to the one that does; who does not want to go on ends it anywhere.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from fhir_server.api.authorization.browser import OutOfDate, Visit, led
from fhir_server.api.pages.people import AppView, target_of
from fhir_server.api.response import Response
from fhir_server.pipeline.authorizing.addresses import (
    CONSENT_PATH,
    LOGIN_PATH,
    PATIENT_PATH,
    SECOND_FACTOR_PATH,
)
from fhir_server.pipeline.authorizing.approving import approved, is_decided, offered
from fhir_server.pipeline.authorizing.asking import Asked, Refused, refused
from fhir_server.pipeline.authorizing.recording import Who
from fhir_server.pipeline.authorizing.sessions import Session
from fhir_server.pipeline.authorizing.steps import Page, next_step
from fhir_server.pipeline.services import Services
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.caller import Contact

_ADDRESSES: Final[Mapping[Page, str]] = {
    "login": LOGIN_PATH,
    "code": SECOND_FACTOR_PATH,
    "patient": PATIENT_PATH,
    "consent": CONSENT_PATH,
}


class Way:
    """That of one deployment."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def go_on(self, waiting: Asked, session: Session | None, contact: Contact) -> Response:
        """To the page that comes next, or back to the app. Raises Refused."""
        services = self._services
        try:
            step = await next_step(waiting, session, services, contact)
            if step.page == "consent" and session and await is_decided(step.asked, session, services):
                told = offered(step.asked, session, services)
                everything = (*told.choices, *told.scopes)
                return led(await approved(step.asked, everything, session, services, contact))
        except AuthorizationRefused as refusal:
            raise await self.refused(refusal, waiting, session, contact) from refusal
        return led(f"{_ADDRESSES[step.page]}?{urlencode({'request': waiting.secret})}")

    async def at(self, page: Page, visit: Visit) -> Asked | Response:
        """What waits, if this is its page; else the way to the right one."""
        if visit.asked is None:
            raise OutOfDate
        try:
            step = await next_step(visit.asked, visit.session, self._services, visit.contact)
        except AuthorizationRefused as refusal:
            raise await self.refused(refusal, visit.asked, visit.session, visit.contact) from refusal
        if step.page == page:
            return step.asked
        return led(f"{_ADDRESSES[step.page]}?{urlencode({'request': visit.asked.secret})}")

    async def refused(
        self, refusal: AuthorizationRefused, waiting: Asked, session: Session | None, contact: Contact
    ) -> Refused:
        """It is decided: the app is told no."""
        services = self._services
        await services.store.tickets.take("request", waiting.secret, services.clock())
        who = Who(waiting.client, *((session.user.id, session.user.fhir_user) if session else ()))
        return await refused(refusal, waiting.address, who, services, contact)

    async def require_goes_on(self, visit: Visit) -> None:
        """Raises Refused when the person does not want to go on."""
        if visit.form.get("decision") in ("cancel", "deny") and visit.asked is not None:
            told = AuthorizationRefused("access_denied", "The person does not allow it")
            raise await self.refused(told, visit.asked, visit.session, visit.contact)

    async def app(self, waiting: Asked | None) -> AppView | None:
        """The app that asks, as pages tell of it. Raises OutOfDate when it is registered no more."""
        if waiting is None:
            return None
        client = await self._services.store.clients.get(waiting.client)
        if client is None:
            raise OutOfDate
        return AppView(client.name, target_of(waiting.redirect_uri))
