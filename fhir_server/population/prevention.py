"""
What protects people, and what they do not bear: Immunization and AllergyIntolerance.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-immunization.html,
https://hl7.org/fhir/us/core/StructureDefinition-us-core-allergyintolerance.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice, Weighted
from fhir_server.population.person import Person
from fhir_server.population.visit import Visit
from fhir_server.population.vocabulary import (
    CVX,
    Element,
    coding,
    concept,
    decimal,
    hl7,
    moment,
    quantity,
    snomed,
)


@dataclass(frozen=True, slots=True)
class Vaccine:
    """`months` is the age at each dose; `every_years` repeats the last one."""

    code: Element
    months: tuple[int, ...]
    every_years: int = 0
    kept: float = 0.93


def _vaccine(code: str, display: str) -> Element:
    return concept(coding(CVX, code, display))


VACCINES: Final = (
    Vaccine(_vaccine("08", "Hep B, adolescent or pediatric"), (0, 1, 6)),
    Vaccine(_vaccine("119", "rotavirus, monovalent"), (2, 4)),
    Vaccine(_vaccine("20", "DTaP"), (2, 4, 6, 15, 50)),
    Vaccine(_vaccine("49", "Hib (PRP-OMP)"), (2, 4, 12)),
    Vaccine(_vaccine("133", "Pneumococcal conjugate PCV 13"), (2, 4, 6, 12)),
    Vaccine(_vaccine("10", "IPV"), (2, 4, 6, 50)),
    Vaccine(_vaccine("03", "MMR"), (12, 50)),
    Vaccine(_vaccine("21", "varicella"), (12, 50)),
    Vaccine(_vaccine("83", "Hep A, ped/adol, 2 dose"), (12, 18)),
    Vaccine(_vaccine("115", "Tdap"), (134,)),
    Vaccine(_vaccine("62", "HPV, quadrivalent"), (134, 140), kept=0.7),
    Vaccine(_vaccine("114", "meningococcal MCV4P"), (134, 194)),
    Vaccine(_vaccine("113", "Td (adult) preservative free"), (252,), every_years=10, kept=0.75),
    Vaccine(_vaccine("187", "zoster recombinant"), (605, 608), kept=0.5),
    Vaccine(_vaccine("33", "pneumococcal polysaccharide PPV23"), (785,), kept=0.7),
    Vaccine(
        _vaccine("140", "Influenza, seasonal, injectable, preservative free"), (7,), every_years=1, kept=0.55
    ),
)
ADULT_RECORD_YEARS: Final = 12
DELTOID: Final = snomed("368209003", "Right upper arm structure")
INTRAMUSCULAR: Final = hl7("v3-RouteOfAdministration", "IM", "Injection, intramuscular")
DOSE: Final = quantity(decimal(0.5, 1), "mL", "mL")
ADMINISTERED_BY: Final = hl7("v2-0443", "AP", "Administering Provider")

ALLERGIES: Final = Weighted(
    [
        ((snomed("91936005", "Allergy to penicillin"), "medication"), 24),
        ((snomed("91935009", "Allergy to peanuts"), "food"), 12),
        ((snomed("91934008", "Allergy to nut"), "food"), 8),
        ((snomed("300913006", "Shellfish allergy"), "food"), 12),
        ((snomed("417532002", "Allergy to fish"), "food"), 5),
        ((snomed("425525006", "Allergy to dairy product"), "food"), 6),
        ((snomed("420174000", "Allergy to wheat"), "food"), 4),
        ((snomed("419263009", "Allergy to tree pollen"), "environment"), 14),
        ((snomed("418689008", "Allergy to grass pollen"), "environment"), 12),
        ((snomed("232350006", "House dust mite allergy"), "environment"), 11),
        ((snomed("232347008", "Dander (animal) allergy"), "environment"), 9),
        ((snomed("424213003", "Allergy to bee venom"), "environment"), 5),
        ((snomed("300916003", "Latex allergy"), "environment"), 4),
    ]
)
REACTIONS: Final = {
    "medication": (snomed("271807003", "Eruption of skin"), snomed("126485001", "Urticaria")),
    "food": (
        snomed("126485001", "Urticaria"),
        snomed("39579001", "Anaphylaxis"),
        snomed("422587007", "Nausea"),
    ),
    "environment": (snomed("49727002", "Cough"), snomed("418290006", "Itching")),
}
NO_ALLERGY: Final = snomed("716186003", "No known allergy")
ACTIVE: Final = hl7("allergyintolerance-clinical", "active", "Active")
CONFIRMED: Final = hl7("allergyintolerance-verification", "confirmed", "Confirmed")
UNCONFIRMED: Final = hl7("allergyintolerance-verification", "unconfirmed", "Unconfirmed")


class Prevention:
    """What one person is due for; given at the next visit after the day when it is."""

    def __init__(self, chart: Chart, person: Person, dice: Dice) -> None:
        self._chart = chart
        self._person = person
        self._dice = dice
        self._due = sorted(self._doses(), key=lambda dose: dose[0])

    def open(self) -> None:
        """What was given before the record begins: known from hearsay or a card, not from a visit."""
        while self._due and self._due[0][0] < self._person.record_from:
            day, vaccine, number = self._due.pop(0)
            self._give(vaccine, number, moment(day, 600), {}, {"primarySource": False})

    def vaccinate(self, visit: Visit, context: Element) -> None:
        if visit.is_acute:
            return
        while self._due and self._due[0][0] <= visit.day:
            _, vaccine, number = self._due.pop(0)
            self._give(
                vaccine,
                number,
                visit.at(25),
                {"encounter": context["encounter"]},
                {
                    "primarySource": True,
                    "lotNumber": f"L{self._dice.digits(6)}",
                    "site": DELTOID,
                    "route": INTRAMUSCULAR,
                    "doseQuantity": DOSE,
                    "performer": [{"function": ADMINISTERED_BY, "actor": visit.clinician.reference}],
                },
            )

    def _doses(self) -> Iterator[tuple[date, Vaccine, int]]:
        """The day, the vaccine and the number of each dose that this person will have had by the end."""
        person, dice = self._person, self._dice
        earliest = person.until - timedelta(days=ADULT_RECORD_YEARS * 365)
        for vaccine in VACCINES:
            days = [person.born + timedelta(days=int(months * 30.44)) for months in vaccine.months]
            while vaccine.every_years and days[-1] < person.until:
                days.append(days[-1] + timedelta(days=int(vaccine.every_years * 365.2425)))
            for number, day in enumerate(days, 1):
                if max(earliest, person.born) <= day < person.until and dice.chance(vaccine.kept):
                    yield day, vaccine, number

    def _give(self, vaccine: Vaccine, number: int, when: str, context: Element, more: Element) -> None:
        self._chart.add(
            "Immunization",
            {
                "status": "completed",
                "vaccineCode": vaccine.code,
                "patient": self._chart.subject,
                **context,
                "occurrenceDateTime": when,
                "location": self._person.facility.clinic,
                **more,
                **({} if vaccine.every_years else {"protocolApplied": [{"doseNumberPositiveInt": number}]}),
            },
        )


def add_allergies(chart: Chart, person: Person, dice: Dice) -> None:
    """What the person is allergic to; for the half that is to nothing, that it was asked."""
    count = int(dice.share() * 4) if dice.chance(0.3) else 0
    recorded = moment(person.record_from, 630)
    known: list[str] = []
    for _ in range(count):
        code, category = dice.weighted(ALLERGIES)
        if code["text"] not in known:
            known.append(code["text"])
            _add_allergy(chart, person, code, category, recorded, dice)
    if not known and dice.chance(0.5):
        chart.add(
            "AllergyIntolerance",
            {
                "clinicalStatus": ACTIVE,
                "verificationStatus": CONFIRMED,
                "code": NO_ALLERGY,
                "patient": chart.subject,
                "recordedDate": recorded,
                "recorder": person.clinician.reference,
            },
        )


def _add_allergy(
    chart: Chart, person: Person, code: Element, category: str, recorded: str, dice: Dice
) -> None:
    reaction = {
        "manifestation": [dice.pick(REACTIONS[category])],
        "severity": dice.pick(("mild", "moderate", "severe")),
    }
    chart.add(
        "AllergyIntolerance",
        {
            "clinicalStatus": ACTIVE,
            "verificationStatus": CONFIRMED if dice.chance(0.8) else UNCONFIRMED,
            "type": "allergy",
            "category": [category],
            "criticality": "high" if reaction["severity"] == "severe" else "low",
            "code": code,
            "patient": chart.subject,
            "recordedDate": recorded,
            "recorder": person.clinician.reference,
            "reaction": [reaction],
        },
    )
