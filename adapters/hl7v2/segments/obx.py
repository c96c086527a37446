"""
OBX: an Observation.

A value becomes the value[x] of its type. Several values become components, but for text, whose
repetitions are the lines of one. A type that FHIR has no place for is kept as its text.

HL7 v2.8, 7.4.2; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obx-to-observation.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, key_of
from adapters.hl7v2.datatypes.cx import EXTENSIONS, ei_to_identifier
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time, tm_to_time
from adapters.hl7v2.datatypes.ed import ed_to_attachment, rp_to_attachment
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.datatypes.nm import nm_to_number, nm_to_quantity, nr_to_range, sn_to_value, unit_of
from adapters.hl7v2.datatypes.xpn import xcn_to_reference, xon_to_reference
from adapters.hl7v2.er7 import Repetition, Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.segments.nte import nte_to_annotation
from adapters.hl7v2.statement import Statement
from adapters.hl7v2.tables import CODE_SYSTEM, INTERPRETATION, OBSERVATION_STATUS, V3

ATTACHMENT: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"
"""R4 has no Observation.valueAttachment; R5 has, and this is how R4 carries it."""

TEXT_TYPES: Final = frozenset(("ST", "TX", "FT", ""))
KEEPS_VALUE: Final = frozenset(("U", "D", "W"))
"""Statuses that speak of a result sent before, whose value they need not repeat."""

_MEANINGS: Final = {
    code: (f"{V3}ObservationInterpretation", code, display) for code, display in INTERPRETATION.items()
}
_RANGE: Final = re.compile(r"([+-]?[\d.]+)\s*-\s*([\d.]+)", re.ASCII)
_ABSENT: Final = f"{CODE_SYSTEM}data-absent-reason"


def observed(obx: Segment, reading: Reading) -> tuple[str, str]:
    """OBX-3 and OBX-4: what was observed, and of which part."""
    first = obx[3].first
    return (key_of(first, reading) if first else "", obx[4].whole)


def speaks_of_earlier(obx: Segment) -> bool:
    """The status alone is news: the value is the one that was sent before."""
    return obx[11][1].upper() in KEEPS_VALUE and not obx[5].valued


def observation(
    obx: Segment,
    reading: Reading,
    *,
    patient: str,
    encounter: str | None,
    notes: Sequence[Segment],
    order: Json,
) -> Statement:
    """`order` has what the OBR says of all its results: when they were observed, their category."""
    code, method, site = obx[3].first, obx[17].first, obx[20].first
    concept = (cwe_to_codeable_concept(code, reading) if code else None) or {"text": "Not stated"}
    moment = dtm_to_date_time(obx[14][1], reading)
    if moment is None:
        reading.expect_nothing(obx[14])
    when = {"effectiveDateTime": moment} if moment else {}
    parts = {**order, **when}
    if when:
        parts.pop("effectivePeriod", None)
    value = _value(obx, reading, concept)
    found = element(
        resourceType="Observation",
        extension=listed(
            *value.pop("extension", []),
            extension(
                f"{EXTENSIONS}observation-analysis-date-time",
                valueDateTime=dtm_to_date_time(obx[19][1], reading),
            ),
        ),
        identifier=listed(*(ei_to_identifier(ei, reading, kind="FILL") for ei in obx[21])),
        status=OBSERVATION_STATUS.get(obx[11][1].upper(), "unknown"),
        code=concept,
        subject={"reference": patient},
        encounter={"reference": encounter} if encounter else None,
        **parts,
        performer=_performers(obx, reading),
        **value,
        interpretation=listed(
            *(cwe_to_codeable_concept(cwe, reading, table="0078", meanings=_MEANINGS) for cwe in obx[8])
        ),
        note=listed(*(nte_to_annotation(nte, reading) for nte in notes)),
        bodySite=cwe_to_codeable_concept(site, reading, table="0163") if site else None,
        method=cwe_to_codeable_concept(method, reading) if method else None,
        device=_device(obx, reading),
        referenceRange=listed(_reference_range(obx, reading)),
    )
    assert found is not None, "it has a type"
    return found


def _value(obx: Segment, reading: Reading, concept: Json) -> Json:
    """value[x], components, an attachment, or the reason why there is none."""
    field, kind = obx[5], obx[2][1].upper()
    units = obx[6].first
    if not field.valued:
        return _absent(obx)
    if kind in TEXT_TYPES:
        lines = "\n".join(text(line.whole) for line in field.repetitions)
        return element(valueString=lines) or {}
    values = [_single(repetition, kind, units, reading) for repetition in field]
    if len(values) == 1:
        return values[0]
    return {"component": [{"code": concept, **value} for value in values]}


def _single(value: Repetition, kind: str, units: Repetition | None, reading: Reading) -> Json:
    said: Json | None = None
    match kind:
        case "NM":
            said = element(valueQuantity=nm_to_quantity(value[1], units, reading))
        case "SN":
            said = sn_to_value(value, units, reading)
        case "NR":
            said = element(valueRange=nr_to_range(value, units, reading))
        case "CE" | "CWE" | "CNE" | "CF" | "IS" | "ID":
            said = element(valueCodeableConcept=cwe_to_codeable_concept(value, reading))
        case "DT" | "TS" | "DTM":
            said = element(valueDateTime=dtm_to_date_time(value[1], reading))
        case "TM":
            said = element(valueTime=tm_to_time(value[1]))
        case "DR":
            start, end = (dtm_to_date_time(value[part], reading) for part in (1, 2))
            said = element(valuePeriod=element(start=start, end=end))
        case "ED":
            said = element(extension=listed(extension(ATTACHMENT, valueAttachment=ed_to_attachment(value))))
        case "RP":
            said = element(extension=listed(extension(ATTACHMENT, valueAttachment=rp_to_attachment(value))))
    return said or element(valueString=value.whole) or {}


def _absent(obx: Segment) -> Json:
    """https://hl7.org/fhir/R4/valueset-data-absent-reason.html"""
    match obx[11][1].upper():
        case "N":
            return {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "not-asked"}]}}
        case "X":
            reason = "Results cannot be obtained for this observation"
            return {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "unknown"}], "text": reason}}
    return {}


