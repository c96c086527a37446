"""Chains, `_has` and `_list` over HTTP: https://hl7.org/fhir/R4/search.html#chaining"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from tests.server.hiding import a_consent
from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation, issues_of, serving
from tests.server.ward import Resource, a_group, a_list, an_encounter, coded, found, in_order, to

WARD: Final[Sequence[Resource]] = (
    {"resourceType": "Organization", "id": "north", "name": "North"},
    {"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": to("Organization/north")},
    {"resourceType": "Practitioner", "id": "peter", "name": [{"family": "Peterson"}]},
    a_patient(
        id="ann", name=[{"family": "Peters"}], gender="female", managingOrganization=to("Organization/clinic")
    ),
    a_patient(
        id="bob", name=[{"family": "Baker"}], gender="male", generalPractitioner=[to("Practitioner/peter")]
    ),
    a_patient(id="cleo", name=[{"family": "Petersen"}], gender="male"),
    an_encounter("ea", "ann", serviceProvider=to("Organization/clinic")),
    an_encounter("eb", "bob"),
    an_observation("ann", id="oa1", code=coded("1-1"), encounter=to("Encounter/ea")),
    an_observation("ann", id="oa2", code=coded("2-2")),
    an_observation(
        "bob", id="ob1", code=coded("1-1"), encounter=to("Encounter/eb"), hasMember=[to("Observation/oa1")]
    ),
    an_observation("cleo", id="oc1", code=coded("3-3"), performer=[to("Practitioner/peter")]),
    a_group("wards", "Patient/ann", "Patient/bob", "Practitioner/peter"),
    a_list("chosen", "Patient/cleo", "Observation/oa2"),
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
        ("Observation?patient.name=peters", {"oa1", "oa2", "oc1"}),
        ("Observation?patient.name:exact=Peters", {"oa1", "oa2"}),
        ("Observation?subject:Patient.name=peters&subject:Patient.gender=male", {"oc1"}),
        ("Observation?subject.name=baker,petersen", {"ob1", "oc1"}),
        ("Observation?subject:Patient.gender:not=male", {"oa1", "oa2"}),
        ("Observation?patient.organization:missing=true", {"ob1", "oc1"}),
        ("Observation?patient.organization.name=clinic", {"oa1", "oa2"}),
        ("Observation?patient.organization.partof.name=north", {"oa1", "oa2"}),
        ("Observation?encounter.patient.general-practitioner:Practitioner.family=peterson", {"ob1"}),
        ("Observation?patient._id=ann", {"oa1", "oa2"}),
        ("Observation?patient._lastUpdated=gt2020", {"oa1", "oa2", "ob1", "oc1"}),
        ("Observation?code=1-1&patient.name=petersen", set()),
        ("Observation?has-member.patient.name=peters", {"ob1"}),
        ("Patient?_has:Observation:patient:code=1-1", {"ann", "bob"}),
        ("Patient?_has:Observation:patient:code=http://loinc.org|3-3", {"cleo"}),
        ("Patient?_has:Observation:patient:code=1-1&_has:Observation:patient:code=2-2", {"ann"}),
        ("Patient?_has:Observation:patient:code=1-1,3-3&gender=male", {"bob", "cleo"}),
        ("Patient?_has:Observation:patient:encounter.service-provider.name=clinic", {"ann"}),
        ("Patient?_has:Observation:patient:_has:Observation:has-member:code=1-1", {"ann"}),
        ("Patient?_has:Observation:patient:performer:Practitioner.name=peterson", {"cleo"}),
        ("Encounter?patient._has:Observation:patient:code=2-2", {"ea"}),
        ("Patient?_has:Group:member:_id=wards", {"ann", "bob"}),
        ("Practitioner?_has:Group:member:_id=wards", {"peter"}),
        ("Practitioner?_has:Patient:general-practitioner:name=baker", {"peter"}),
        ("Patient?_list=chosen", {"cleo"}),
        ("Observation?_list=chosen", {"oa2"}),
        ("Observation?_list=chosen&patient.name=baker", set()),
        ("Patient?_list=unknown", set()),
        ("?_type=Patient,Observation&_list=chosen", {"cleo", "oa2"}),
        ("Patient/ann/Observation?encounter.service-provider=Organization/clinic", {"oa1"}),
    ],
)
async def test_a_chain_finds(client: httpx.AsyncClient, address: str, expected: set[str]) -> None:
    assert await found(client, f"/{address}&_count=1000") & {one["id"] for one in WARD} == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("patient.nonsense=1", 400),
        ("patient.=1", 400),
        (".name=1", 400),
        ("patient:.name=1", 400),
        ("patient:Organization.name=1", 400),
        ("code.name=1", 400),
        ("nonsense.name=1", 400),
        ("patient.name=", 400),
        ("patient.name:below=1", 400),
        ("_has:Observation:patient=1", 400),
        ("_has:Observation:code:code=1", 400),
        ("_has:Nonsense:patient:code=1", 400),
        ("_has:Encounter:location:status=finished", 400),
        ("_has=1", 400),
        ("_list=$current-problems", 501),
        ("_list:not=1", 400),
        ("_list=a b", 400),
        ("focus:AuditEvent.agent=1", 501),
        (".".join(["has-member"] * 6) + ".code=1", 403),
        (".".join(["has-member"] * 100) + ".code=1", 413),
        ("&".join(f"patient.name=n{n}" for n in range(11)), 403),
    ],
)
async def test_a_chain_that_leads_nowhere_is_refused(
    client: httpx.AsyncClient, query: str, status: int
) -> None:
    refused = await client.get(f"/Observation?{query}")
    assert refused.status_code == status, refused.text
    assert issues_of(refused)[0]["diagnostics"]


async def test_a_lenient_client_is_told_which_chain_was_left_out(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Observation?patient.nonsense=1", headers={"Prefer": "handling=lenient"})
    assert "patient.nonsense" in answer.text
    assert "patient.nonsense" not in answer.json()["link"][0]["url"]


async def test_a_negation_over_several_types_is_of_each_type(client: httpx.AsyncClient) -> None:
    query = "/?_type=Observation,Encounter&_count=1000&patient:missing=true"
    assert not await found(client, query) & {"oa1", "ea"}


async def test_each_page_is_settled_anew(client: httpx.AsyncClient) -> None:
    address, seen = "/Observation?patient.name=peters&_count=1&_sort=-_lastUpdated", []
    while address:
        page = (await client.get(address)).json()
        seen += [entry["resource"]["id"] for entry in page.get("entry", ())]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert sorted(seen) == ["oa1", "oa2", "oc1"]


@pytest.mark.parametrize(
    ("scope", "context", "address", "expected"),
    [
        # What no scope covers is not asked about.
        ("system/Observation.rs", {}, "Observation?patient.name=peters", 403),
        ("system/Patient.rs", {}, "Patient?_has:Observation:patient:code=1-1", 403),
        ("system/Observation.rs system/Patient.r", {}, "Observation?patient.name=peters", 403),
        (
            "system/Observation.rs system/Patient.s",
            {},
            "Observation?patient.name=peters",
            {"oa1", "oa2", "oc1"},
        ),
        # A type without a scope is left out, as in any search over several.
        ("system/Observation.rs system/Group.s", {}, "Observation?subject:Group._id=wards", set()),
        # Confined to one patient: nobody else's name can be asked around a corner.
        ("patient/*.rs", {"patient": "ann"}, "Observation?patient.name=peters", {"oa1", "oa2"}),
        ("patient/*.rs", {"patient": "ann"}, "Patient?_has:Observation:patient:code=1-1", {"ann"}),
        (
            "patient/*.rs",
            {"patient": "ann"},
            "Practitioner?_has:Patient:general-practitioner:name=baker",
            set(),
        ),
        ("patient/*.rs", {"patient": "ann"}, "Observation?has-member.patient.name=peters", set()),
        ("patient/*.rs", {"patient": "ann"}, "Practitioner?_has:Group:member:_id=wards", set()),
        ("patient/*.rs", {"patient": "ann"}, "Patient?_has:Group:member:_id=wards", {"ann"}),
        ("patient/*.rs", {"patient": "ann"}, "Group?member:Practitioner.name=peterson", set()),
        ("patient/*.rs", {"patient": "ann"}, "Group?member:Patient.name=peters", {"wards"}),
        ("patient/*.rs", {"patient": "ann"}, "Patient?_has:Group:member:member=Patient/bob", set()),
        ("patient/*.rs", {"patient": "ann"}, "Patient?_has:Group:member:member:Patient.name=baker", set()),
    ],
)
async def test_a_chain_asks_only_of_what_the_caller_may_see(
    client: httpx.AsyncClient,
    server: Server,
    scope: str,
    context: dict[str, str],
    address: str,
    expected: set[str] | int,
) -> None:
    async with server.as_(scope, **context) as confined:
        if isinstance(expected, int):
            assert (await confined.get(f"/{address}")).status_code == expected
        else:
            assert await found(confined, f"/{address}") == expected


async def test_a_chain_asks_only_of_what_consent_leaves(client: httpx.AsyncClient, server: Server) -> None:
    hidden = a_patient(id="dora", name=[{"family": "Hiddenson"}], link=[])
    del hidden["link"]
    basic = {
        "resourceType": "Basic",
        "id": "about-dora",
        "code": {"text": "x"},
        "author": to("Patient/dora"),
    }
    related = {"resourceType": "Practitioner", "id": "dora-s", "name": [{"family": "Known"}]}
    hidden["generalPractitioner"] = [to("Practitioner/dora-s")]
    for resource in (related, hidden, basic, an_observation("dora", id="od", code=coded("9-9"))):
        (await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)).raise_for_status()
    addresses = (
        "/Basic?author:Patient.name=hiddenson",
        "/Practitioner?_has:Patient:general-practitioner:name=hiddenson",
        "/Patient?_has:Observation:patient:code=9-9",
    )
    async with server.as_("user/*.rs", user="Practitioner/7", purpose="TREAT") as doctor:
        before = [await found(doctor, address) for address in addresses]
        (
            await client.put("/Consent/dora", json=a_consent("dora", "dora", {"type": "deny"}))
        ).raise_for_status()
        after = [await found(doctor, address) for address in addresses]
        totals = [(await doctor.get(f"{address}&_summary=count")).json()["total"] for address in addresses]
    assert before == [{"about-dora"}, {"dora-s"}, {"dora"}]
    assert after == [set(), set(), set()]
    assert totals == [0, 0, 0]


async def test_who_was_asked_about_is_in_the_record(client: httpx.AsyncClient, server: Server) -> None:
    await client.get("/Observation?patient._id=nobody-yet")
    events = (await client.get("/AuditEvent?patient=Patient/nobody-yet")).json()
    assert len(events["entry"]) == 1


async def test_events_are_asked_along_references_too(client: httpx.AsyncClient) -> None:
    await client.get("/Encounter/ea")
    assert await found(client, "/Encounter?_has:AuditEvent:entity:action=R") == {"ea"}
    assert "ann" in await found(client, "/Patient?_has:AuditEvent:patient:action=R")
    assert "ann" in await found(client, "/Patient?_has:AuditEvent:entity:action=R,C,U,E")
    assert "ann" in await found(client, "/Patient?_has:Encounter:patient:_has:AuditEvent:entity:action=R")
    events = (await client.get("/AuditEvent?patient.name=peters&action=R")).json()
    assert events["entry"]


async def test_the_smaller_side_is_joined_and_two_large_ones_are_refused(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, join_matches_max=5) as server,
        server.as_() as client,
    ):
        for n in range(8):
            await client.put(
                f"/Patient/p{n}", json=a_patient(id=f"p{n}", gender="male" if n < 3 else "female")
            )
            for kind in ("a", "b" if n else "c"):
                observation = an_observation(f"p{n}", id=f"{kind}{n}", code=coded(kind))
                await client.put(f"/Observation/{kind}{n}", json=observation)
        few_targets = await found(client, "/Observation?patient.gender=male&code=a")
        few_matches = await found(client, "/Observation?patient.gender=female&code=a&patient=p3,p0")
        few_sources = await found(client, "/Patient?_has:Observation:patient:code=c")
        few_patients = await found(client, "/Patient?_has:Observation:patient:code=b&gender=male")
        both = [
            await client.get("/Observation?patient.active:missing=true&code=a&_total=accurate"),
            await client.get("/Patient?_has:Observation:patient:code=a&_sort=name"),
        ]
    assert few_targets == {"a0", "a1", "a2"}
    assert few_matches == {"a3"}
    assert few_sources == {"p0"}
    assert few_patients == {"p1", "p2"}
    assert [answer.status_code for answer in both] == [403, 403]
    assert issues_of(both[0])[0]["code"] == "too-costly"


async def test_criteria_of_a_conditional_interaction_are_of_one_resource(client: httpx.AsyncClient) -> None:
    for criteria in ("patient.name=peters", "_has:Observation:has-member:code=1", "_list=chosen"):
        refused = await client.delete(f"/Observation?{criteria}")
        assert refused.status_code == 501, refused.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?_sort=patient.name,code", ["ob1", "oa1", "oa2", "oc1"]),
        ("Observation?_sort=-patient.name,-code", ["oc1", "oa2", "oa1", "ob1"]),
        ("Observation?_sort=subject:Patient.gender,-code", ["oa2", "oa1", "oc1", "ob1"]),
        # What has nobody, and whose end has no value, comes last either way.
        ("Observation?_sort=encounter.service-provider.name,code", ["oa1", "ob1", "oa2", "oc1"]),
        ("Observation?_sort=-encounter.service-provider.name,code", ["oa1", "ob1", "oa2", "oc1"]),
        ("Observation?_sort=patient._id,code", ["oa1", "oa2", "ob1", "oc1"]),
        ("Observation?_sort=performer:Practitioner.family,code", ["oc1", "oa1", "ob1", "oa2"]),
    ],
)
async def test_an_order_may_be_that_of_what_is_referred_to(
    client: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    ids = "_id=oa1,oa2,ob1,oc1"
    assert await in_order(client, f"/{query}&{ids}") == expected
    address, seen = f"/{query}&{ids}&_count=1", []
    while address:
        page = (await client.get(address)).json()
        seen += [entry["resource"]["id"] for entry in page.get("entry", ())]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert seen == expected


async def test_an_order_tells_nothing_of_what_is_hidden(client: httpx.AsyncClient, server: Server) -> None:
    refused = await client.get("/Observation?_sort=subject.name")
    ambiguous = await client.get("/List?_sort=item.date")
    async with server.as_("system/Observation.rs") as limited:
        unseen = await limited.get("/Observation?_sort=patient.name")
    async with server.as_("patient/*.rs", patient="ann") as confined:
        own = await in_order(confined, "/Observation?_sort=patient.name,code")
        # Nobody else's name is looked at: what has no value comes last, in the order of creation.
        links = await in_order(confined, "/Observation?_sort=has-member:Observation.code,code")
    assert refused.status_code == 200
    assert ambiguous.status_code == 400
    assert unseen.status_code == 403
    assert own == links == ["oa1", "oa2"]


@pytest.mark.parametrize(
    ("sort", "status"),
    [
        ("patient.nonsense", 400),
        ("patient:Organization.name", 400),
        ("code.name", 400),
        ("_has:Observation:has-member:code", 400),
        (".".join(["has-member"] * 6) + ".code", 403),
    ],
)
async def test_an_order_that_leads_nowhere_is_refused(
    client: httpx.AsyncClient, sort: str, status: int
) -> None:
    assert (await client.get(f"/Observation?_sort={sort}")).status_code == status
