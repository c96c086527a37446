"""
The population of `serve --demo`, under ids that never change, and who of it stands in examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from fhir_server.population.bundles import population
from fhir_server.population.vocabulary import Element

PATIENTS: Final = 12
SEED: Final = 2026
AS_OF: Final = date(2026, 6, 30)


@dataclass(frozen=True, slots=True)
class DemoPeople:
    """
    Ids: `patient` is looked after by `practitioner` and was seen last in `encounter`; `somebody_else` is
    another patient.
    """

    patient: str
    encounter: str
    practitioner: str
    somebody_else: str


def demo_population() -> Iterator[Element]:
    """Transactions of PUTs: loaded twice is loaded once."""
    for bundle in population(SEED, PATIENTS, AS_OF):
        yield {**bundle, "entry": [_put(entry) for entry in bundle["entry"]]}


@cache
def demo_people() -> DemoPeople:
    """Whose ids examples have."""
    _, first, second = (
        [entry["resource"] for entry in bundle["entry"]] for bundle in population(SEED, 2, AS_OF)
    )
    patient, other = first[0], second[0]
    encounters = [resource for resource in first if resource["resourceType"] == "Encounter"]
    practitioner = patient["generalPractitioner"][0]["reference"].removeprefix("Practitioner/")
    return DemoPeople(patient["id"], encounters[-1]["id"], practitioner, other["id"])


def _put(entry: Element) -> Element:
    resource = entry["resource"]
    url = f"{resource['resourceType']}/{resource['id']}"
    return {**entry, "request": {"method": "PUT", "url": url}}
