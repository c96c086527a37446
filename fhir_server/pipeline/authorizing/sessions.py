"""
Who sits in front of a browser: sessions, known by a cookie.

A session is of one account, from when its owner proved who they are until they log out or it is over. It ends
when the account is disabled, has another password than the one that was proven, or is somebody else in the
record. Until the second factor is proven, too, it is
`pending` and lets nobody do anything else. A cookie is made anew with each step that gives it more worth.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fhir_server.pipeline.authorizing.revoking import revoke_grant
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import granted
from fhir_server.smart.users import User
from fhir_server.store.tickets import ticket_id

SECRET_BYTES: Final = 32
PENDING_SECONDS: Final = 300
"""Time to come with the second factor."""
OURSELVES: Final = "authorization-server"
"""The client that the pages are, in records."""
_RIGHTS: Final = "user/Patient.rs user/RelatedPerson.rs user/Encounter.r"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's: `id` is what it is kept under."""

    id: str
    secret: str
    user: User
    auth_time: datetime
    pending: bool

    def caller(self, services: Services) -> Caller:
        """This user, to look for the patients among whom they choose: with their own rights alone."""
        return looking(self.user, purpose_of(self.user.fhir_user), self.id, services)


def looking(user: User, purpose: str, token_id: str, services: Services) -> Caller:
    """The user, by their own rights, as long as a page of ours is made; `token_id` is for the record."""
    site = Site(services.settings.base_url, services.zone)
    now = int(services.clock().timestamp())
    return Caller(
        client=OURSELVES,
        subject=user.id,
        scopes=granted(_RIGHTS, definitions().resource_types, site),
        user=user.fhir_user,
        patient=None,
        purpose=purpose,
        token_id=token_id,
        expires=now + 1,
        issued=now,
        account=user.id,
    )


def purpose_of(user: str | None) -> str:
    """
    Patients ask for themselves; everybody else cares for somebody, relatives too.

    https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html
    """
    return "PATRQT" if (user or "").startswith("Patient/") else "TREAT"


async def begun(user: User, services: Services, *, pending: bool) -> str:
    """The secret of a new session of this user, for the cookie."""
    secret, now = secrets.token_urlsafe(SECRET_BYTES), services.clock()
    seconds = PENDING_SECONDS if pending else services.settings.session_seconds_max
    value = {
        "account": user.id,
        "auth_time": now,
        "pending": pending,
        # As they were when it was proven who this is, which may be a while ago.
        "changed": user.password_changed,
        "user": user.fhir_user,
    }
    await services.store.tickets.put("session", secret, value, now + timedelta(seconds=seconds))
    return secret


async def session_of(secret: str | None, services: Services) -> Session | None:
    """The session that this secret is of; None when there is none any more."""
    if secret is None:
        return None
    value = await services.store.tickets.get("session", secret, services.clock())
    user = None if value is None else await services.store.users.get(value["account"])
    if value is None or user is None or user.disabled:
        return None
    if (user.password_changed, user.fhir_user) != (value["changed"], value["user"]):
        return None
    return Session(ticket_id("session", secret), secret, user, value["auth_time"], value["pending"])


async def is_alive(session: str, services: Services) -> bool:
    """Is the person still online, who was in this session?"""
    return await services.store.tickets.is_known(session, services.clock())


async def ended(session: Session, services: Services) -> None:
    """The person has gone: what was granted for as long as they are online is over."""
    now = services.clock()
    await services.store.tickets.take("session", session.secret, now)
    for granted_online in await services.store.grants.of_session(session.id, now):
        await revoke_grant(granted_online.id, services)
