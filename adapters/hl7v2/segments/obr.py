"""
OBR, with its ORC: the DiagnosticReport, and the order it answers.

The order itself becomes no resource here; the report is based on it by its placer number.

HL7 v2.8, 4.5.1 (ORC) and 4.5.3 (OBR);
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obr-to-diagnosticreport.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, key_of
from adapters.hl7v2.datatypes.cx import ei_to_identifier, ei_to_token
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time, dtm_to_instant
from adapters.hl7v2.datatypes.element import element, extension, listed
from adapters.hl7v2.datatypes.xpn import cnn_to_reference, xcn_to_reference
from adapters.hl7v2.er7 import Field, Segment
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.segments.nte import nte_to_annotation
from adapters.hl7v2.statement import Statement
from adapters.hl7v2.tables import CODE_SYSTEM, OBSERVATION_CATEGORY, REPORT_STATUS

NOTE: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
"""R4's DiagnosticReport has no note; R5's has, and this is how R4 carries it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One OBR and its ORC. Numbers are asked of OBR first, because ORC may stand for several."""

    obr: Segment
    orc: Segment | None = None

    def filler(self) -> Field:
        return self._numbered(3)

    def placer(self) -> Field:
        return self._numbered(2)

    def number(self, reading: Reading) -> Token | None:
        """The number that says which order this is: the filler's, else the placer's."""
        for field, kind in ((self.filler(), "FILL"), (self.placer(), "PLAC")):
            first = field.first
            token = ei_to_token(first, reading, kind=kind) if first else None
            if token is not None:
                return token
        return None

    def service(self, reading: Reading) -> str:
        """What was ordered, to tell two reports of one order apart."""
        first = self.obr[4].first
        return key_of(first, reading) if first else ""

    def _numbered(self, number: int) -> Field:
        field = self.obr[number]
        return field if field.valued or self.orc is None else self.orc[number]


def diagnostic_report(
    order: Order,
    reading: Reading,
    *,
    patient: str,
    encounter: str | None,
    results: Sequence[str],
    notes: Sequence[Segment],
    specimens: Sequence[Json],
) -> Statement:
    obr = order.obr
    code = obr[4].first
    section = obr[24].first
    annotations = listed(*(nte_to_annotation(nte, reading) for nte in notes))
    report = element(
        resourceType="DiagnosticReport",
        extension=listed(*(extension(NOTE, valueAnnotation=annotation) for annotation in annotations)),
        identifier=_identifiers(order, reading),
        basedOn=_based_on(order, reading),
        status=REPORT_STATUS.get(obr[25][1].upper(), "unknown"),
        category=listed(cwe_to_codeable_concept(section, reading, table="0074") if section else None),
        code=(cwe_to_codeable_concept(code, reading) if code else None) or {"text": "Not stated"},
        subject={"reference": patient},
        encounter={"reference": encounter} if encounter else None,
        **effective(obr, reading),
        issued=dtm_to_instant(obr[22][1], reading),
        performer=_interpreters(obr, reading, 34, 35),
        resultsInterpreter=_interpreters(obr, reading, 32, 33),
        specimen=list(specimens),
        result=[{"reference": reference} for reference in results],
    )
    assert report is not None, "it has a type"
    return report


def effective(obr: Segment, reading: Reading) -> Json:
    """When it was observed: OBR-7, to OBR-8 when that is valued."""
    start, end = (dtm_to_date_time(obr[number][1], reading) for number in (7, 8))
    if end:
        return {"effectivePeriod": element(start=start, end=end)}
    return {"effectiveDateTime": start} if start else {}


def result_category(obr: Segment) -> list[Json]:
    """The category of the results of a laboratory or imaging section (OBR-24)."""
    code = OBSERVATION_CATEGORY.get(obr[24][1].upper())
    return [{"coding": [{"system": f"{CODE_SYSTEM}observation-category", "code": code}]}] if code else []


def specimen(spm: Segment, reading: Reading) -> Json | None:
    """SPM, as a logical reference: the specimen's number and what it is."""
    number, kind = spm[2].first, spm[4].first
    numbers = [number.inner(2), number.inner(1)] if number else []
    identifiers = listed(*(ei_to_identifier(ei, reading) for ei in numbers))
    concept = cwe_to_codeable_concept(kind, reading, table="0487") if kind else None
    shown = (concept or {}).get("text") or next(
        (coding.get("display") or coding["code"] for coding in (concept or {}).get("coding", ())), None
    )
    said = element(identifier=identifiers[0] if identifiers else None, display=shown)
    return {"type": "Specimen", **said} if said else None


def _identifiers(order: Order, reading: Reading) -> list[Json]:
    fields = ((order.placer(), "PLAC"), (order.filler(), "FILL"))
    return listed(*(ei_to_identifier(ei, reading, kind=kind) for field, kind in fields for ei in field))


def _based_on(order: Order, reading: Reading) -> list[Json]:
    first = order.placer().first
    identifier = ei_to_identifier(first, reading, kind="PLAC") if first else None
    return [{"type": "ServiceRequest", "identifier": identifier}] if identifier else []


def _interpreters(obr: Segment, reading: Reading, *numbers: int) -> list[Json]:
    """An NDL names its person in the first component; before v2.3 the field was an XCN."""
    found: list[Json] = []
    for number in numbers:
        for ndl in obr[number]:
            in_one_component = ndl.components[1:2] in ([], [""]) or "&" in ndl.components[0]
            person = (
                cnn_to_reference(ndl.inner(1), reading)
                if in_one_component
                else xcn_to_reference(ndl, reading)
            )
            found += listed(person)
    return found
