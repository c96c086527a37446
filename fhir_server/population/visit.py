"""
When somebody is seen and why: check-ups, follow-ups of what stays, and illnesses that come and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from fhir_server.population.dice import Dice
from fhir_server.population.directory import Clinician
from fhir_server.population.diseases import ILLNESSES, Disease, Illness
from fhir_server.population.person import Person
from fhir_server.population.vocabulary import age, moment, years_after

CHILD_MONTHS: Final = (0, 1, 2, 4, 6, 9, 12, 15, 18, 24, 30, 36)
CHECK_UP_KEPT: Final = 0.78
MINUTES_PER_VISIT: Final = 30
FOLLOW_UPS_A_YEAR_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody comes on a day; neither a disease nor an illness means a check-up."""

    day: date
    disease: Disease | None = None
    illness: Illness | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of one person. `fever` is in degrees above the usual."""

    day: date
    minutes: int
    age: float
    reason: Reason
    clinician: Clinician
    is_emergency: bool
    is_admission: bool
    nights: int
    fever: float

    @property
    def is_routine(self) -> bool:
        return self.reason.disease is None and self.reason.illness is None

    @property
    def is_acute(self) -> bool:
        return self.reason.illness is not None

    def at(self, minutes: int) -> str:
        """The moment so many minutes after it began."""
        return moment(self.day, self.minutes + minutes)

    @property
    def end(self) -> str:
        if self.nights:
            return moment(self.day + timedelta(days=self.nights), 11 * 60)
        return self.at(MINUTES_PER_VISIT)


def visits(person: Person, dice: Dice) -> Iterator[Visit]:
    """In the order of time, from the beginning of the record to its end."""
    reasons = [*_check_ups(person, dice), *_follow_ups(person, dice), *_illnesses(person, dice)]
    reasons.sort(key=lambda reason: reason.day)
    for reason in reasons:
        if person.record_from <= reason.day < person.until:
            yield _visit(person, reason, dice)


def _visit(person: Person, reason: Reason, dice: Dice) -> Visit:
    illness = reason.illness
    fate = dice.share()
    is_admission = illness is not None and fate < illness.admitted
    is_emergency = illness is not None and not is_admission and fate < illness.admitted + illness.emergency
    staff = person.facility.clinicians
    clinician = person.clinician
    if is_admission:
        clinician = staff["surgery"] if illness and illness.procedure else staff["internal"]
    elif is_emergency:
        clinician = staff["emergency"]
    elif reason.disease and reason.disease.key in ("heart failure", "fibrillation", "coronary"):
        clinician = staff["cardiology"]
    # The clinic sees people from eight to five, by five minutes; emergencies come at any time.
    minutes = dice.between(0, 1380) if is_emergency else dice.between(96, 204) * 5
    nights = dice.between(1, 5) if is_admission else 0
    return Visit(
        day=reason.day,
        minutes=minutes,
        age=age(person.born, reason.day),
        reason=reason,
        clinician=clinician,
        is_emergency=is_emergency,
        is_admission=is_admission,
        nights=min(nights, (person.until - reason.day).days),
        fever=max(dice.around(illness.fever, 0.3), 0.0) if illness and illness.fever else 0.0,
    )


def _check_ups(person: Person, dice: Dice) -> Iterator[Reason]:
    """As often as a child's age asks for; once a year after that, when they come."""
    for months in CHILD_MONTHS:
        yield Reason(
            person.born + timedelta(days=int(months * 30.44) + (dice.between(0, 6) if months else 0))
        )
    wanted = dice.between(-40, 40)
    for year in range(4, int(age(person.born, person.until)) + 1):
        day = years_after(person.born, year)
        if day >= person.record_from and dice.chance(CHECK_UP_KEPT):
            yield Reason(day + timedelta(days=wanted + dice.between(0, 30)))


def _follow_ups(person: Person, dice: Dice) -> Iterator[Reason]:
    """On the day when a disease is found, and then at intervals: the more diseases, the shorter."""
    followed = []
    for disease, onset in person.diseases.values():
        if onset >= person.record_from:
            yield Reason(onset, disease)
        if disease.visits_a_year:
            followed.append((onset, disease))
    if not followed:
        return
    followed.sort(key=lambda each: each[0])
    gap = 365 / min(sum(disease.visits_a_year for _, disease in followed), FOLLOW_UPS_A_YEAR_MAX)
    day = max(followed[0][0], person.record_from) + timedelta(days=int(gap * dice.uniform(0.3, 1)))
    turn = 0
    while day < person.until:
        known = [disease for onset, disease in followed if onset < day]
        yield Reason(day, known[turn % len(known)])
        turn += 1
        day += timedelta(days=int(gap * dice.uniform(0.85, 1.15)))


def _illnesses(person: Person, dice: Dice) -> Iterator[Reason]:
    days = (person.until - person.record_from).days
    for illness in ILLNESSES:
        rate = illness.per_year * (illness.women if person.sex == "female" else illness.men)
        expected = rate * days / 365
        cases = int(expected) + dice.chance(expected % 1)
        for _ in range(cases):
            day = person.record_from + timedelta(days=int(dice.share() * days))
            if illness.from_years <= age(person.born, day) < illness.to_years:
                yield Reason(day, illness=illness)
