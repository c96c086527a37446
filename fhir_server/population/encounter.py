"""
Encounter: that somebody was seen, where, by whom and why.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-encounter.html
"""

from __future__ import annotations

from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vocabulary import EXAMPLE, HL7, Element, coding, hl7, snomed

AMBULATORY: Final = coding(HL7 + "v3-ActCode", "AMB", "ambulatory")
EMERGENCY: Final = coding(HL7 + "v3-ActCode", "EMER", "emergency")
INPATIENT: Final = coding(HL7 + "v3-ActCode", "IMP", "inpatient encounter")
CHECK_UP: Final = snomed("185349003", "Encounter for check up")
FOLLOW_UP: Final = snomed("390906007", "Follow-up encounter")
SYMPTOM: Final = snomed("185345009", "Encounter for symptom")
EMERGENCY_ADMISSION: Final = snomed("50849002", "Emergency room admission")
INPATIENT_STAY: Final = snomed("183452005", "Encounter Inpatient")
PRIMARY_PERFORMER: Final = hl7("v3-ParticipationType", "PPRF", "primary performer")
HOME: Final = hl7("discharge-disposition", "home", "Home")


def add_encounter(chart: Chart, person: Person, visit: Visit) -> Element:
    """Write the Encounter; what every resource of the visit has in common: `subject` and `encounter`."""
    period = {"start": visit.at(0), "end": visit.end}
    where = person.facility.ward if visit.is_admission else person.facility.clinic
    kind, type = _kind(visit)
    about = visit.reason.disease or visit.reason.illness
    encounter = chart.add(
        "Encounter",
        {
            "identifier": [
                {"system": f"{EXAMPLE}visit", "value": f"V{person.number}-{len(chart.resources)}"}
            ],
            "status": "finished",
            "class": kind,
            "type": [type],
            "subject": chart.subject,
            "participant": [
                {"type": [PRIMARY_PERFORMER], "period": period, "individual": visit.clinician.reference}
            ],
            "period": period,
            **({"reasonCode": [about.code]} if about else {}),
            **({"hospitalization": {"dischargeDisposition": HOME}} if visit.is_admission else {}),
            "location": [{"location": where}],
            "serviceProvider": person.facility.reference,
        },
    )
    return {"subject": chart.subject, "encounter": encounter}


def _kind(visit: Visit) -> tuple[Element, Element]:
    if visit.is_admission:
        return INPATIENT, INPATIENT_STAY
    if visit.is_emergency:
        return EMERGENCY, EMERGENCY_ADMISSION
    if visit.is_acute:
        return AMBULATORY, SYMPTOM
    return (AMBULATORY, CHECK_UP) if visit.is_routine else (AMBULATORY, FOLLOW_UP)
