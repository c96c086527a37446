"""
DocumentReference: the clinician's note of a visit, as text inside the resource.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-documentreference.html
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vital_signs import Measured
from fhir_server.population.vocabulary import EXAMPLE, US_CORE, Element, coding, concept, loinc

PROGRESS_NOTE: Final = loinc("11506-3", "Progress note")
DISCHARGE_SUMMARY: Final = loinc("18842-5", "Discharge summary")
CLINICAL_NOTE: Final = concept(
    coding(f"{US_CORE}CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note")
)


def add_note(chart: Chart, person: Person, visit: Visit, measured: Measured, context: Element) -> None:
    text = _text(person, visit, measured).encode()
    written = visit.end
    chart.add(
        "DocumentReference",
        {
            "identifier": [{"system": f"{EXAMPLE}note", "value": f"N{person.number}-{len(chart.resources)}"}],
            "status": "current",
            "docStatus": "final",
            "type": DISCHARGE_SUMMARY if visit.is_admission else PROGRESS_NOTE,
            "category": [CLINICAL_NOTE],
            "subject": context["subject"],
            "date": written,
            "author": [visit.clinician.reference],
            "custodian": person.facility.reference,
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "language": "en-US",
                        "data": b64encode(text).decode(),
                        "size": len(text),
                        "hash": _hash(text),
                        "title": f"Note of {visit.day.isoformat()}",
                        "creation": written,
                    }
                }
            ],
            "context": {
                "encounter": [context["encounter"]],
                "period": {"start": visit.at(0), "end": visit.end},
            },
        },
    )


def _text(person: Person, visit: Visit, measured: Measured) -> str:
    about = visit.reason.disease or visit.reason.illness
    problems = [disease.code["text"] for disease, onset in person.diseases.values() if onset <= visit.day]
    lines = [
        f"{visit.day.isoformat()}, {person.facility.name}, {visit.clinician.name}",
        f"Patient: {person.display}, {int(visit.age)} years, {person.sex}",
        f"Reason for the visit: {about.code['text'] if about else 'check-up'}",
        f"Known problems: {', '.join(problems) or 'none'}",
        f"Pulse {measured.heart_rate}/min, temperature {measured.temperature:.1f} °C",
        f"Weight {measured.weight_kg:.1f} kg, height {measured.height_cm:.1f} cm",
    ]
    if visit.age >= 3:
        lines.append(f"Blood pressure {measured.systolic}/{measured.diastolic} mmHg")
    if visit.nights:
        lines.append(f"Admitted for {visit.nights} nights, discharged home")
    lines.append("To be seen again as needed" if visit.is_acute else "Next appointment as planned")
    return "\n".join(lines) + "\n"


def _hash(text: bytes) -> str:
    """Attachment.hash is SHA-1 by definition: it finds damage, it does not protect."""
    return b64encode(sha1(text, usedforsecurity=False).digest()).decode()
