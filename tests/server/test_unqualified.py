"""References by an id alone, over HTTP: https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import httpx
import pytest
import pytest_asyncio

from tests.server.hiding import a_consent
from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation
from tests.server.ward import Resource, a_group, coded, found, to

WARD: Final[Sequence[Resource]] = (
    a_patient(id="both"),
    a_group("both", "Patient/ann"),
    a_patient(id="ann"),
    a_patient(id="dora"),
    a_group("dora", "Patient/ann"),
    an_observation("both", id="p"),
    an_observation("ann", id="a", code=coded("1-1"), hasMember=[to("Observation/p")]),
    {**an_observation("x", id="g"), "subject": to("Group/both")},
    {**an_observation("x", id="nobody"), "subject": to("Patient/gone")},
    {**an_observation("x", id="d"), "subject": to("Group/dora")},
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file, with a Patient and a Group of the same id."""
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), WARD) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.as_() as client:
        yield client


@pytest.mark.parametrize(
    "address",
    [
        "Observation?subject=both",
        "Observation?subject=ann,both",
        "Observation?subject=both&code=none",
        "Observation?has-member.subject=both",
        "Patient?_has:Observation:subject:subject=both",
        "Observation?_filter=not (subject re both)",
        "?_type=Observation,Condition&subject=both",
        "Observation?subject=both&_summary=count",
    ],
)
async def test_an_id_of_several_resources_is_refused(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(f"/{address}")
    assert answer.status_code == 400, answer.text
    told = answer.json()["issue"][0]["diagnostics"]
    assert "`subject`" in told
    assert "Type/id" in told
    assert "both" not in told


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Observation?subject=Patient/both", {"p"}),
        ("Observation?subject:Group=both", {"g"}),
        ("Observation?subject=Patient/both,Group/both", {"p", "g"}),
        ("Observation?patient=both", {"p"}),
        ("Observation?subject=ann", {"a"}),
        ("Observation?subject=gone", {"nobody"}),
        ("Observation?has-member.subject:Patient=both", {"a"}),
        ("Observation?_filter=subject re ann", {"a"}),
    ],
)
async def test_an_id_of_one_resource_or_of_none_is_looked_for(
    client: httpx.AsyncClient, address: str, expected: set[str]
) -> None:
    assert await found(client, f"/{address}") == expected


async def test_what_the_caller_cannot_search_does_not_count(server: Server) -> None:
    async with server.as_("system/Observation.rs system/Patient.rs") as confined:
        assert await found(confined, "/Observation?subject=both") == {"p", "g"}


async def test_what_consent_hides_does_not_count(client: httpx.AsyncClient, server: Server) -> None:
    async with server.as_("user/*.rs", user="Practitioner/7", purpose="TREAT") as doctor:
        assert (await doctor.get("/Observation?subject=dora")).status_code == 400
        consent = a_consent("dora", "dora", {"type": "deny"})
        (await client.put("/Consent/dora", json=consent)).raise_for_status()
        assert await found(doctor, "/Observation?subject=dora") == {"d"}


async def test_conditional_interactions_are_refused_alike(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/Observation?subject=both")).status_code == 400
    body = an_observation("both")
    created = await client.post("/Observation", json=body, headers={"If-None-Exist": "subject=both"})
    assert created.status_code == 400
    assert (await client.get("/Observation/p")).status_code == 200


async def test_it_is_asked_only_where_there_may_be_several(client: httpx.AsyncClient) -> None:
    async def stages(address: str) -> list[str]:
        parameters = (await client.get(f"/{address}&_explain=true")).json()["parameter"]
        return [one["part"][0]["valueCode"] for one in parameters if one["name"] == "stage"]

    assert await stages("Observation?subject=ann") == ["joins", "page"]
    for one_type in ("patient=ann", "subject=Patient/ann", "encounter=ann", "subject:Group=ann"):
        assert await stages(f"Observation?{one_type}") == ["page"], one_type
