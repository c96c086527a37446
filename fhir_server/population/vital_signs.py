"""
Vital signs and smoking status as Observations, which follow from age, body and diseases.

https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vocabulary import Element, decimal, hl7, loinc, quantity, snomed

VITAL_SIGNS: Final = [hl7("observation-category", "vital-signs", "Vital Signs")]
SOCIAL_HISTORY: Final = [hl7("observation-category", "social-history", "Social History")]

HEIGHT: Final = loinc("8302-2", "Body height")
WEIGHT: Final = loinc("29463-7", "Body weight")
BODY_MASS_INDEX: Final = loinc("39156-5", "Body mass index (BMI) [Ratio]")
HEAD: Final = loinc("9843-4", "Head Occipital-frontal circumference")
PRESSURE: Final = loinc("85354-9", "Blood pressure panel with all children optional")
SYSTOLIC: Final = loinc("8480-6", "Systolic blood pressure")
DIASTOLIC: Final = loinc("8462-4", "Diastolic blood pressure")
HEART_RATE: Final = loinc("8867-4", "Heart rate")
RESPIRATORY_RATE: Final = loinc("9279-1", "Respiratory rate")
TEMPERATURE: Final = loinc("8310-5", "Body temperature")
SATURATION: Final = {
    "coding": [
        *loinc("2708-6", "Oxygen saturation in Arterial blood")["coding"],
        *loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry")["coding"],
    ],
    "text": "Oxygen saturation",
}
SMOKING: Final = loinc("72166-2", "Tobacco smoking status")
SMOKING_STATUS: Final = {
    "never": snomed("266919005", "Never smoked tobacco"),
    "former": snomed("8517006", "Ex-smoker"),
    "daily": snomed("449868002", "Smokes tobacco daily"),
}

# Of the average child: age in years, then for each sex the height in cm; body mass index for both.
GROWTH_YEARS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
GROWTH_CM: Final = {
    "female": (49, 66, 74, 86, 101, 115, 128, 138, 151, 159, 162, 163),
    "male": (50, 68, 76, 87, 103, 116, 128, 138, 149, 163, 173, 176),
}
GROWTH_INDEX: Final = (13.5, 17.0, 16.9, 16.3, 15.5, 15.4, 15.9, 16.8, 18.0, 19.4, 20.8, 22.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the note of the visit says about it."""

    height_cm: float
    weight_kg: float
    systolic: int
    diastolic: int
    heart_rate: int
    temperature: float


def measure(chart: Chart, person: Person, visit: Visit, context: Element, dice: Dice) -> Measured:
    """Take the vital signs of this visit, and add them to the chart."""
    height, index = _body(person, visit, dice)
    weight = index * (height / 100) ** 2
    systolic, diastolic = _pressure(person, visit, dice)
    heart_rate = _heart_rate(person, visit, dice)
    temperature = dice.around(36.7, 0.2) + visit.fever
    observe = _Observer(chart, visit, context)
    observe.value(HEIGHT, decimal(height, 1), "cm", "cm")
    observe.value(WEIGHT, decimal(weight, 1), "kg", "kg")
    if visit.age >= 2:
        # Of the numbers as they are recorded, so that who recalculates it finds the same.
        recorded = round(weight, 1) / (round(height, 1) / 100) ** 2
        observe.value(BODY_MASS_INDEX, decimal(recorded, 1), "kg/m2", "kg/m2")
    else:
        observe.value(HEAD, decimal(35 + 12 * (visit.age / 2) ** 0.5 + dice.around(0, 0.6), 1), "cm", "cm")
    if visit.age >= 3:
        observe.pressure(systolic, diastolic)
    observe.value(HEART_RATE, heart_rate, "beats/minute", "/min")
    observe.value(RESPIRATORY_RATE, _breaths(person, visit, dice), "breaths/minute", "/min")
    observe.value(TEMPERATURE, decimal(temperature, 1), "°C", "Cel")
    if visit.is_acute or visit.age >= 60:
        observe.value(SATURATION, _saturation(person, visit, dice), "%", "%")
    if visit.is_routine and visit.age >= 18:
        observe.smoking(person)
    return Measured(height, weight, systolic, diastolic, heart_rate, temperature)


