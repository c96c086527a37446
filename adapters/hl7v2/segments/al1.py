"""
AL1: an AllergyIntolerance.

AL1-4 is how bad the reaction is when AL1-5 names one, and how critical the allergy is when it
does not: R4 has no reaction without a manifestation.

HL7 v2.8, 3.4.6; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-al1-to-allergyintolerance.html
"""

from __future__ import annotations

from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, key_of
from adapters.hl7v2.datatypes.cx import EXTENSIONS
from adapters.hl7v2.datatypes.dtm import dtm_to_date
from adapters.hl7v2.datatypes.element import listed, text
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.statement import DELETED, Otherwise, Statement
from adapters.hl7v2.tables import (
    ALLERGY_CATEGORY,
    ALLERGY_CRITICALITY,
    ALLERGY_TYPE,
    CODE_SYSTEM,
    REACTION_SEVERITY,
)

_ACTIVE: Final = {"coding": [{"system": f"{CODE_SYSTEM}allergyintolerance-clinical", "code": "active"}]}


def allergen(al1: Segment, reading: Reading) -> str:
    """What tells this allergy of a patient from another; empty when AL1-3 says nothing."""
    first = al1[3].first
    return key_of(first, reading) if first else ""


def allergy_intolerance(al1: Segment, reading: Reading, patient: str) -> Statement:
    statement: Statement = {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": Otherwise(_ACTIVE),
        "patient": {"reference": patient},
    }
    code = al1[3].first
    reading.state(statement, "code", al1[3], cwe_to_codeable_concept(code, reading) if code else None)
    _kind(statement, al1, reading)
    _reaction(statement, al1, reading)
    reading.state(statement, "onsetDateTime", al1[6], dtm_to_date(al1[6][1]))
    return statement


def _kind(statement: Statement, al1: Segment, reading: Reading) -> None:
    field = al1[2]
    code = field[1].upper()
    category = ALLERGY_CATEGORY.get(code)
    original = cwe_to_codeable_concept(field.first, reading, table="0127") if field.first else None
    if field.null:
        statement |= {"category": DELETED, "_category": DELETED, "type": DELETED}
    elif original is not None:
        kept = [{"url": f"{EXTENSIONS}alternate-codes", "valueCodeableConcept": original}]
        statement["category"] = [category] if category else DELETED
        statement["_category"] = [{"extension": kept}]
        statement["type"] = ALLERGY_TYPE.get(code, DELETED)


def _reaction(statement: Statement, al1: Segment, reading: Reading) -> None:
    severity, reactions = al1[4], al1[5]
    code = severity[1].upper()
    manifestations: list[Json] = listed(*({"text": said} for cwe in reactions if (said := text(cwe.whole))))
    if manifestations:
        reaction: Json = {"manifestation": manifestations}
        if code in REACTION_SEVERITY:
            reaction["severity"] = REACTION_SEVERITY[code]
        else:
            reading.expect_nothing(severity)
        statement["reaction"] = [reaction]
    elif reactions.null:
        statement["reaction"] = DELETED
    if not manifestations:
        reading.state(statement, "criticality", severity, ALLERGY_CRITICALITY.get(code))
