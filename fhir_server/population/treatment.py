"""
What is found and what is done about it: Condition, MedicationRequest, Procedure.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-condition-problems-health-concerns.html,
https://hl7.org/fhir/us/core/StructureDefinition-us-core-medicationrequest.html
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice
from fhir_server.population.diseases import Disease, Drug, Illness
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vocabulary import Element, hl7, moment, quantity, snomed

ACTIVE: Final = hl7("condition-clinical", "active", "Active")
RESOLVED: Final = hl7("condition-clinical", "resolved", "Resolved")
CONFIRMED: Final = hl7("condition-ver-status", "confirmed", "Confirmed")
PROBLEM: Final = [hl7("condition-category", "problem-list-item", "Problem List Item")]
DIAGNOSIS: Final = [hl7("condition-category", "encounter-diagnosis", "Encounter Diagnosis")]
COMMUNITY: Final = [hl7("medicationrequest-category", "community", "Community")]
ORDERED: Final = hl7("dose-rate-type", "ordered", "Ordered")

COLONOSCOPY: Final = snomed("73761001", "Colonoscopy")
MAMMOGRAPHY: Final = snomed("71651007", "Mammography")
BONE_DENSITY: Final = snomed("312681000", "Bone density scan")
DEPRESSION_SCREENING: Final = snomed("171207006", "Depression screening")
ELECTROCARDIOGRAM: Final = snomed("29303009", "Electrocardiographic procedure")
ECHOCARDIOGRAPHY: Final = snomed("433236007", "Transthoracic echocardiography")
SPIROMETRY: Final = snomed("127783003", "Spirometry")
EXAMINED_BY: Final = {
    "coronary": ELECTROCARDIOGRAM,
    "fibrillation": ELECTROCARDIOGRAM,
    "heart failure": ECHOCARDIOGRAPHY,
    "asthma": SPIROMETRY,
    "copd": SPIROMETRY,
    "osteoporosis": BONE_DENSITY,
}


class Treatment:
    """One person's problems and what they get for them; each drug has one request that goes on."""

    def __init__(self, chart: Chart, person: Person, dice: Dice) -> None:
        self._chart = chart
        self._person = person
        self._dice = dice
        self.problems: dict[str, Element] = {}

    def open(self) -> None:
        """What was known already when the record begins."""
        for disease, onset in self._person.diseases.values():
            if onset < self._person.record_from:
                self._take_up(disease, onset, {"subject": self._chart.subject}, moment(onset, 600))

    def treat(self, visit: Visit, context: Element) -> None:
        """Write down what is found at this visit, prescribe, and do what has to be done."""
        disease, illness = visit.reason.disease, visit.reason.illness
        if disease:
            if disease.key not in self.problems:
                self._take_up(disease, visit.day, context, visit.at(10))
            if disease.key in EXAMINED_BY and self._dice.chance(0.3):
                self._perform(EXAMINED_BY[disease.key], visit, context, self.problems[disease.key])
        elif illness:
            self._cure(illness, visit, context)
        else:
            for procedure in self._screening(visit):
                self._perform(procedure, visit, context, None)

    def _take_up(self, disease: Disease, onset: date, context: Element, written: str) -> None:
        condition = self._chart.add(
            "Condition",
            {
                "clinicalStatus": ACTIVE,
                "verificationStatus": CONFIRMED,
                "category": PROBLEM,
                "code": disease.code,
                **context,
                "onsetDateTime": onset.isoformat(),
                "recordedDate": written,
                "recorder": self._person.clinician.reference,
            },
        )
        self.problems[disease.key] = condition
        # The first drug always, each further one for some: that is how therapy goes up step by step.
        for number, drug in enumerate(disease.drugs):
            if number == 0 or self._dice.chance(0.45):
                self._prescribe(drug, context, written, self._person.clinician.reference, condition, "active")

    def _cure(self, illness: Illness, visit: Visit, context: Element) -> None:
        gone = visit.day + timedelta(days=illness.days)
        over = gone <= self._person.until
        status = {"clinicalStatus": RESOLVED, "abatementDateTime": gone.isoformat()}
        condition = self._chart.add(
            "Condition",
            {
                **(status if over else {"clinicalStatus": ACTIVE}),
                "verificationStatus": CONFIRMED,
                "category": DIAGNOSIS,
                "code": illness.code,
                **context,
                "onsetDateTime": (visit.day - timedelta(days=self._dice.between(0, 4))).isoformat(),
                "recordedDate": visit.at(10),
                "recorder": visit.clinician.reference,
            },
        )
        if illness.procedure:
            self._perform(illness.procedure, visit, context, condition)
        for drug in illness.drugs:
            self._prescribe(
                drug,
                context,
                visit.at(20),
                visit.clinician.reference,
                condition,
                "completed" if over else "active",
            )

    def _prescribe(
        self, drug: Drug, context: Element, written: str, requester: Element, reason: Element, status: str
    ) -> None:
        self._chart.add(
            "MedicationRequest",
            {
                "status": "stopped" if status == "active" and self._person.died else status,
                "intent": "order",
                "category": COMMUNITY,
                "medicationCodeableConcept": drug.code,
                **context,
                "authoredOn": written,
                "requester": requester,
                "reasonReference": [reason],
                **_instructions(drug),
            },
        )

    def _perform(self, code: Element, visit: Visit, context: Element, reason: Element | None) -> None:
        self._chart.add(
            "Procedure",
            {
                "status": "completed",
                "code": code,
                **context,
                "performedPeriod": {"start": visit.at(10), "end": visit.at(10 + self._dice.between(10, 90))},
                "performer": [{"actor": visit.clinician.reference}],
                "location": self._person.facility.ward
                if visit.is_admission
                else self._person.facility.clinic,
                **({"reasonReference": [reason]} if reason else {}),
            },
        )

    def _screening(self, visit: Visit) -> list[Element]:
        years, woman = visit.age, self._person.sex == "female"
        due = [
            (years >= 12, 0.5, DEPRESSION_SCREENING),
            (45 <= years < 76, 0.1, COLONOSCOPY),
            (woman and 40 <= years < 75, 0.5, MAMMOGRAPHY),
            (woman and years >= 65, 0.2, BONE_DENSITY),
        ]
        return [procedure for applies, share, procedure in due if applies and self._dice.chance(share)]


@cache
def _instructions(drug: Drug) -> Element:
    """How to take it, and how much of it the pharmacy gives out."""
    often = "once" if drug.times_a_day == 1 else f"{drug.times_a_day} times"
    needed = " as needed" if drug.as_needed else ""
    return {
        "dosageInstruction": [
            {
                "sequence": 1,
                "text": f"{drug.dose} {drug.unit} {often} a day{needed}",
                "timing": {"repeat": {"frequency": drug.times_a_day, "period": 1, "periodUnit": "d"}},
                "asNeededBoolean": drug.as_needed,
                "route": drug.route,
                "doseAndRate": [
                    {"type": ORDERED, "doseQuantity": quantity(drug.dose, drug.unit, f"{{{drug.unit}}}")}
                ],
            }
        ],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": drug.refills,
            "quantity": quantity(drug.dose * drug.times_a_day * drug.days, drug.unit, f"{{{drug.unit}}}"),
            "expectedSupplyDuration": quantity(drug.days, "days", "d"),
        },
    }
