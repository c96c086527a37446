"""
PV1 and PV2: the Encounter.

What the trigger event adds: A01 and A04 begin it, A03 ends it, A08 says nothing about its
status. A visit that is finished or cancelled is not begun again by a message that comes late.

HL7 v2.8, 3.4.3 and 3.4.4;
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pv1-to-encounter.html
"""

from __future__ import annotations

from typing import Final

from adapters.fhir_json import Json, Resource
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, cwe_to_coding
from adapters.hl7v2.datatypes.cx import cx_to_identifier, cx_to_token
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import listed
from adapters.hl7v2.datatypes.pl import pl_to_reference
from adapters.hl7v2.datatypes.xpn import xcn_to_reference
from adapters.hl7v2.er7 import Field, Segment
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.statement import DELETED, Listed, Otherwise, Parts, Statement
from adapters.hl7v2.tables import ENCOUNTER_PRIORITY, ENCOUNTER_STATUS, PATIENT_CLASS, V2, V3, Meaning

ENDED: Final = frozenset(("finished", "cancelled", "entered-in-error"))

_PARTICIPANTS: Final = (
    (7, "ATND", "attender"),
    (8, "REF", "referrer"),
    (9, "CON", "consultant"),
    (17, "ADM", "admitter"),
    (52, "PART", "Participation"),
)

_UNKNOWN_CLASS: Final = {"system": f"{V2}0004", "code": "U", "display": "Unknown"}


def visit_number(pv1: Segment, reading: Reading) -> Token | None:
    first = pv1[19].first
    return cx_to_token(first, reading, kind="VN") if first else None


def encounter(pv1: Segment, reading: Reading, patient: str, present: Resource | None) -> Statement:
    """`patient` is a reference. Whether there was an Encounter bears on its status only."""
    statement: Statement = {"resourceType": "Encounter", "subject": {"reference": patient}}
    if identifiers := _identifiers(pv1, reading):
        statement["identifier"] = identifiers
    _status(statement, pv1, reading, present)
    _class(statement, pv1, reading)
    kind = pv1[4]
    reading.state(statement, "type", kind, _concepts(kind, reading, "0007"))
    service = _concepts(pv1[10], reading, "0069")
    reading.state(statement, "serviceType", pv1[10], service[0] if service else None)
    if participants := _participants(pv1, reading):
        statement["participant"] = participants
    period = _period(pv1, reading)
    if period:
        statement["period"] = Parts(period)
    hospitalization = _hospitalization(pv1, reading)
    if hospitalization:
        statement["hospitalization"] = Parts(hospitalization)
    ended = statement["status"] == "finished"
    statement["location"] = _locations(pv1, reading, present, ended=ended) or DELETED
    return statement


def more_of_the_visit(statement: Statement, pv2: Segment, reading: Reading) -> None:
    """PV2: the reason, and how urgent it is."""
    reading.state(statement, "reasonCode", pv2[3], _concepts(pv2[3], reading, ""))
    priority = _concepts(pv2[25], reading, "0217", ENCOUNTER_PRIORITY)
    reading.state(statement, "priority", pv2[25], priority[0] if priority else None)


def account(statement: Statement, pid: Segment, reading: Reading) -> None:
    """PID-18, the account that the visit is charged to, as a logical reference."""
    number = pid[18]
    first = number.first
    identifier = cx_to_identifier(first, reading, kind="AN") if first else None
    reading.state(
        statement, "account", number, [{"type": "Account", "identifier": identifier}] if identifier else []
    )


def _identifiers(pv1: Segment, reading: Reading) -> Listed | None:
    entries = listed(
        *(cx_to_identifier(cx, reading, kind="VN") for cx in pv1[19]),
        *(cx_to_identifier(cx, reading) for cx in pv1[50]),
    )
    systems = {entry["system"] for entry in entries}
    return Listed(entries, lambda present: present.get("system") in systems) if entries else None


def _status(statement: Statement, pv1: Segment, reading: Reading, present: Resource | None) -> None:
    by_class = ENCOUNTER_STATUS.get(pv1[2][1].upper(), "in-progress")
    discharged = reading.header.event == "A03" or bool(pv1[45].valued)
    if discharged:
        statement["status"] = "finished"
    elif reading.header.event in ("A01", "A04") and (present or {}).get("status") not in ENDED:
        statement["status"] = by_class
    else:
        statement["status"] = Otherwise(by_class)


