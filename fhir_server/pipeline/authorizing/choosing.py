"""
Of whom the app is to know: the patient in context.

A patient is their own, a related person speaks for theirs; others choose among those whom they may see. An
EHR has chosen already. Whoever was chosen is read as the user would, so that scopes, policy, consent and
the record are those of every read.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-context-data
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from consent.purposes import OPERATIONS
from fhir_server.interactions.answers import Bundled, Found
from fhir_server.pipeline.authorizing.asking import Asked
from fhir_server.pipeline.authorizing.sessions import Session, looking
from fhir_server.pipeline.perform import perform
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Forbidden, Gone, NotFound
from fhir_server.r4.interaction import Read, Search
from fhir_server.r4.resource import Key
from fhir_server.smart.authorization_request import AuthorizationRefused
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.scopes import words
from fhir_server.smart.users import User

SHOWN_MAX: Final = 20
QUERY_CHARACTERS_MAX: Final = 100

Json = dict[str, Any]


def needs_patient(asked: Asked) -> bool:
    """Can nothing be granted of it, or not all, without a patient in context?"""
    return "launch/patient" in words(asked.scope) or any(
        word.startswith("patient/") for word in asked.scope.split(" ")
    )


async def own_patient(user: User, for_: str, services: Services, contact: Contact) -> str | None:
    """
    The one patient of whom this user may decide; None for those who choose among many. `for_` is the session
    or grant that this is asked for, as the record has it.

    Raises AuthorizationRefused for who speaks for nobody.
    """
    type, _, id = (user.fhir_user or "").partition("/")
    if type == "Patient":
        return id
    if type != "RelatedPerson":
        return None
    # Whom they speak for is ours to know, whatever the patient lets them see.
    person = await _read(Key(type, id), looking(user, OPERATIONS, for_, services), services, contact)
    reference = str(person.get("patient", {}).get("reference", ""))
    if person.get("active") is False or not reference.startswith("Patient/"):
        raise AuthorizationRefused("access_denied", "The user speaks for nobody")
    return reference.removeprefix("Patient/").partition("/")[0]


def chooses(session: Session) -> bool:
    """May this user choose a patient?"""
    return (session.user.fhir_user or "").startswith(("Practitioner/", "PractitionerRole/"))


async def readable(key: Key, session: Session, services: Services, contact: Contact) -> Json:
    """The resource, as the user reads it. Raises AuthorizationRefused when they may not, or there is none."""
    return await _read(key, session.caller(services), services, contact)


async def _read(key: Key, caller: Caller, services: Services, contact: Contact) -> Json:
    try:
        found = await perform(Read(key), caller, contact, services)
    except (Forbidden, NotFound, Gone) as refusal:
        raise AuthorizationRefused("access_denied", f"The user may not see this {key.type}") from refusal
    assert isinstance(found, Found), "nothing was asked about what is known already"
    assert found.version.body is not None, "what is deleted is Gone"
    told: Json = json.loads(found.version.body)
    return told


async def patients_like(text: str, session: Session, services: Services, contact: Contact) -> list[Json]:
    """
    Patients with such a name, birth date or identifier; none without a text, and one more than are shown when
    there are more.
    """
    text = text.strip()[:QUERY_CHARACTERS_MAX]
    if not text:
        return []
    digits = any(letter.isdigit() for letter in text)
    name = "birthdate" if _DATE.fullmatch(text) else "identifier" if digits else "name"
    return await _found(Search("Patient", ((name, _escaped(text)), *_FEW)), session, services, contact)


async def _found(search: Search, session: Session, services: Services, contact: Contact) -> list[Json]:
    try:
        answer = await perform(search, session.caller(services), contact, services)
    except Forbidden:
        return []
    assert isinstance(answer, Bundled), "a search answers a Bundle"
    entries: Sequence[Json] = json.loads(answer.body).get("entry", [])
    return [entry["resource"] for entry in entries if entry.get("search", {}).get("mode") == "match"]


def _escaped(text: str) -> str:
    """As a value of a search: https://hl7.org/fhir/R4/search.html#escaping"""
    for letter in "\\,$|":
        text = text.replace(letter, f"\\{letter}")
    return text


_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FEW: Final = (("_count", str(SHOWN_MAX + 1)), ("_total", "none"))
