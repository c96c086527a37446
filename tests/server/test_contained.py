"""Searching contained resources over HTTP: https://hl7.org/fhir/R4/search.html#contained"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.server.hiding import a_consent
from tests.server.holding import holding
from tests.server.running import BASE, Server, a_patient, issues_of
from tests.server.ward import Resource, an_organization, coded, found, to

DRUG: Final = "http://example.org/medications"


def a_medication(id: str, *codes: str, **stated: Any) -> Resource:
    ingredients = [{"itemCodeableConcept": coded(code, system=DRUG)} for code in codes]
    return {"resourceType": "Medication", "id": id, "ingredient": ingredients, **stated}


def a_request(id: str, patient: str, *medications: Resource, refers_to: str = "#m1") -> Resource:
    """A prescription of what it contains."""
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "subject": to(f"Patient/{patient}"),
        "medicationReference": to(refers_to),
        "contained": list(medications),
        # What is contained is referred to, as dom-3 wants it.
        "supportingInformation": [to(f"#{one['id']}") for one in medications],
    }


WARD: Final[Sequence[Resource]] = (
    an_organization("maker"),
    {
        "resourceType": "ValueSet",
        "id": "chosen",
        "url": "http://a.example/chosen",
        "status": "active",
        "compose": {"include": [{"system": "http://a.example", "concept": [{"code": "c"}]}]},
    },
    a_patient(id="ann", name=[{"family": "Peters"}]),
    a_patient(id="bob", name=[{"family": "Baker"}]),
    a_medication("own", "abc", code=coded("own")),
    a_request("ra", "ann", a_medication("m1", "abc"), a_medication("m2", "def", status="active")),
    a_request("rb", "bob", a_medication("m1", "abc", "def", manufacturer=to("Organization/maker"))),
    a_request("rc", "bob", a_medication("m1", "xyz", code=coded("c", system="http://a.example"))),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file, with the ward."""
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), WARD) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.as_() as client:
        yield client


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Medication?ingredient-code=abc", {"own"}),
        ("Medication?ingredient-code=abc&_contained=true", {"ra", "rb"}),
        ("Medication?ingredient-code=abc&_contained=both", {"own", "ra", "rb"}),
        ("Medication?ingredient-code=abc&ingredient-code=def&_contained=true", {"rb"}),
        ("Medication?ingredient-code:not=abc&_contained=true", {"ra", "rc"}),
        ("Medication?ingredient-code:missing=true&_contained=true", set()),
        ("Medication?status=active&_contained=true", {"ra"}),
        ("Medication?_id=m2&_contained=true", {"ra"}),
        ("Medication?_id=own&_contained=both", {"own"}),
        ("Medication?manufacturer=Organization/maker&_contained=true", {"rb"}),
        ("Medication?manufacturer.name=maker&_contained=true", {"rb"}),
        ("Medication?code:in=http://a.example/chosen&_contained=true", {"rc"}),
        ("MedicationRequest?medication.code:in=http://a.example/chosen", {"rc"}),
        ("Medication?_has:MedicationRequest:medication:status=active&_contained=true", set()),
        ("Medication?_lastUpdated=gt2020&_contained=true", {"ra", "rb", "rc"}),
        ("Medication?_lastUpdated=lt2020&_contained=true", set()),
        ("Medication?ingredient-code:text=abc&_contained=true", set()),
        ("?_type=Medication,Patient&_id=m1,ann&_contained=both", {"ra", "rb", "rc", "ann"}),
        ("Patient?_contained=true", set()),
        ("MedicationRequest?medication.ingredient-code=abc", {"ra", "rb"}),
        ("MedicationRequest?medication:Medication.ingredient-code=abc,xyz", {"ra", "rb", "rc"}),
        ("MedicationRequest?medication.status=active", set()),
        ("MedicationRequest?medication.manufacturer.name=maker", {"rb"}),
        ("MedicationRequest?medication.manufacturer.name:contains=aker", {"rb"}),
        ("MedicationRequest?medication._id=m1&patient.name=peters", {"ra"}),
        ("MedicationRequest?_filter=medication.ingredient-code eq abc and patient.name sw peters", {"ra"}),
        ("Patient?_has:MedicationRequest:patient:medication.ingredient-code=xyz", {"bob"}),
    ],
)
async def test_what_is_found(client: httpx.AsyncClient, address: str, expected: set[str]) -> None:
    assert await found(client, f"/{address}") == expected


async def test_the_container_is_shown_whole(client: httpx.AsyncClient) -> None:
    bundle = (await client.get("/Medication?ingredient-code=xyz&_contained=true")).json()
    [entry] = bundle["entry"]
    assert entry["fullUrl"] == f"{BASE}/MedicationRequest/rc"
    assert entry["search"] == {"mode": "match"}
    assert entry["resource"]["resourceType"] == "MedicationRequest"


async def test_the_contained_resource_is_shown_alone(client: httpx.AsyncClient) -> None:
    asked = "ingredient-code=abc&_contained=both&_containedType=contained"
    bundle = (await client.get(f"/Medication?{asked}")).json()
    assert {entry["fullUrl"]: entry["resource"]["id"] for entry in bundle["entry"]} == {
        f"{BASE}/Medication/own": "own",
        f"{BASE}/MedicationRequest/ra#m1": "m1",
        f"{BASE}/MedicationRequest/rb#m1": "m1",
    }
    assert all(entry["resource"]["resourceType"] == "Medication" for entry in bundle["entry"])
    assert all(entry["search"] == {"mode": "match"} for entry in bundle["entry"])