def _class(statement: Statement, pv1: Segment, reading: Reading) -> None:
    first = pv1[2].first
    code = first[1].upper() if first else ""
    meaning = PATIENT_CLASS.get(code)
    if meaning:
        statement["class"] = dict(zip(("system", "code", "display"), meaning, strict=True))
    elif first and (coding := cwe_to_coding(first, reading, table="0004")):
        statement["class"] = coding
    else:
        statement["class"] = Otherwise(_UNKNOWN_CLASS)


def _participants(pv1: Segment, reading: Reading) -> Listed | None:
    entries: list[Json] = []
    stated = set()
    for number, code, display in _PARTICIPANTS:
        field = pv1[number]
        if field.valued or field.null:
            stated.add(code)
        role = {"coding": [{"system": f"{V3}ParticipationType", "code": code, "display": display}]}
        for xcn in field:
            individual = xcn_to_reference(xcn, reading)
            entries += [{"type": [role], "individual": individual}] if individual else []

    def replaces(present: Resource) -> bool:
        codings = [coding for role in present.get("type", ()) for coding in role.get("coding", ())]
        return any(coding.get("code") in stated for coding in codings)

    return Listed(entries, replaces) if stated else None


def _period(pv1: Segment, reading: Reading) -> Statement:
    period: Statement = {}
    reading.state(period, "start", pv1[44], dtm_to_date_time(pv1[44][1], reading))
    reading.state(period, "end", pv1[45], dtm_to_date_time(pv1[45][1], reading))
    return period


def _hospitalization(pv1: Segment, reading: Reading) -> Statement:
    stay: Statement = {}
    preadmit = pv1[5].first
    identifier = cx_to_identifier(preadmit, reading, kind="VN") if preadmit else None
    reading.state(stay, "preAdmissionIdentifier", pv1[5], identifier)
    for name, number, table in (
        ("reAdmission", 13, "0092"),
        ("admitSource", 14, "0023"),
        ("dischargeDisposition", 36, "0112"),
    ):
        concepts = _concepts(pv1[number], reading, table)
        reading.state(stay, name, pv1[number], concepts[0] if concepts else None)
    for name, number, table in (
        ("specialArrangement", 15, "0009"),
        ("specialCourtesy", 16, "0099"),
        ("dietPreference", 38, "0114"),
    ):
        reading.state(stay, name, pv1[number], _concepts(pv1[number], reading, table))
    destination = pv1[37].first
    concept = cwe_to_codeable_concept(destination.inner(1), reading, table="0113") if destination else None
    display = (concept or {}).get("text") or next(
        (coding.get("display") or coding.get("code") for coding in (concept or {}).get("coding", ())), None
    )
    said = {"type": "Location", "display": display} if display else None
    reading.state(stay, "destination", pv1[37], said)
    return stay


def _locations(pv1: Segment, reading: Reading, present: Resource | None, *, ended: bool) -> list[Json]:
    """
    PV1-3 is where the patient is now, so where they were before is over; what was planned is
    replaced by what is.
    """
    now = "completed" if ended else "planned" if pv1[2][1].upper() == "P" else "active"
    entries: list[Json] = []
    for number, status in ((3, now), (11, now), (42, "planned"), (6, "completed")):
        places = listed(*(pl_to_reference(pl, reading) for pl in pv1[number]))
        entries += [{"location": place, "status": status} for place in places]
    before: list[Json] = list((present or {}).get("location", ()))
    moved = pv1[3].valued or pv1[3].null or ended
    stated = [entry["location"] for entry in entries]
    for entry in before:
        if entry.get("location") in stated:
            continue
        if moved and entry.get("status") == "active":
            entries.append({**entry, "status": "completed"})
        elif not (moved and entry.get("status") == "planned"):
            entries.append(entry)
    return entries


def _concepts(
    field: Field, reading: Reading, table: str, meanings: dict[str, Meaning] | None = None
) -> list[Json]:
    return listed(*(cwe_to_codeable_concept(cwe, reading, table=table, meanings=meanings) for cwe in field))
