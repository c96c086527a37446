"""
From what an app asks to a decision: which page comes next.

A request is of the first user who goes on with it, as whom they are in the record then. A patient who is
certain is taken without asking.

https://hl7.org/fhir/smart-app-launch/app-launch.html#step-4-authorization-code
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from fhir_server.pipeline.authorizing.asking import Asked
from fhir_server.pipeline.authorizing.choosing import (
    chooses,
    needs_patient,
    own_patient,
    readable,
)
from fhir_server.pipeline.authorizing.sessions import Session
from fhir_server.pipeline.services import Services
from fhir_server.r4.resource import Key
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.caller import Contact

Page = Literal["login", "code", "patient", "consent"]


class Step(NamedTuple):
    """The page that comes next, and what is known by now."""

    page: Page
    asked: Asked


async def next_step(asked: Asked, session: Session | None, services: Services, contact: Contact) -> Step:
    """
    Where the person goes on. Raises AuthorizationRefused when nothing can come of it, and Unavailable.
    """
    if session is None or asked.needs_login(session):
        return Step("login", asked)
    if session.pending:
        return Step("code", asked)
    if asked.account is None:
        asked = await _changed(asked, services, account=session.user.id, user=session.user.fhir_user)
    if (asked.account, asked.user) != (session.user.id, session.user.fhir_user):
        raise AuthorizationRefused("access_denied", "Somebody else has begun to decide")
    # Each time: who spoke for a patient on the page before may speak for nobody any more.
    certain = await _certain(asked, session, services, contact)
    if asked.patient is None and certain is not None:
        asked = await with_patient(asked, certain, session, services, contact)
    if asked.patient is None and needs_patient(asked) and chooses(session):
        return Step("patient", asked)
    return Step("consent", asked)


async def with_patient(
    asked: Asked, patient: str, session: Session, services: Services, contact: Contact
) -> Asked:
    """
    The request, of this patient. Raises AuthorizationRefused when the user may not see them, or the encounter
    that the EHR told.
    """
    if not (session.user.fhir_user or "").startswith("RelatedPerson/"):
        await readable(Key("Patient", patient), session, services, contact)
        if encounter := (asked.launched or {}).get("encounter"):
            await readable(Key("Encounter", encounter), session, services, contact)
    return await _changed(asked, services, patient=patient)


async def _certain(asked: Asked, session: Session, services: Services, contact: Contact) -> str | None:
    """The patient whom the EHR, or the user, is certain to mean; None when nobody is."""
    launched = asked.launched or {}
    own = await own_patient(session.user, session.id, services, contact)
    told: str | None = launched.get("patient")
    if launched.get("user") not in (None, session.user.fhir_user):
        raise AuthorizationRefused("access_denied", "The app was launched for another user")
    if own is not None and not {told, asked.patient} <= {None, own}:
        raise AuthorizationRefused("access_denied", "The user may not see this Patient")
    return told or (own if needs_patient(asked) else None)


async def _changed(asked: Asked, services: Services, **members: str | None) -> Asked:
    if not await services.store.tickets.change("request", asked.secret, members):
        raise AuthorizationRefused("access_denied", "It has been decided already, or is over")
    return replace(asked, **members)  # type: ignore[arg-type]  # each is one of Asked's texts
