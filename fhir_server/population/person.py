"""
Who a person is before anything is written down: body, habits, what they suffer from and since when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from fhir_server.population.dice import Dice, Weighted
from fhir_server.population.directory import Clinician, Directory, Facility
from fhir_server.population.diseases import DISEASES, Disease
from fhir_server.population.names import CULTURES, Culture, Name
from fhir_server.population.vocabulary import age, years_after

HISTORY_YEARS: Final = 5

AGES: Final = Weighted(
    [((0, 4), 6), ((5, 17), 17), ((18, 39), 28), ((40, 64), 31), ((65, 84), 15), ((85, 99), 3)]
)
SMOKING: Final = Weighted([("never", 62), ("former", 24), ("daily", 14)])
DEATH_SHARE_FROM_65: Final = 0.12


@dataclass(frozen=True, slots=True)
class Person:
    """`diseases` have the day of their onset; `constitution` is 0 for the average, and stays for life."""

    number: int
    sex: str
    born: date
    died: date | None
    culture: Culture
    given: Name
    middle: Name
    family: Name
    race: str
    smoking: str
    height_cm: float
    leanness: float
    constitution: float
    diseases: dict[str, tuple[Disease, date]]
    facility: Facility
    clinician: Clinician
    until: date

    @property
    def display(self) -> str:
        return f"{self.given[0]} {self.family[0]}"

    @property
    def record_from(self) -> date:
        """Since when there is a record of visits."""
        return max(self.born, years_after(self.until, -HISTORY_YEARS))

    def has(self, key: str, day: date) -> bool:
        held = self.diseases.get(key)
        return held is not None and held[1] <= day


def person(number: int, dice: Dice, directory: Directory, as_of: date) -> Person:
    """Somebody who is alive at `as_of`, or died in the years before that the record goes back to."""
    low, high = dice.weighted(AGES)
    born = as_of - timedelta(days=dice.between(low * 365 + low // 4, high * 365 + high // 4 + 364))
    years = age(born, as_of)
    died = None
    if years >= 65 and dice.chance(DEATH_SHARE_FROM_65):
        died = as_of - timedelta(days=dice.between(1, HISTORY_YEARS * 365 - 200))
    sex = "female" if dice.chance(0.508) else "male"
    culture = dice.weighted(CULTURES)
    facility = dice.pick(directory.facilities)
    mean_cm = 163.0 if sex == "female" else 176.5
    return Person(
        number=number,
        sex=sex,
        born=born,
        died=died,
        culture=culture,
        given=dice.pick(culture.given[sex]),
        middle=dice.pick(culture.given[sex]),
        family=dice.pick(culture.families[sex]),
        race=dice.weighted(culture.races),
        smoking=dice.weighted(SMOKING) if years >= 18 else "never",
        height_cm=dice.around(mean_cm, 6.5),
        leanness=dice.around(0, 1),
        constitution=dice.around(0, 1),
        diseases=_diseases(dice, sex, born, died or as_of),
        facility=facility,
        clinician=facility.clinicians["pediatrics" if years < 16 else dice.pick(("family", "internal"))],
        until=died or as_of,
    )


def _diseases(dice: Dice, sex: str, born: date, until: date) -> dict[str, tuple[Disease, date]]:
    """Each disease comes at a year of its own, the likelier the longer one lives past its onset."""
    found: dict[str, tuple[Disease, date]] = {}
    for disease in DISEASES:
        share = disease.share * (disease.women if sex == "female" else 1)
        # Who is below `share` gets it between the onset and 80, spread evenly; who lives on may still.
        fate = dice.share()
        if fate < share and disease.excludes not in found:
            years = disease.onset_years + (80 - disease.onset_years) * (fate / share)
            onset = born + timedelta(days=int(years * 365.2425) + 1)
            if onset < until:
                found[disease.key] = (disease, onset)
    return found
