"""
ADT^A01, A03, A04 and A08 (all of structure ADT_A01, but for A03's own): a patient comes, goes, or
is described anew.

Patient and Encounter, with what the message says of allergies, diagnoses and measurements. All
are put onto what is there; allergies and diagnoses that a message leaves out stay.

HL7 v2.8, 3.3.1, 3.3.3, 3.3.4 and 3.3.8;
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-message-adt-a01-to-bundle.html
"""

from __future__ import annotations

from collections import Counter

from adapters.fhir_json import Json
from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.er7 import Message
from adapters.hl7v2.identifiers import resource_id
from adapters.hl7v2.messages.results import Result, standalone
from adapters.hl7v2.messages.subjects import Visit, encounter_draft, patient_draft
from adapters.hl7v2.reading import Reading, Rejection
from adapters.hl7v2.segments.al1 import allergen, allergy_intolerance
from adapters.hl7v2.segments.dg1 import condition, diagnosis, diagnosis_key
from adapters.hl7v2.statement import Listed


def translate(message: Message, reading: Reading, found: Found) -> list[Draft]:
    pid = message.get("PID")
    if pid is None:
        raise Rejection("100", "PID^1", "The message has no PID segment")
    patient = patient_draft(pid, message.get("PD1"), message.all("NK1"), reading, found, "merge")
    pv1 = message.get("PV1")
    visit = Visit(pv1, message.get("PV2")) if pv1 else None
    encounter = encounter_draft(visit, pid, patient, reading, found, "merge") if visit else None
    allergies = _allergies(message, patient, reading)
    conditions, diagnoses = _conditions(message, patient, encounter, reading)
    if encounter is not None and diagnoses:
        encounter.statement["diagnosis"] = _diagnoses(diagnoses)
    results = _measurements(message, patient, encounter, reading)
    return [patient, *([encounter] if encounter else []), *allergies, *conditions, *results]


def _allergies(message: Message, patient: Draft, reading: Reading) -> list[Draft]:
    drafts = []
    places: Counter[str] = Counter()
    for al1 in message.all("AL1"):
        substance = allergen(al1, reading)
        if not substance:
            reading.unusable.add("AL1")
            continue
        places[substance] += 1
        id = resource_id("AllergyIntolerance", patient.id, substance, str(places[substance]))
        statement = allergy_intolerance(al1, reading, patient.reference)
        drafts.append(Draft("AllergyIntolerance", id, "merge", statement, al1))
    return drafts


def _conditions(
    message: Message, patient: Draft, encounter: Draft | None, reading: Reading
) -> tuple[list[Draft], list[Json]]:
    """The diagnoses, and what the visit makes of each that stands."""
    drafts: list[Draft] = []
    diagnoses: list[Json] = []
    places: Counter[tuple[str, ...]] = Counter()
    for dg1 in message.all("DG1"):
        key = diagnosis_key(dg1, reading)
        if not key:
            reading.unusable.add("DG1")
            continue
        places[key] += 1
        visit = encounter.id if encounter else ""
        id = resource_id("Condition", patient.id, visit, *key, str(places[key]))
        statement = condition(dg1, reading, patient.reference, encounter.reference if encounter else None)
        drafts.append(Draft("Condition", id, "merge", statement, dg1))
        role = diagnosis(dg1, reading, drafts[-1].reference)
        if role is not None and "verificationStatus" not in statement:
            diagnoses.append(role)
    return drafts, diagnoses


def _diagnoses(stated: list[Json]) -> Listed:
    references = {entry["condition"]["reference"] for entry in stated}
    return Listed(stated, lambda present: present.get("condition", {}).get("reference") in references)


def _measurements(message: Message, patient: Draft, encounter: Draft | None, reading: Reading) -> list[Draft]:
    """OBX in an ADT message: height, weight and the like, of no order."""
    results: list[Result] = []
    for segment in message.segments:
        if segment.name == "OBX":
            results.append(Result(segment))
        elif segment.name == "NTE" and results:
            results[-1].notes.append(segment)
    return standalone(results, patient, encounter, reading)
