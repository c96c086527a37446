"""
MongoDB and plain Python mean the same by a radius, with the index and without.

Only what is within a decimetre of the boundary may be taken differently: the database keeps the height of
the cap that a circle cuts off, which of small circles has few digits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import pi

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import GEOSPHERE, AsyncMongoClient

from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry, Point
from fhir_server.search.predicates.great_circle import EARTH_RADIUS_METRES
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Near
from fhir_server.search.predicates.version import Version
from fhir_server.store.database import Collection
from fhir_server.store.documents import Document, document
from fhir_server.store.filters import to_filter
from tests.search.test_near import destination, points
from tests.store.versions import MORNING

LOCATION = frozenset({"Location"})
SLACK_METRES = 0.1

differential = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest_asyncio.fixture(loop_scope="session", params=["with the index", "without"])
async def collection(
    mongodb_url: str, new_database_name: str, request: pytest.FixtureRequest
) -> AsyncIterator[Collection]:
    async with AsyncMongoClient[Document](mongodb_url) as client:
        collection = client[new_database_name]["resources"]
        if request.param == "with the index":
            await collection.create_index([("geo", GEOSPHERE)])
        yield collection


@differential
@given(
    centre=points,
    metres=st.floats(1, 20_000_000) | st.floats(0.001, 1_000),
    bearings=st.lists(st.floats(0, 2 * pi), min_size=1, max_size=8),
    nudges=st.lists(st.floats(SLACK_METRES, 1) | st.floats(SLACK_METRES, 100_000), min_size=1, max_size=8),
)
async def test_mongodb_takes_the_same_points(
    collection: Collection, centre: Point, metres: float, bearings: list[float], nudges: list[float]
) -> None:
    within, beyond = [], []
    for number, (bearing, nudge) in enumerate(zip(bearings, nudges, strict=False)):
        if nudge < metres:
            within.append((f"in-{number}", destination(centre, bearing, metres - nudge)))
        if metres + nudge < pi * EARTH_RADIUS_METRES:
            beyond.append((f"out-{number}", destination(centre, bearing, metres + nudge)))
    near = Near(centre, metres)
    await collection.delete_many({})
    documents = [document(version_at(id, point)) for id, point in [*within, *beyond]]
    for id, point in [*within, *beyond]:
        assert matches(near, version_at(id, point)) is id.startswith("in"), id
    await collection.insert_many(documents)
    found = await collection.find(to_filter(near, types=LOCATION)).to_list()
    assert {fields["_id"].split("/")[1] for fields in found} == {id for id, _ in within}


def version_at(id: str, point: Point) -> Version:
    return Version(Key("Location", id), 1, MORNING, b"{}", Entry(("Location",), point=point), id)
