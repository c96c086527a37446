"""
What the server is filled with and asked for: the synthetic population, the same in every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from conformance.bench.raw import Raw
from conformance.bench.wire import Address, drive
from fhir_server.population import population, resources
from fhir_server.r4.resource import to_text

STORED_SEED: Final = 1
CREATED_SEED: Final = 2
BUNDLED_SEED: Final = 3
LARGE_SEED: Final = 4
LOADING_AT_ONCE: Final = 4
_STAFF: Final = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole"})
"""What every population begins with."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A transaction as it is sent, and how many resources it has."""

    text: bytes
    entries: int


async def load(address: Address, patients: int) -> int:
    """Fill the server, through the front door; how many resources it was."""
    bundles = _bundles(STORED_SEED, patients)
    loaded = 0

    def requests(some: Iterator[Bundle]) -> Iterator[bytes]:
        nonlocal loaded
        for bundle in some:
            loaded += bundle.entries
            yield address.request("POST", "", bundle.text)

    await drive(address, requests(itertools.islice(bundles, 1)), in_flight=1)
    await drive(address, requests(bundles), in_flight=LOADING_AT_ONCE)
    return loaded


async def keys(raw: Raw, random: Random) -> list[str]:
    """`Type/id` of everything that is stored, shuffled."""
    found = await raw.served["resources"].find({"ty": {"$exists": True}}, {"_id": 1}).to_list()
    listed = sorted(str(fields["_id"]) for fields in found)
    random.shuffle(listed)
    return listed


def to_create(number: int) -> list[dict[str, Any]]:
    """Resources of people who are not stored yet."""
    living = (one for one in resources(CREATED_SEED, number) if one["resourceType"] not in _STAFF)
    return list(itertools.islice(living, number))


def to_bundle() -> Iterator[Bundle]:
    """Without end, a Bundle for each patient who is not stored yet."""
    bundles = _bundles(BUNDLED_SEED, 1_000_000)
    next(bundles)
    return bundles


def large_bundles(entries: int) -> Iterator[dict[str, Any]]:
    """Without end, transactions of at least so many resources of patients who are not stored yet."""
    patients = population(LARGE_SEED, 1_000_000)
    next(patients)
    listed: list[dict[str, Any]] = []
    for bundle in patients:
        listed += bundle["entry"]
        if len(listed) >= entries:
            yield {"resourceType": "Bundle", "type": "transaction", "entry": listed}
            listed = []


def _bundles(seed: int, patients: int) -> Iterator[Bundle]:
    for bundle in population(seed, patients):
        yield Bundle(to_text(bundle), len(bundle["entry"]))
