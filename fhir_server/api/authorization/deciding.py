"""
The pages on which a person who is logged in says whose record an app may see, and what of it.

https://hl7.org/fhir/smart-app-launch/app-launch.html#step-4-authorization-code
"""

from __future__ import annotations

from fhir_server.api.authorization.browser import Visit, led, page
from fhir_server.api.authorization.cookies import form_token
from fhir_server.api.authorization.way import Way
from fhir_server.api.pages.people import (
    ConsentView,
    PatientLine,
    PatientsView,
    chosen,
    consent_page,
    patients_page,
)
from fhir_server.api.response import Response
from fhir_server.interactions.naming import identifier_of, name_of
from fhir_server.pipeline.authorizing.addresses import CONSENT_PATH, PATIENT_PATH
from fhir_server.pipeline.authorizing.approving import approved, offered
from fhir_server.pipeline.authorizing.asking import Asked
from fhir_server.pipeline.authorizing.choosing import SHOWN_MAX, Json, patients_like, readable
from fhir_server.pipeline.authorizing.steps import with_patient
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import Key
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.words import offers


class Deciding:
    """The handlers of /auth/patient and /auth/consent."""

    def __init__(self, services: Services, way: Way) -> None:
        self._services = services
        self._way = way

    async def show_patients(self, visit: Visit) -> Response:
        here = await self._way.at("patient", visit)
        return here if isinstance(here, Response) else await self._patients_page(visit, here)

    async def _patients_page(self, visit: Visit, waiting: Asked, problem: str | None = None) -> Response:
        assert visit.session is not None, "who chooses is logged in"
        query = visit.form.get("query", "")
        found = await patients_like(query, visit.session, self._services, visit.contact)
        app = await self._way.app(waiting)
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

    async def choose_patient(self, visit: Visit) -> Response:
        await self._way.require_goes_on(visit)
        here = await self._way.at("patient", visit)
        if isinstance(here, Response):
            return here
        assert visit.session is not None, "who chooses is logged in"
        if visit.form.get("decision") == "search":
            return await self._patients_page(visit, here)
        patient = visit.form.get("patient", "")
        try:
            chosen = await with_patient(here, patient, visit.session, self._services, visit.contact)
        except (AuthorizationRefused, Invalid):
            return await self._patients_page(visit, here, "Choose one of these patients.")
        return await self._way.go_on(chosen, visit.session, visit.contact)

    async def show_consent(self, visit: Visit) -> Response:
        here = await self._way.at("consent", visit)
        return here if isinstance(here, Response) else await self._consent_page(visit, here)

    async def _consent_page(self, visit: Visit, waiting: Asked) -> Response:
        assert visit.session is not None, "who decides is logged in"
        told = offered(waiting, visit.session, self._services)
        app = await self._way.app(waiting)
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

    async def decide(self, visit: Visit) -> Response:
        await self._way.require_goes_on(visit)
        here = await self._way.at("consent", visit)
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
            raise await self._way.refused(refusal, here, visit.session, visit.contact) from refusal

    async def _patient(self, waiting: Asked, visit: Visit) -> PatientLine | None:
        if waiting.patient is None or visit.session is None:
            return None
        try:
            key = Key("Patient", waiting.patient)
            return _line(await readable(key, visit.session, self._services, visit.contact))
        except AuthorizationRefused:
            # Somebody who speaks for a patient need not be able to read their whole record.
            return PatientLine(waiting.patient, "the person you speak for")


def _line(patient: Json) -> PatientLine:
    return PatientLine(
        str(patient["id"]),
        name_of(patient),
        str(patient.get("birthDate", "")),
        str(patient.get("gender", "")),
        identifier_of(patient),
    )
