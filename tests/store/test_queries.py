"""
MongoDB finds what `search/predicates/matching.py` says, for each type of parameter, modifier and prefix.

Searches are generated as a client writes them, some of each of KINDS, and several of them together.
"""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
import pytest_asyncio

from fhir_server.r4.resource import Key
from fhir_server.search.asking.results import SortKey
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.store import Store
from tests.search.versions import BASE_URL
from tests.store.kinds import KINDS, TYPES, Json, asked
from tests.store.versions import Clock, a_change, a_unit, deleted, put

EACH: Final = 25
"""Resources of each type."""

AT_ONCE: Final = 5
"""Resources that are stored at the same time."""

VALUES_EACH: Final = 10
TOGETHER: Final = 200
PAGE: Final = 1_000
CREATED: Final = (SortKey("sequence"),)


@pytest.fixture(params=[1, 2], ids="seed {}".format)
def random(request: pytest.FixtureRequest) -> Random:
    return Random(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def stored(store: Store, clock: Clock, random: Random) -> list[Version]:
    """The living versions of what the store has."""
    living: list[Version] = []
    for type, make in TYPES.items():
        for start in range(0, EACH, AT_ONCE):
            clock.advance(milliseconds=1)
            some = [Key(type, str(n)) for n in range(start, start + AT_ONCE)]
            writes = [put(key, a_change(entry=_entry(key, make(random))), fresh=True) for key in some]
            living += await store.commit(a_unit(*writes))
    gone = random.sample(living, EACH // 5)
    for version in gone:
        await deleted(store, version.key)
    return [version for version in living if version not in gone]


def _entry(key: Key, stated: Json) -> Entry:
    return extract({"resourceType": key.type, **stated}, key, base_url=BASE_URL, full_text="content")


async def _found(store: Store, type: str, predicate: Predicate) -> set[Key]:
    page = await store.page(
        predicate, types=frozenset({type}), order=CREATED, after=None, count=PAGE, tokens=True
    )
    return {version.key for version in page.versions}


def _expected(stored: list[Version], type: str, predicate: Predicate) -> set[Key]:
    return {version.key for version in stored if version.key.type == type and matches(predicate, version)}


async def test_each_kind_of_search_finds_what_matches(
    store: Store, stored: list[Version], random: Random
) -> None:
    for kind in KINDS:
        everything = sum(version.key.type == kind.type for version in stored)
        counts = set()
        for _ in range(VALUES_EACH):
            predicate, written = kind.predicate(random)
            expected = _expected(stored, kind.type, predicate)
            assert await _found(store, kind.type, predicate) == expected, written
            counts.add(len(expected))
        # Nothing would be learnt from a kind that never finds, or always finds all.
        assert counts not in ({0}, {everything}), f"{kind.search_type} {kind.what}: {counts}"


async def test_several_criteria_together_find_what_matches(
    store: Store, stored: list[Version], random: Random
) -> None:
    for _ in range(TOGETHER):
        first = random.choice(KINDS)
        kinds = random.choices([kind for kind in KINDS if kind.type == first.type], k=random.randint(2, 4))
        criteria = [(kind.name, kind.make(random)) for kind in kinds]
        predicate = asked(first.type, *criteria)
        assert await _found(store, first.type, predicate) == _expected(stored, first.type, predicate), (
            criteria
        )


async def test_a_total_is_the_number_of_what_matches(
    store: Store, stored: list[Version], random: Random
) -> None:
    for kind in KINDS:
        predicate, written = kind.predicate(random)
        total = await store.count(predicate, types=frozenset({kind.type}))
        assert total == len(_expected(stored, kind.type, predicate)), written
