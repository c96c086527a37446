"""
ORU^R01: results. For each order a DiagnosticReport, for each OBX an Observation, wherever it
stands: under its order, under a specimen, or under the patient.

The message is about results: its Patient and its visit are made when they are not known, and
left alone when they are. One message may have several patients.

HL7 v2.8, 7.3.1; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-message-oru-r01-to-bundle.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.er7 import Message, Segment
from adapters.hl7v2.messages.results import OrderGroup, Result, reported, standalone
from adapters.hl7v2.messages.subjects import Visit, encounter_draft, patient_draft
from adapters.hl7v2.reading import Reading, Rejection
from adapters.hl7v2.segments.obr import Order


@dataclass(slots=True)
class _Group:
    """PATIENT_RESULT: a patient, and what is reported about them. Filled while the segments go by."""

    pid: Segment
    pd1: Segment | None = None
    pv1: Segment | None = None
    pv2: Segment | None = None
    orc: Segment | None = None
    nk1: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    orders: list[OrderGroup] = field(default_factory=list)
    noted: list[Segment] | None = None


def translate(message: Message, reading: Reading, found: Found) -> list[Draft]:
    groups = _groups(message.segments)
    if not groups:
        raise Rejection("100", "PID^1", "The message has no PID segment")
    if not any(group.orders or group.results for group in groups):
        raise Rejection("100", "OBR^1", "The message reports nothing")
    return [draft for group in groups for draft in _drafts(group, reading, found)]


def _drafts(group: _Group, reading: Reading, found: Found) -> list[Draft]:
    patient = patient_draft(group.pid, group.pd1, group.nk1, reading, found, "create")
    visit = Visit(group.pv1, group.pv2) if group.pv1 else None
    encounter = encounter_draft(visit, group.pid, patient, reading, found, "create") if visit else None
    return [
        patient,
        *([encounter] if encounter else []),
        *standalone(group.results, patient, encounter, reading),
        *reported(group.orders, patient, encounter, reading),
    ]


def _groups(segments: Sequence[Segment]) -> list[_Group]:
    """
    The patients and what belongs to each.

    By what a segment follows, not by the grammar: an OBX is of the last OBR, an NTE of the last
    OBR or OBX, whatever stands between. Before the first PID there is nobody a result could be of.
    """
    groups: list[_Group] = []
    for segment in segments:
        if segment.name == "PID":
            groups.append(_Group(segment))
        elif groups:
            _take(segment, groups[-1])
    return groups


def _take(segment: Segment, group: _Group) -> None:
    last = group.orders[-1] if group.orders else None
    match segment.name:
        case "PD1":
            group.pd1 = segment
        case "NK1":
            group.nk1.append(segment)
        case "PV1":
            group.pv1 = segment
        case "PV2":
            group.pv2 = segment
        case "ORC":
            group.orc = segment
        case "OBR":
            group.orders.append(OrderGroup(Order(segment, group.orc)))
            group.orc, group.noted = None, group.orders[-1].notes
        case "SPM" if last is not None:
            last.specimens.append(segment)
            group.noted = None
        case "OBX":
            under = last.specimens[-1] if last is not None and last.specimens else None
            result = Result(segment, specimen=under)
            (group.results if last is None else last.results).append(result)
            group.noted = result.notes
        case "NTE" if group.noted is not None:
            group.noted.append(segment)