async def test_contained_resources_come_once_each_page_by_page(client: httpx.AsyncClient) -> None:
    places: list[str] = []
    link = "/Medication?_contained=true&_containedType=contained&_count=2&_elements=code"
    turned: list[str] = []
    while True:
        bundle = (await client.get(link)).json()
        assert len(bundle["entry"]) <= 2
        places += [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in bundle["entry"]]
        links = {one["relation"]: one["url"] for one in bundle["link"]}
        if "next" not in links:
            break
        link = links["next"]
        turned.append(links["self"])
    assert places == [
        "MedicationRequest/ra#m1",
        "MedicationRequest/ra#m2",
        "MedicationRequest/rb#m1",
        "MedicationRequest/rc#m1",
    ]
    back = (await client.get(links["previous"])).json()
    assert [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in back["entry"]] == places[:2]


async def test_a_container_with_more_matches_than_a_page_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/Medication?_contained=true&_containedType=contained&_count=1")
    assert response.status_code == httpx.codes.FORBIDDEN
    assert issues_of(response)[0]["code"] == "too-costly"


async def test_totals_are_of_containers(client: httpx.AsyncClient) -> None:
    response = await client.get("/Medication?ingredient-code=abc&_contained=both&_total=accurate&_count=1")
    assert response.json()["total"] == 3
    assert len(response.json()["entry"]) == 1


@pytest.mark.parametrize(
    "beside",
    [
        "_include=Medication:manufacturer",
        "_revinclude=MedicationRequest:medication",
        "_sort=status",
        "_sort=-_lastUpdated,status",
        "_filter=status eq active",
        "_content=abc",
        "_containedType=contained&_total=accurate",
        "_containedType=contained&_count=0",
        "_containedType=contained&_summary=count",
    ],
)
async def test_what_has_no_meaning_beside_it_is_refused_by_name(
    client: httpx.AsyncClient, beside: str
) -> None:
    response = await client.get(f"/Medication?_contained=true&{beside}")
    assert response.status_code == httpx.codes.NOT_IMPLEMENTED
    assert "_cont" in issues_of(response)[0]["diagnostics"]


async def test_a_compartment_and_the_ledger_are_not_searched_so(client: httpx.AsyncClient) -> None:
    for address in ("/Patient/ann/MedicationRequest?_contained=true", "/AuditEvent?_contained=both"):
        assert (await client.get(address)).status_code == httpx.codes.NOT_IMPLEMENTED


@pytest.mark.parametrize("sort", ["_lastUpdated", "-_lastUpdated"])
async def test_containers_are_sorted_by_their_last_update(client: httpx.AsyncClient, sort: str) -> None:
    bundle = (await client.get(f"/Medication?_contained=both&_sort={sort}&_count=2")).json()
    resources = [entry["resource"] for entry in bundle["entry"]]
    assert len(resources) == 2
    times = [resource["meta"]["lastUpdated"] for resource in resources]
    assert times == sorted(times, reverse=sort.startswith("-"))


async def test_who_may_not_see_the_container_does_not_find_what_it_contains(
    client: httpx.AsyncClient, server: Server
) -> None:
    all_of_ann = "patient/*.rs"
    async with server.as_(all_of_ann, patient="ann") as ann:
        assert await found(ann, "/Medication?ingredient-code=abc&_contained=true") == {"ra"}
        assert await found(ann, "/MedicationRequest?medication.ingredient-code=xyz") == set()
    async with server.as_("system/MedicationRequest.rs") as without:
        response = await without.get("/Medication?_contained=true")
        assert response.status_code == httpx.codes.FORBIDDEN
    async with server.as_("system/Medication.rs") as without:
        assert await found(without, "/Medication?ingredient-code=abc&_contained=both") == {"own"}
        alone = "/Medication?ingredient-code=abc&_contained=both&_containedType=contained"
        assert await found(without, alone) == {"own"}


async def test_a_consent_hides_what_is_contained(client: httpx.AsyncClient, server: Server) -> None:
    await client.put("/Patient/dan", json=a_patient(id="dan"))
    await client.put("/MedicationRequest/rd", json=a_request("rd", "dan", a_medication("m1", "hidden")))
    asked = "/Medication?ingredient-code=hidden&_contained=true&_containedType=contained"
    async with server.as_("user/*.rs", user="Practitioner/p") as caller:
        assert await found(caller, asked) == {"m1"}
        assert await found(caller, "/MedicationRequest?medication.ingredient-code=hidden") == {"rd"}
        await client.put("/Consent/dan", json=a_consent("dan", "dan", {"type": "deny"}))
        assert await found(caller, asked) == set()
        assert await found(caller, "/MedicationRequest?medication.ingredient-code=hidden") == set()


async def test_an_update_moves_what_is_found(client: httpx.AsyncClient) -> None:
    asked = "/Medication?ingredient-code=moved&_contained=true"
    before = a_request("re", "bob", a_medication("m1", "moved"))
    await client.put("/MedicationRequest/re", json=before)
    assert await found(client, asked) == {"re"}
    await client.put("/MedicationRequest/re", json=a_request("re", "bob", a_medication("m1", "other")))
    assert await found(client, asked) == set()
    await client.put("/MedicationRequest/re", json=before)
    await client.delete("/MedicationRequest/re")
    assert await found(client, asked) == set()


async def test_the_record_names_the_container(client: httpx.AsyncClient, server: Server) -> None:
    await client.get("/Medication?ingredient-code=xyz&_contained=true&_containedType=contained")
    assert [target.reference for target in (await server.records())[-1].targets] == ["MedicationRequest/rc"]
