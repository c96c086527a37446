"""`_filter` over HTTP: https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation, issues_of
from tests.server.ward import Resource, coded, found, to


def named(*names: str) -> list[dict[str, Any]]:
    return [{"text": name} for name in names]


MEMBERS: Final = [to("Observation/o1"), to("Observation/o2")]
FIVE_MG: Final = {"value": 5, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
SPRING: Final = {"start": "2020-01", "end": "2020-06"}
CHARACTERISTICS: Final = [
    {"code": coded(code), "valueCodeableConcept": coded(value), "exclude": False}
    for code, value in (("a", "x"), ("b", "y"))
]


def a(kind: str, /, id: str, **stated: Any) -> Resource:
    return {"resourceType": kind, "id": id, **stated}


WARD: Final[Sequence[Resource]] = (
    a_patient(id="ann", name=named("Ann"), gender="female", birthDate="1970-05-01"),
    a_patient(id="anna", name=named("Anna Maria", "Nelly"), gender="female", birthDate="1980-05"),
    a_patient(id="bert", name=named("Bërt"), gender="male", birthDate="1990", deceasedBoolean=True),
    a("Patient", "nobody"),
    an_observation("ann", id="o1", code=coded("1-1"), effectiveDateTime="2020-05-05"),
    an_observation("anna", id="o2", code=coded("2-2"), effectivePeriod=SPRING),
    an_observation("bert", id="o3", code=coded("1-1", system="http://other.example"), valueQuantity=FIVE_MG),
    an_observation("nobody", id="o4", code=coded("1-1"), hasMember=MEMBERS),
    a("Group", "g1", type="person", actual=True, characteristic=CHARACTERISTICS),
    a(
        "DocumentReference",
        "d1",
        status="current",
        content=[{"attachment": {"title": "t"}}],
        relatesTo=[{"code": "appends", "target": to("DocumentReference/d0")}],
    ),
    a("Library", "l1", status="active", type=coded("m"), url="http://a.example/l/1"),
    a("Questionnaire", "q1", status="active", title="x" * 300 + " The End"),
    a(
        "RiskAssessment",
        "r1",
        status="final",
        subject=to("Patient/ann"),
        prediction=[{"probabilityDecimal": 0.8}],
    ),
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


async def filtered(client: httpx.AsyncClient, type: str, filter: str) -> set[str]:
    return await found(client, f"/{type}?_filter={quote(filter)}&_count=1000")


PATIENTS = {"ann", "anna", "bert", "nobody"}


@pytest.mark.parametrize(
    ("type", "filter", "expected"),
    [
        ("Patient", 'name co "nn"', {"ann", "anna"}),
        ("Patient", "name eq ann", {"ann"}),
        ("Patient", 'name eq "ANNA maria"', {"anna"}),
        ("Patient", "name eq bert", {"bert"}),
        ("Patient", "name sw ann", {"ann", "anna"}),
        ("Patient", "name ew maria", {"anna"}),
        ("Patient", "name ew nn", {"ann"}),
        ("Patient", "name ne ann", {"anna", "bert"}),
        ("Patient", "name ne nelly", {"ann", "anna", "bert"}),
        ("Patient", "name gt ann", {"anna", "bert"}),
        ("Patient", "name ge ann", {"ann", "anna", "bert"}),
        ("Patient", 'name lt "anna maria"', {"ann"}),
        ("Patient", "name le ann", {"ann"}),
        ("Patient", "name gt bert", {"anna"}),
        ("Patient", "name pr true", {"ann", "anna", "bert"}),
        ("Patient", "name pr false", {"nobody"}),
        ("Patient", "birthdate eq 1980-05", {"anna"}),
        ("Patient", "birthdate ge 1980", {"anna", "bert"}),
        ("Patient", "birthdate lt 1980-05", {"ann"}),
        ("Patient", "birthdate ne 1980-05", {"ann", "bert"}),
        ("Patient", "birthdate po 1980-05-03", {"anna"}),
        ("Patient", "birthdate co 1980-05-03", {"anna"}),
        ("Patient", "birthdate co 1980", set()),
        ("Patient", "gender eq female and birthdate ge 1975", {"anna"}),
        ("Patient", "gender ne female", {"bert"}),
        ("Patient", "not (gender eq female)", {"bert", "nobody"}),
        ("Patient", "gender eq male or gender eq female and birthdate lt 1975", {"ann"}),
        ("Patient", "gender eq male or (gender eq female and birthdate lt 1975)", {"ann", "bert"}),
        ("Patient", "deceased eq true", {"bert"}),
        ("Patient", "_id eq ann or _id eq bert", {"ann", "bert"}),
        ("Patient", "_id ne ann", PATIENTS - {"ann"}),
        ("Patient", "_lastUpdated gt 2020", PATIENTS),
        ("Patient", "_lastUpdated pr false", set()),
        ("Observation", "code eq http://loinc.org|1-1", {"o1", "o4"}),
        ("Observation", "code eq loinc|1-1", {"o1", "o4"}),
        ("Observation", "code eq 1-1", {"o1", "o3", "o4"}),
        ("Observation", "code ne loinc|1-1", {"o2", "o3"}),
        ("Observation", "date po 2020-05", {"o1", "o2"}),
        ("Observation", "date sa 2020-04", {"o1"}),
        ("Observation", "value-quantity gt 4|ucum|mg", {"o3"}),
        ("Observation", "value-quantity eq 5||mg", {"o3"}),
        ("Observation", "value-quantity lt 5", set()),
        ("Observation", "subject re Patient/ann", {"o1"}),
        ("Observation", "subject re ann", {"o1"}),
        ("Observation", 'subject.name co "nn"', {"o1", "o2"}),
        ("Observation", "subject.name pr true", {"o1", "o2", "o3"}),
        ("Observation", "subject.name pr false", {"o4"}),
        ("Observation", "patient[gender eq male].birthdate ge 1980", {"o3"}),
        ("Observation", "has-member[code eq loinc|2-2].subject re Patient/anna", {"o4"}),
        ("Observation", "has-member.subject.name sw ann", {"o4"}),
        ("Observation", "not (subject.gender eq female)", {"o3", "o4"}),
        ("Observation", "code eq loinc|1-1 and not (subject.gender pr true)", {"o4"}),
        ("Group", "characteristic[code eq loinc|a].value eq loinc|x", {"g1"}),
        ("Group", "characteristic[code eq loinc|a].value eq loinc|y", set()),
        ("DocumentReference", "relatesTo[code eq appends].target re DocumentReference/d0", {"d1"}),
        ("DocumentReference", "relatesTo[code eq replaces].target re DocumentReference/d0", set()),
        ("Library", "url eq http://a.example/l/1", {"l1"}),
        ("Library", "url sw http://a.example/l", {"l1"}),
        ("Library", "url ne http://a.example/l/1", set()),
        ("Questionnaire", 'title ew "the end"', {"q1"}),
        ("Questionnaire", "title co xxx", {"q1"}),
        ("RiskAssessment", "probability gt 0.5", {"r1"}),
        ("RiskAssessment", "probability eq 0.8", {"r1"}),
    ],
)
async def test_a_filter_finds(client: httpx.AsyncClient, type: str, filter: str, expected: set[str]) -> None:
    assert await filtered(client, type, filter) & {one["id"] for one in WARD} == expected


@pytest.mark.parametrize(
    ("type", "filter", "status"),
    [
        ("Patient", "name", 400),
        ("Patient", "colour eq red", 400),
        ("Patient", "name sa ann", 400),
        ("Patient", "gender gt male", 400),
        ("Patient", "birthdate sw 1980", 400),
        ("Patient", "birthdate eq yesterday", 400),
        ("Patient", "name pr maybe", 400),
        ("Observation", "subject eq Patient/ann", 400),
        ("Observation", "subject.colour eq red", 400),
        ("Observation", "subject[colour eq red].name eq a", 400),
        ("Observation", "related[type eq has-component].target re Observation/4", 400),
        ("Observation", "code-value-quantity eq 1", 400),
        ("Group", "characteristic[code eq a].code eq x", 400),
        ("RiskAssessment", "probability co 1", 400),
        ("Patient", ".".join(["link"] * 7) + ".name eq a", 403),
        ("Patient", " or ".join(["link.name eq a"] * 11), 403),
        ("Patient", " or ".join(["name eq a"] * 51), 403),
        ("Patient", "name eq " + "a" * 2_001, 413),
    ],
)
async def test_what_a_filter_cannot_ask_is_refused(
    client: httpx.AsyncClient, type: str, filter: str, status: int
) -> None:
    refused = await client.get(f"/{type}", params={"_filter": filter})
    assert refused.status_code == status, refused.text
    assert "ann" not in issues_of(refused)[0]["diagnostics"].replace("cannot", "")


async def test_a_filter_is_a_criterion_beside_others(client: httpx.AsyncClient) -> None:
    query = {"_filter": "gender eq female", "birthdate": "ge1975", "_count": "1000"}
    answer = (await client.get("/Patient", params=query)).json()
    assert {entry["resource"]["id"] for entry in answer["entry"]} & PATIENTS == {"anna"}
    assert "_filter=gender%20eq%20female" in answer["link"][0]["url"].replace("+", "%20")


async def test_a_filter_has_no_modifier_and_is_no_end_of_a_chain(client: httpx.AsyncClient) -> None:
    for address in ("/Patient?_filter:not=name eq a", "/Observation?patient._filter=name eq a"):
        assert (await client.get(address)).status_code in (400, 501)


async def test_a_filter_asks_only_of_what_the_caller_may_see(
    client: httpx.AsyncClient, server: Server
) -> None:
    async with server.as_("patient/*.rs", patient="ann") as confined:
        assert await filtered(confined, "Observation", 'subject.name co "nn"') == {"o1"}
        assert await filtered(confined, "Patient", "name pr true") == {"ann"}
    async with server.as_("system/Observation.rs") as limited:
        refused = await limited.get("/Observation", params={"_filter": "subject.name eq ann"})
    assert refused.status_code == 403
