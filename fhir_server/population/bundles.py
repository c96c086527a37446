"""
The population as transaction Bundles, or as resources one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from fhir_server.population.chart import by_id, by_urn
from fhir_server.population.directory import directory
from fhir_server.population.story import story
from fhir_server.population.vocabulary import Element

AS_OF: Final = date(2026, 1, 1)
"""The day on which the population is looked at, unless another one is asked for."""


def population(seed: int, patients: int, as_of: date = AS_OF, *, consents: bool = False) -> Iterator[Element]:
    """
    First a Bundle that PUTs who looks after people (always the same), then one for each patient.

    Those POST: a patient's resources refer to each other by `urn:uuid`, and each has an id that it
    keeps when it is loaded with PUT.
    """
    staff = directory()
    yield _transaction([_put(resource) for resource in staff.resources])
    for number in range(1, patients + 1):
        resources = story(seed, number, staff, as_of, by_urn, consents=consents)
        yield _transaction([_post(resource) for resource in resources])


def resources(seed: int, patients: int, as_of: date = AS_OF, *, consents: bool = False) -> Iterator[Element]:
    """The same people, each resource with an id, and references by type and id."""
    staff = directory()
    yield from staff.resources
    for number in range(1, patients + 1):
        yield from story(seed, number, staff, as_of, by_id, consents=consents)


def _transaction(entries: list[Element]) -> Element:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _put(resource: Element) -> Element:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def _post(resource: Element) -> Element:
    return {
        "fullUrl": f"urn:uuid:{resource['id']}",
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }
