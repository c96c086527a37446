"""MongoDB finds what contains a match as `search/predicates/matching.py` says, whatever is asked of it."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
import pytest_asyncio

from fhir_server.r4.resource import Key
from fhir_server.search.asking.results import SortKey
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.containing import containing, is_exact, of_contained
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    AnyWord,
    Elsewhere,
    Everything,
    Predicate,
    WordPrefix,
    none_of,
)
from fhir_server.search.predicates.rewriting import leaves_of
from fhir_server.search.predicates.version import Version
from fhir_server.store.store import Store
from tests.search.versions import BASE_URL
from tests.store.kinds import KINDS, TYPES, Json
from tests.store.versions import Clock, a_change, a_unit, put

CONTAINERS: Final = 40
AT_ONCE: Final = 5
INSIDE_MAX: Final = 5
VALUES_EACH: Final = 5
CONTAINER: Final = frozenset(("Basic",))
NAMES: Final = frozenset(("Basic|subject",))


@pytest.fixture(params=[1, 2], ids="seed {}".format)
def random(request: pytest.FixtureRequest) -> Random:
    return Random(request.param)


def a_container(random: Random) -> Json:
    """Resources of any type, one of which it may refer to."""
    inside = []
    for place in range(random.randint(0, INSIDE_MAX)):
        type = random.choice(list(TYPES))
        inside.append({**TYPES[type](random), "resourceType": type, "id": f"c{place}"})
    stated: Json = {"contained": inside} if inside else {}
    if random.random() < 0.8:
        stated["subject"] = {"reference": f"#c{random.randrange(INSIDE_MAX)}"}
    return stated


@pytest_asyncio.fixture(loop_scope="session")
async def stored(store: Store, clock: Clock, random: Random) -> list[Version]:
    living: list[Version] = []
    for start in range(0, CONTAINERS, AT_ONCE):
        clock.advance(milliseconds=1)
        writes = []
        for number in range(start, start + AT_ONCE):
            key = Key("Basic", str(number))
            entry = extract({"resourceType": "Basic", **a_container(random)}, key, base_url=BASE_URL)
            writes.append(put(key, a_change(entry=entry), fresh=True))
        living += await store.commit(a_unit(*writes))
    return living


async def _found(store: Store, inside: Predicate) -> set[str]:
    if not is_exact(inside):
        found = await store.containers(inside, Everything(), types=CONTAINER, most=CONTAINERS)
        assert found is not None
        return found
    page = await store.page(
        inside, types=CONTAINER, order=(SortKey("sequence"),), after=None, count=CONTAINERS, tokens=True
    )
    return {str(version.key) for version in page.versions}


async def test_what_is_stored_comes_back(store: Store, stored: list[Version]) -> None:
    page = await store.page(
        Everything(), types=CONTAINER, order=(SortKey("sequence"),), after=None, count=CONTAINERS, tokens=True
    )
    assert [version.entry for version in page.versions] == [version.entry for version in stored]
    assert any(version.entry.contained for version in stored)


@pytest.mark.parametrize("names", [frozenset(), NAMES], ids=["contained", "referred to"])
async def test_each_kind_of_search_finds_what_contains_a_match(
    store: Store, stored: list[Version], random: Random, names: frozenset[str]
) -> None:
    counts = set()
    for kind in KINDS:
        for _ in range(VALUES_EACH):
            predicate, written = kind.predicate(random)
            if any(isinstance(leaf, Elsewhere | AnyWord | WordPrefix) for leaf in leaves_of(predicate)):
                continue
            inside = containing(of_contained(predicate), names)
            expected = {str(version.key) for version in stored if matches(inside, version)}
            assert await _found(store, inside) == expected, written
            others = {str(version.key) for version in stored} - expected
            if is_exact(inside):
                assert await _found(store, none_of(inside)) == others, written
            counts.add(len(expected))
    assert len(counts) > 3, counts
