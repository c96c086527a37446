"""
Laboratory results: Observations, and the DiagnosticReports that gather those of a panel.

A person keeps their own place within the spread of each analyte, from one sample to the next.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-observation-lab.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

from fhir_server.population.analytes import (
    BLOOD_COUNT,
    FOLLOWED_BY,
    LIPIDS,
    METABOLIC,
    Analyte,
    Panel,
)
from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vocabulary import Element, decimal, hl7, loinc, quantity, snomed

LABORATORY: Final = [hl7("observation-category", "laboratory", "Laboratory")]
REPORT: Final = [hl7("v2-0074", "LAB", "Laboratory")]
INTERPRETATIONS: Final = {
    "L": [hl7("v3-ObservationInterpretation", "L", "Low")],
    "N": [hl7("v3-ObservationInterpretation", "N", "Normal")],
    "H": [hl7("v3-ObservationInterpretation", "H", "High")],
}
STREPTOCOCCUS: Final = loinc("78012-2", "Streptococcus pyogenes Ag [Presence] in Throat by Rapid immunoassay")
DETECTED: Final = snomed("260373001", "Detected")
POSITIVE: Final = [hl7("v3-ObservationInterpretation", "POS", "Positive")]

CHECK_UP_FROM_YEARS: Final = 20
BLOOD_COUNT_AT_CHECK_UP: Final = 0.3
BLOOD_COUNT_WITH_FEVER: Final = 0.25
DRAWN_MINUTES: Final = 15
REPORTED_MINUTES: Final = 240


class Laboratory:
    """One person's samples, over the years."""

    def __init__(self, chart: Chart, person: Person, performer: Element, dice: Dice) -> None:
        self._chart = chart
        self._person = person
        self._performer = [performer]
        self._dice = dice
        self._places: dict[str, float] = {}

    def examine(self, visit: Visit, context: Element) -> None:
        """Whatever this visit gives reason to measure."""
        sample = _Sample(visit, self._shared(visit, context), self._shifts(visit))
        for wanted in self._wanted(visit):
            if isinstance(wanted, Panel):
                results = [self._result(analyte, sample) for analyte in wanted.analytes]
                self._report(wanted, sample, results)
            else:
                self._result(wanted, sample)
        if visit.reason.illness and visit.reason.illness.antigen_test:
            self._add(sample, STREPTOCOCCUS, {"valueCodeableConcept": DETECTED, "interpretation": POSITIVE})

    def _wanted(self, visit: Visit) -> dict[Panel | Analyte, None]:
        """Once each, in an order that does not change."""
        wanted: list[Panel | Analyte] = []
        if visit.is_routine:
            for key, (_, onset) in self._person.diseases.items():
                if onset <= visit.day:
                    wanted += FOLLOWED_BY.get(key, ())
            if visit.age >= CHECK_UP_FROM_YEARS:
                wanted += [METABOLIC, LIPIDS]
                wanted += [BLOOD_COUNT] if self._dice.chance(BLOOD_COUNT_AT_CHECK_UP) else []
        elif visit.reason.disease:
            wanted += FOLLOWED_BY.get(visit.reason.disease.key, ())
        elif visit.is_admission or (visit.fever and self._dice.chance(BLOOD_COUNT_WITH_FEVER)):
            wanted += [BLOOD_COUNT]
        return dict.fromkeys(wanted)

    def _shared(self, visit: Visit, context: Element) -> Element:
        return {
            **context,
            "effectiveDateTime": visit.at(DRAWN_MINUTES),
            "issued": visit.at(REPORTED_MINUTES),
            "performer": self._performer,
        }

    def _shifts(self, visit: Visit) -> frozenset[str]:
        """What about this person, on this day, may shift a value."""
        person = self._person
        shifts = {key for key, (_, onset) in person.diseases.items() if onset <= visit.day}
        shifts |= {person.sex} | ({"fever"} if visit.fever else set())
        shifts |= ({"child"} if visit.age < 14 else set()) | (
            {"smoker"} if person.smoking == "daily" else set()
        )
        return frozenset(shifts)

    def _result(self, analyte: Analyte, sample: _Sample) -> Element:
        """Measure it, or take the result that this sample has already."""
        if analyte.key not in sample.references:
            value = self._value(analyte, sample)
            sample.values[analyte.key] = float(f"{value:.{analyte.unit.places}f}")
            sample.references[analyte.key] = self._add(sample, analyte.code, self._elements(analyte, sample))
        return sample.references[analyte.key]

    def _value(self, analyte: Analyte, sample: _Sample) -> float:
        if analyte.calculated:
            return max(analyte.calculated(sample.values, sample.visit.age, self._person.sex), 0)
        if analyte.key not in self._places:
            self._places[analyte.key] = self._dice.around(0, 0.7)
        shift = sum(shift for name, shift in analyte.shifts.items() if name in sample.shifts)
        # A large shift varies with the disease; a small one drowns in the noise.
        noise = (self._places[analyte.key] + self._dice.around(0, 0.55)) * (analyte.spread + abs(shift) * 0.2)
        return max(analyte.mean + shift + noise, analyte.mean * 0.05)

    def _elements(self, analyte: Analyte, sample: _Sample) -> Element:
        value = sample.values[analyte.key]
        low, high = analyte.range_for(self._person.sex)
        unit = analyte.unit
        interpretation = "L" if value < low else "H" if value > high else "N"
        return {
            "valueQuantity": quantity(decimal(value, unit.places), unit.text, unit.ucum),
            "interpretation": INTERPRETATIONS[interpretation],
            "referenceRange": _reference_range(analyte, self._person.sex),
        }

    def _add(self, sample: _Sample, code: Element, value: Element) -> Element:
        return self._chart.add(
            "Observation", {"status": "final", "category": LABORATORY, "code": code, **sample.shared, **value}
        )

    def _report(self, panel: Panel, sample: _Sample, results: list[Element]) -> None:
        self._chart.add(
            "DiagnosticReport",
            {"status": "final", "category": REPORT, "code": panel.code, **sample.shared, "result": results},
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    """What was drawn at one visit; `references` are the Observations of it so far."""

    visit: Visit
    shared: Element
    shifts: frozenset[str]
    values: dict[str, float] = field(default_factory=dict)
    references: dict[str, Element] = field(default_factory=dict)


@cache
def _reference_range(analyte: Analyte, sex: str) -> list[Element]:
    low, high = analyte.range_for(sex)
    unit = analyte.unit
    return [
        {
            "low": quantity(decimal(low, unit.places), unit.text, unit.ucum),
            "high": quantity(decimal(high, unit.places), unit.text, unit.ucum),
        }
    ]
