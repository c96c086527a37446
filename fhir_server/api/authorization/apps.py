"""
What a person has decided before: the apps that have access, an end to it, and logging out.

https://hl7.org/fhir/smart-app-launch/conformance.html#metadata (management_endpoint)
"""

from __future__ import annotations

from typing import Final

from fhir_server.api.authorization.browser import Visit, led, page
from fhir_server.api.authorization.cookies import Cookies, form_token
from fhir_server.api.pages.people import AppLine, AppsView, MessageView, apps_page, message_page
from fhir_server.api.response import Response
from fhir_server.pipeline.authorizing.addresses import APPS_PATH, LOGIN_PATH, LOGOUT_PATH
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.authorizing.revoking import revoke_grant
from fhir_server.pipeline.authorizing.sessions import Session, ended
from fhir_server.pipeline.services import Services
from fhir_server.smart.clients import Client
from fhir_server.smart.grants import Granted
from fhir_server.smart.users import User
from fhir_server.smart.words import in_words

APPS_SHOWN_MAX: Final = 200
"""The latest; those before them are shown as these are ended or are over."""


class Apps:
    """The handlers of /auth/apps and /auth/logout."""

    def __init__(self, services: Services, cookies: Cookies) -> None:
        self._services = services
        self._cookies = cookies

    async def show(self, visit: Visit) -> Response:
        if visit.session is None or visit.session.pending:
            return led(LOGIN_PATH)
        return await self._page(visit.session)

    async def _page(
        self, session: Session, problem: str | None = None, *, done: str | None = None
    ) -> Response:
        services, user = self._services, session.user
        held = await services.store.grants.of_account(user.id, services.clock(), APPS_SHOWN_MAX + 1)
        shown = held[:APPS_SHOWN_MAX]
        clients = {id: await services.store.clients.get(id) for id in {one.client for one in shown}}
        view = AppsView(
            APPS_PATH,
            form_token(session.secret),
            user.name,
            tuple(_line(one, clients[one.client], user) for one in shown),
            LOGOUT_PATH,
            latest=len(shown) if len(held) > len(shown) else None,
            done=done,
            problem=problem,
        )
        return page(200, apps_page(view), None)

    async def revoke(self, visit: Visit) -> Response:
        if visit.session is None or visit.session.pending:
            return led(LOGIN_PATH)
        services, user = self._services, visit.session.user
        held = await services.store.grants.get(visit.form.get("grant", ""))
        if held is None or held.account != user.id:
            return await self._page(visit.session, "This access is over already.")
        await revoke_grant(held.id, services)
        who = Who(held.client, user.id, user.fhir_user, held.patient)
        await services.store.append(record("revocation", 200, visit.contact, services, who))
        client = await services.store.clients.get(held.client)
        name = held.client if client is None else client.name
        return await self._page(visit.session, done=f"{name} has no access any more.")

    async def log_out(self, visit: Visit) -> Response:
        headers = self._cookies.cleared(self._cookies.session)
        if visit.session is not None:
            await ended(visit.session, self._services)
            user = visit.session.user
            who = Who(account=user.id, user=user.fhir_user)
            told = record("logout", 200, visit.contact, self._services, who)
            await self._services.store.append(told)
        told_page = message_page(MessageView("You are logged out", "You can close this page."))
        return page(200, told_page, None, headers)


def _line(held: Granted, client: Client | None, user: User) -> AppLine:
    about = "" if held.patient is None else f"Patient/{held.patient}"
    return AppLine(
        held.id,
        held.client if client is None else client.name,
        f"{held.made:%d %B %Y}",
        f"{held.used:%d %B %Y}",
        "" if about == user.fhir_user else about,
        tuple(in_words(word) for word in held.scope.split(" ")),
    )