def _performers(obx: Segment, reading: Reading) -> list[Json]:
    organization = obx[23].first
    producer = obx[15].first
    return listed(
        *(xcn_to_reference(xcn, reading) for xcn in obx[16]),
        xon_to_reference(organization, reading) if organization else None,
        _producer(producer, reading) if producer else None,
        *(xcn_to_reference(xcn, reading) for xcn in obx[25]),
    )


def _producer(cwe: Repetition, reading: Reading) -> Json | None:
    concept = cwe_to_codeable_concept(cwe, reading) or {}
    coding: Json = next(iter(concept.get("coding", ())), {})
    identifier = element(system=coding.get("system"), value=coding.get("code"))
    said = element(identifier=identifier, display=coding.get("display") or concept.get("text"))
    return {"type": "Organization", **said} if said else None


def _device(obx: Segment, reading: Reading) -> Json | None:
    """R4 has one device; the first that is named is it."""
    identifier = next(iter(listed(*(ei_to_identifier(ei, reading) for ei in obx[18]))), None)
    return {"type": "Device", "identifier": identifier} if identifier else None


def _reference_range(obx: Segment, reading: Reading) -> Json | None:
    said = text(obx[7].whole)
    if not said:
        return None
    bounds = _RANGE.fullmatch(said) if obx[2][1].upper() in ("NM", "SN") else None
    low, high = (nm_to_number(bounds[1]), nm_to_number(bounds[2])) if bounds else (None, None)
    if low is None or high is None:
        return {"text": said}
    unit = unit_of(obx[6].first, reading)
    return {"low": {"value": low, **unit}, "high": {"value": high, **unit}, "text": said}
