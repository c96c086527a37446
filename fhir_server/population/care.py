"""
How the care of a chronic disease is organised: CareTeam, Goal, CarePlan.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-careplan.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice
from fhir_server.population.person import Person
from fhir_server.population.vocabulary import (
    SNOMED,
    US_CORE,
    Element,
    coding,
    concept,
    decimal,
    hl7,
    loinc,
    quantity,
    snomed,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`target` is what the goal wants to be reached: the measure, and the upper bound."""

    title: str
    category: Element
    goal: str
    target: tuple[Element, Element]
    activities: tuple[Element, ...]


HEALTHY_DIET: Final = snomed("226234005", "Healthy diet")
DIABETIC_DIET: Final = snomed("160670007", "Diabetic diet")
EXERCISE: Final = snomed("229065009", "Exercise therapy")
PLANS: Final[Mapping[str, Plan]] = {
    "diabetes": Plan(
        "Diabetes self management plan",
        snomed("698360004", "Diabetes self management plan"),
        "Hemoglobin A1c below 7 %",
        (loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), quantity(decimal(7, 1), "%", "%")),
        (DIABETIC_DIET, EXERCISE),
    ),
    "hypertension": Plan(
        "Hypertension self management plan",
        snomed("734163000", "Care plan"),
        "Systolic blood pressure below 130 mmHg",
        (loinc("8480-6", "Systolic blood pressure"), quantity(130, "mmHg", "mm[Hg]")),
        (HEALTHY_DIET, EXERCISE),
    ),
    "heart failure": Plan(
        "Heart failure self management plan",
        snomed("735984001", "Heart failure self management plan"),
        "Body weight stays within 2 kg",
        (loinc("29463-7", "Body weight"), quantity(2, "kg", "kg")),
        (HEALTHY_DIET,),
    ),
    "hyperlipidemia": Plan(
        "Hyperlipidemia clinical management plan",
        snomed("736285004", "Hyperlipidemia clinical management plan"),
        "LDL cholesterol below 100 mg/dL",
        (
            loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"),
            quantity(100, "mg/dL", "mg/dL"),
        ),
        (HEALTHY_DIET, EXERCISE),
    ),
}
ASSESS_PLAN: Final = concept(coding(f"{US_CORE}CodeSystem/careplan-category", "assess-plan"))
FAMILY_PRACTITIONER: Final = concept(coding(SNOMED, "62247001", "Family medicine specialist"))
PATIENT_ROLE: Final = concept(coding(SNOMED, "116154003", "Patient"))
HOSPITAL_ROLE: Final = concept(coding(SNOMED, "224891009", "Healthcare services"))
IN_PROGRESS: Final = hl7("goal-achievement", "in-progress", "In Progress")
ACHIEVED: Final = hl7("goal-achievement", "achieved", "Achieved")


def add_care(chart: Chart, person: Person, problems: Mapping[str, Element], dice: Dice) -> None:
    """One CareTeam, and a goal and a plan for each disease that has one."""
    planned = [key for key in PLANS if key in problems]
    if not planned:
        return
    began = min(max(person.diseases[key][1], person.record_from) for key in planned)
    team = _add_team(chart, person, began, [problems[key] for key in planned])
    for key in planned:
        start = max(person.diseases[key][1], person.record_from)
        goal = _add_goal(chart, person, PLANS[key], start, problems[key], dice)
        _add_plan(chart, person, PLANS[key], start, problems[key], team, goal)


def _add_team(chart: Chart, person: Person, start: date, reasons: list[Element]) -> Element:
    return chart.add(
        "CareTeam",
        {
            "status": "active" if person.died is None else "inactive",
            "name": f"Care team at {person.facility.name}",
            "subject": chart.subject,
            "period": _period(person, start),
            "participant": [
                {"role": [FAMILY_PRACTITIONER], "member": person.clinician.reference},
                {"role": [PATIENT_ROLE], "member": chart.subject},
                {"role": [HOSPITAL_ROLE], "member": person.facility.reference},
            ],
            "reasonReference": reasons,
            "managingOrganization": [person.facility.reference],
        },
    )


def _add_goal(chart: Chart, person: Person, plan: Plan, start: date, problem: Element, dice: Dice) -> Element:
    measure, bound = plan.target
    return chart.add(
        "Goal",
        {
            "lifecycleStatus": "active" if person.died is None else "cancelled",
            "achievementStatus": ACHIEVED if dice.chance(0.3) else IN_PROGRESS,
            "description": {"text": plan.goal},
            "subject": chart.subject,
            "startDate": start.isoformat(),
            "target": [
                {
                    "measure": measure,
                    "detailRange": {"high": bound},
                    "dueDate": (start + timedelta(days=365)).isoformat(),
                }
            ],
            "expressedBy": person.clinician.reference,
            "addresses": [problem],
        },
    )


def _add_plan(
    chart: Chart, person: Person, plan: Plan, start: date, problem: Element, team: Element, goal: Element
) -> None:
    status = "in-progress" if person.died is None else "stopped"
    chart.add(
        "CarePlan",
        {
            "status": "active" if person.died is None else "revoked",
            "intent": "plan",
            "category": [ASSESS_PLAN, plan.category],
            "title": plan.title,
            "subject": chart.subject,
            "period": _period(person, start),
            "author": person.clinician.reference,
            "careTeam": [team],
            "addresses": [problem],
            "goal": [goal],
            "activity": [
                {"detail": {"code": code, "status": status, "location": person.facility.clinic}}
                for code in plan.activities
            ],
        },
    )


def _period(person: Person, start: date) -> Element:
    return {"start": start.isoformat()} | ({"end": person.died.isoformat()} if person.died else {})
