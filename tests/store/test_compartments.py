"""A search in a compartment reads its page from an index, in order, whatever else there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import SearchLimits, parse
from fhir_server.search.indexing.extraction import extract
from fhir_server.store.documents import Document
from fhir_server.store.filters import to_filter
from fhir_server.store.narrowing import narrowed
from fhir_server.store.store import Store
from tests.store.conftest import DATABASE
from tests.store.versions import a_change, a_unit, put

PATIENTS = 120
OBSERVATIONS_EACH = 20
PAGE = 10


@pytest_asyncio.fixture(loop_scope="session")
async def loaded(store: Store) -> Store:
    """Patients of one practitioner, who performed a tenth of each one's Observations."""
    for patient in range(PATIENTS):
        who = {"reference": f"Patient/p{patient}"}
        resources: list[dict[str, Any]] = [{"resourceType": "Patient"}]
        for number in range(OBSERVATIONS_EACH):
            performer = {"reference": f"Practitioner/{1 if number % 10 == 0 else 100 + number}"}
            code = {"coding": [{"code": str(number % 5)}]}
            resources.append(
                {"resourceType": "Observation", "subject": who, "performer": [performer], "code": code}
            )
        keys = [
            Key(one["resourceType"], f"p{patient}-{n}" if n else f"p{patient}")
            for n, one in enumerate(resources)
        ]
        await store.commit(
            a_unit(
                *(
                    put(key, a_change(entry=extract(one, key)), fresh=True)
                    for key, one in zip(keys, resources, strict=True)
                )
            )
        )
    return store


def used(stage: Mapping[str, Any]) -> set[str]:
    """The kinds of stages of a plan, and the indexes."""
    found = {stage["stage"], *(["-".join(stage["keyPattern"])] if "keyPattern" in stage else [])}
    for inner in [*stage.get("inputStages", []), *([stage["inputStage"]] if "inputStage" in stage else [])]:
        found |= used(inner)
    return found


@pytest.mark.parametrize(
    ("compartment", "type", "parameters", "examined_max"),
    [
        (Key("Patient", "p7"), "Observation", (), 2 * PAGE),
        (Key("Patient", "p7"), "Observation", (("code", "3"),), 2 * OBSERVATIONS_EACH),
        (Key("Patient", "p7"), None, (), 3 * PAGE),
        (Key("Practitioner", "1"), "Observation", (), 2 * PAGE),
        (Key("Practitioner", "1"), None, (), 2 * PAGE),
        (Key("Encounter", "nobody"), None, (), PAGE),
    ],
)
async def test_a_page_of_a_compartment_is_read_from_the_index_of_tokens(
    loaded: Store,
    client: AsyncMongoClient[Document],
    compartment: Key,
    type: str | None,
    parameters: tuple[tuple[str, str], ...],
    examined_max: int,
) -> None:
    asked = parse(Search(type, parameters, compartment=compartment), limits=SearchLimits())
    predicate, types = narrowed(asked.predicate, frozenset(asked.types))
    resources = client[DATABASE]["resources"]
    cursor = resources.find(to_filter(predicate, types=types), sort=[("seq", 1)], limit=PAGE)
    told = await cursor.explain()
    plan = used(told["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in plan
    assert "SORT" not in plan
    assert "tok-seq" in plan
    assert told["executionStats"]["totalDocsExamined"] <= examined_max
