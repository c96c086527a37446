"""
Whom a message is about: its Patient and its visit, found by identifier or given an id made from it.

HL7 v2.8, 3.4.2.3 (PID-3) and 3.4.3.19 (PV1-19).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.fhir_json import Resource
from adapters.hl7v2.draft import Draft, Found, Mode
from adapters.hl7v2.er7 import Message, Segment
from adapters.hl7v2.identifiers import Token, resource_id
from adapters.hl7v2.reading import Reading, Rejection
from adapters.hl7v2.segments.nk1 import contacts
from adapters.hl7v2.segments.pd1 import general_practitioners
from adapters.hl7v2.segments.pid import deciding_identifier, patient
from adapters.hl7v2.segments.pv1 import account, encounter, more_of_the_visit, visit_number

NO_VISIT = "N"
"""Patient class "not applicable": PV1 stands there because the grammar wants one."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What has to be known before the message can be translated."""

    patients: frozenset[Token]
    encounters: frozenset[Token]


@dataclass(frozen=True, slots=True)
class Visit:
    """PV1, and PV2 where there is one."""

    pv1: Segment
    pv2: Segment | None = None


def lookup(message: Message, reading: Reading) -> Lookup:
    """Raises Rejection when a patient has no identifier."""
    visits = (visit_number(pv1, reading) for pv1 in message.all("PV1"))
    return Lookup(
        frozenset(deciding_identifier(pid, reading) for pid in message.all("PID")),
        frozenset(token for token in visits if token is not None),
    )


def patient_draft(
    pid: Segment, pd1: Segment | None, nk1: Sequence[Segment], reading: Reading, found: Found, mode: Mode
) -> Draft:
    """Raises Rejection when the deciding identifier is that of several patients."""
    token = deciding_identifier(pid, reading)
    candidates = [one for one in found.patients.get(token, ()) if not _replaced(one)]
    if len(candidates) > 1:
        raise Rejection("205", f"PID^{pid.place}^3", "Several patients have this identifier")
    present = candidates[0] if candidates else None
    id = present["id"] if present else resource_id("Patient", token.system, token.value)
    statement = patient(pid, reading, present)
    if pd1 is not None:
        general_practitioners(statement, pd1, reading)
    contacts(statement, nk1, reading)
    return Draft("Patient", id, mode, statement, pid)


def encounter_draft(
    visit: Visit, pid: Segment, whose: Draft, reading: Reading, found: Found, mode: Mode
) -> Draft | None:
    """
    None when PV1 does not say which visit it is, or that there is none.

    A visit number counts for its patient only: a number that was given again, or to the wrong
    patient, must not move the record of another.
    """
    present = _visit_of(whose, visit.pv1, reading, found)
    id = present["id"] if present else _visit_id(whose, visit.pv1, reading)
    if id is None:
        reading.unusable.add("PV1")
        return None
    statement = encounter(visit.pv1, reading, whose.reference, present)
    if visit.pv2 is not None:
        more_of_the_visit(statement, visit.pv2, reading)
    account(statement, pid, reading)
    return Draft("Encounter", id, mode, statement, visit.pv1)


def _replaced(candidate: Resource) -> bool:
    links = candidate.get("link", ())
    return candidate.get("active") is False and any(link.get("type") == "replaced-by" for link in links)


def _visit_of(whose: Draft, pv1: Segment, reading: Reading, found: Found) -> Resource | None:
    token = visit_number(pv1, reading)
    if token is None:
        return None
    theirs = [
        one
        for one in found.encounters.get(token, ())
        if one.get("subject", {}).get("reference") == whose.reference
    ]
    if len(theirs) > 1:
        raise Rejection("205", f"PV1^{pv1.place}^19", "The patient has several visits of this number")
    return theirs[0] if theirs else None


def _visit_id(whose: Draft, pv1: Segment, reading: Reading) -> str | None:
    token = visit_number(pv1, reading)
    if token is not None:
        return resource_id("Encounter", whose.id, token.system, token.value)
    if pv1[2][1].upper() == NO_VISIT:
        return None
    if pv1[44].valued:
        return resource_id("Encounter", whose.id, pv1[2][1], pv1[44][1])
    if reading.header.event in ("A01", "A03", "A04"):
        return resource_id("Encounter", whose.id, reading.identity)
    return None
