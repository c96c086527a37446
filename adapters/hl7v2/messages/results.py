"""
Results: which Observation and which DiagnosticReport a segment is about.

An Observation is known by its order's number, OBX-3, OBX-4 and its place among equals: not by
OBX-21, which real messages repeat. The patient belongs to the key, so that a laboratory which
uses a number again cannot overwrite another patient's results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.fhir_json import Json
from adapters.hl7v2.draft import Draft, Mode
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.identifiers import resource_id
from adapters.hl7v2.reading import Reading, Rejection
from adapters.hl7v2.segments.obr import Order, diagnostic_report, effective, result_category, specimen
from adapters.hl7v2.segments.obx import observation, observed, speaks_of_earlier


@dataclass(frozen=True, slots=True)
class Result:
    """An OBX and the notes to it; `specimen` is the SPM it stands under, if any."""

    obx: Segment
    notes: list[Segment] = field(default_factory=list)
    specimen: Segment | None = None


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """An OBR with what belongs to it."""

    order: Order
    notes: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)


def standalone(
    results: Sequence[Result], patient: Draft, encounter: Draft | None, reading: Reading
) -> list[Draft]:
    """Observations of no order: one for each time that something was measured in a visit."""
    drafts = []
    places: Counter[tuple[str, ...]] = Counter()
    for result in results:
        key = (*observed(result.obx, reading), result.obx[14][1])
        places[key] += 1
        visit = encounter.id if encounter else ""
        id = resource_id("Observation", patient.id, visit, *key, str(places[key]))
        drafts.append(_observation(id, result, patient, encounter, reading, {}, None))
    return drafts


def reported(
    groups: Sequence[OrderGroup], patient: Draft, encounter: Draft | None, reading: Reading
) -> list[Draft]:
    """The reports, each after its results."""
    drafts: list[Draft] = []
    reports: Counter[tuple[str, ...]] = Counter()
    places: Counter[tuple[str, ...]] = Counter()
    for group in groups:
        obr = group.order.obr
        number = _number(group, reading)
        specimens = {spm: specimen(spm, reading) for spm in group.specimens}
        shared: Json = {**effective(obr, reading)}
        if category := result_category(obr):
            shared["category"] = category
        only = next(iter(specimens.values())) if len(specimens) == 1 else None
        results = []
        for result in group.results:
            key = (*number, *observed(result.obx, reading))
            places[key] += 1
            id = resource_id("Observation", patient.id, *key, str(places[key]))
            taken = specimens[result.specimen] if result.specimen else only
            results.append(_observation(id, result, patient, encounter, reading, shared, taken))
        key = (*number, group.order.service(reading))
        reports[key] += 1
        id = resource_id("DiagnosticReport", patient.id, *key, str(reports[key]))
        report = diagnostic_report(
            group.order,
            reading,
            patient=patient.reference,
            encounter=encounter.reference if encounter else None,
            results=[result.reference for result in results],
            notes=group.notes,
            specimens=[said for said in specimens.values() if said],
        )
        drafts += [*results, Draft("DiagnosticReport", id, "replace", report, obr)]
    return drafts


def _number(group: OrderGroup, reading: Reading) -> tuple[str, ...]:
    """
    What tells this order from another. Without a number: what was ordered and when it was
    observed, or, without that too, the message.

    Raises Rejection when the sender says that there is no such order or patient.
    """
    obr = group.order.obr
    if obr[25][1].upper() in ("Y", "Z"):
        raise Rejection(
            "204", f"OBR^{obr.place}^25", "The report says that its order or patient is not known"
        )
    token = group.order.number(reading)
    if token is not None:
        return (token.system, token.value)
    service, moment = group.order.service(reading), obr[7][1]
    return (service, moment) if service and moment else (reading.identity, str(obr.place))


def _observation(
    id: str,
    result: Result,
    patient: Draft,
    encounter: Draft | None,
    reading: Reading,
    shared: Json,
    taken: Json | None,
) -> Draft:
    statement = observation(
        result.obx,
        reading,
        patient=patient.reference,
        encounter=encounter.reference if encounter else None,
        notes=result.notes,
        order={**shared, **({"specimen": taken} if taken else {})},
    )
    mode: Mode = "merge" if speaks_of_earlier(result.obx) else "replace"
    return Draft("Observation", id, mode, statement, result.obx)
