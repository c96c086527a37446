"""
DG1: a Condition, and its place among the Encounter's diagnoses.

HL7 v2.8, 6.5.2; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-dg1-to-condition.html
"""

from __future__ import annotations

from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, key_of
from adapters.hl7v2.datatypes.cx import ei_to_identifier, ei_to_token
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.datatypes.xpn import xcn_to_reference
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.statement import Statement
from adapters.hl7v2.tables import CODE_SYSTEM, DIAGNOSIS_TYPE

_DIAGNOSIS: Final = {
    "coding": [{"system": f"{CODE_SYSTEM}condition-category", "code": "encounter-diagnosis"}]
}
_WITHDRAWN: Final = {"coding": [{"system": f"{CODE_SYSTEM}condition-ver-status", "code": "entered-in-error"}]}


def diagnosis_key(dg1: Segment, reading: Reading) -> tuple[str, ...]:
    """What tells this diagnosis of a visit from another; empty when DG1 names none."""
    identifier, code = dg1[20].first, dg1[3].first
    token = ei_to_token(identifier, reading) if identifier else None
    if token is not None:
        return (token.system, token.value)
    named = key_of(code, reading) if code else text(dg1[4].whole).casefold()
    return (named, dg1[6][1]) if named else ()


def condition(dg1: Segment, reading: Reading, patient: str, encounter: str | None) -> Statement:
    statement: Statement = {
        "resourceType": "Condition",
        "category": [_DIAGNOSIS],
        "subject": {"reference": patient},
    }
    if encounter is not None:
        statement["encounter"] = {"reference": encounter}
    code, described = dg1[3].first, text(dg1[4].whole)
    concept = (cwe_to_codeable_concept(code, reading) if code else None) or {}
    statement["code"] = {**concept, **({"text": described} if described else {})}
    reading.state(statement, "onsetDateTime", dg1[5], dtm_to_date_time(dg1[5][1], reading))
    asserter = dg1[16].first
    reading.state(statement, "asserter", dg1[16], xcn_to_reference(asserter, reading) if asserter else None)
    reading.state(statement, "recordedDate", dg1[19], dtm_to_date_time(dg1[19][1], reading))
    identifier = dg1[20].first
    named = ei_to_identifier(identifier, reading) if identifier else None
    reading.state(statement, "identifier", dg1[20], [named] if named else [])
    if dg1[21][1].upper() == "D":
        statement["verificationStatus"] = _WITHDRAWN
    return statement


def diagnosis(dg1: Segment, reading: Reading, reference: str) -> Json | None:
    """The Encounter's word on it: in which role, and how important."""
    use = dg1[6].first
    rank = dg1[15][1]
    return element(
        condition={"reference": reference},
        use=cwe_to_codeable_concept(use, reading, table="0052", meanings=DIAGNOSIS_TYPE) if use else None,
        rank=int(rank) if rank.isascii() and rank.isdigit() and 0 < int(rank) < 2**31 else None,
    )