class _Observer:
    def __init__(self, chart: Chart, visit: Visit, context: Element) -> None:
        self._chart = chart
        self._shared = {
            **context,
            "effectiveDateTime": visit.at(5),
            "issued": visit.at(6),
            "performer": [visit.clinician.reference],
        }

    def value(self, code: Element, value: Any, unit: str, ucum: str) -> None:
        self._add(VITAL_SIGNS, code, {"valueQuantity": quantity(value, unit, ucum)})

    def pressure(self, systolic: int, diastolic: int) -> None:
        components = [
            {"code": SYSTOLIC, "valueQuantity": quantity(systolic, "mmHg", "mm[Hg]")},
            {"code": DIASTOLIC, "valueQuantity": quantity(diastolic, "mmHg", "mm[Hg]")},
        ]
        self._add(VITAL_SIGNS, PRESSURE, {"component": components})

    def smoking(self, person: Person) -> None:
        self._add(SOCIAL_HISTORY, SMOKING, {"valueCodeableConcept": SMOKING_STATUS[person.smoking]})

    def _add(self, category: list[Element], code: Element, value: Element) -> None:
        self._chart.add(
            "Observation", {"status": "final", "category": category, "code": code, **self._shared, **value}
        )


def _body(person: Person, visit: Visit, dice: Dice) -> tuple[float, float]:
    """Height in cm and body mass index."""
    years = visit.age
    if years < 18:
        mean = _between(GROWTH_CM[person.sex], years)
        tall = person.height_cm / GROWTH_CM[person.sex][-1]
        heavy = 1.3 if person.has("obesity", visit.day) else 1 + 0.06 * person.leanness
        return mean * tall, _between(GROWTH_INDEX, years) * heavy * dice.uniform(0.98, 1.02)
    base = 33.5 if person.has("obesity", visit.day) else 24.3
    spread = 1.6 if person.has("obesity", visit.day) else 1.7
    shrinking = max(0.0, years - 50) * 0.06
    return person.height_cm - shrinking, base + spread * person.leanness + dice.around(0, 0.3)


def _between(values: tuple[float, ...], years: float) -> float:
    """The value at this age, on the line between those that stand in the table."""
    above = min(bisect(GROWTH_YEARS, years), len(GROWTH_YEARS) - 1)
    start, end = GROWTH_YEARS[above - 1], GROWTH_YEARS[above]
    share = min((years - start) / (end - start), 1.0)
    return values[above - 1] + (values[above] - values[above - 1]) * share


def _pressure(person: Person, visit: Visit, dice: Dice) -> tuple[int, int]:
    systolic = 88 + 2 * visit.age if visit.age < 16 else 108 + 0.22 * visit.age
    systolic += 5 * person.constitution
    if person.has("hypertension", visit.day):
        systolic += 17
    if person.has("heart failure", visit.day):
        systolic -= 12
    systolic = max(dice.around(systolic, 6), 70)
    return round(systolic), round(systolic * 0.52 + dice.around(13, 4))


def _heart_rate(person: Person, visit: Visit, dice: Dice) -> int:
    rate = 70 + 65 * max(0.0, 1 - visit.age / 9) + 9 * visit.fever
    if person.has("fibrillation", visit.day):
        rate += 12
    return round(dice.around(rate + 3 * person.constitution, 6))


def _breaths(person: Person, visit: Visit, dice: Dice) -> int:
    rate = 14.5 + 20 * max(0.0, 1 - visit.age / 8) + 1.5 * visit.fever
    if person.has("copd", visit.day) or person.has("heart failure", visit.day):
        rate += 3.5
    return round(dice.around(rate, 1.2))


def _saturation(person: Person, visit: Visit, dice: Dice) -> int:
    mean = 92.5 if person.has("copd", visit.day) else 97.5
    return min(round(dice.around(mean - visit.fever, 1.2)), 100)
