"""Chains and `_has` along canonical URLs: https://hl7.org/fhir/R4/references.html#canonical"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.server.holding import holding
from tests.server.running import Server, a_patient, issues_of
from tests.server.test_includes_canonical import URL, a_questionnaire, a_response
from tests.server.ward import found, to

MEASURE: Final = "http://example.org/Measure/m"


def a_report(id: str, canonical: str) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "id": id,
        "status": "complete",
        "type": "summary",
        "measure": canonical,
        "period": {"start": "2024"},
    }


def a_measure(id: str, **stated: Any) -> dict[str, Any]:
    return {"resourceType": "Measure", "id": id, "url": MEASURE, "status": "active", **stated}


SHELF: Final[Sequence[dict[str, Any]]] = (
    a_patient(id="p"),
    a_questionnaire("q1", "1.0", publisher="North", title="Pain"),
    a_questionnaire("q2", "2.0", publisher="South", title="Pain, newer"),
    a_questionnaire("other", "1.0", url="http://example.org/a|b", publisher="South"),
    {**a_response("any", URL), "subject": to("Patient/p")},
    a_response("first", f"{URL}|1.0"),
    a_response("second", f"{URL}|2.0"),
    a_response("none", f"{URL}|3.0"),
    {
        **a_response("inside", "#q"),
        "contained": [
            {"resourceType": "Questionnaire", "id": "q", "status": "active", "publisher": "Inside"}
        ],
    },
    a_measure("m1", title="Early", version="1"),
    a_measure("m2", title="Late"),
    # It has the same URL, and is no Measure.
    {"resourceType": "Library", "id": "l", "url": MEASURE, "status": "draft", "type": {"text": "x"}},
    a_report("r1", f"{MEASURE}|1"),
    a_report("r2", MEASURE),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file."""
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), SHELF) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.as_() as client:
        yield client


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("QuestionnaireResponse?questionnaire.publisher=north", {"any", "first"}),
        ("QuestionnaireResponse?questionnaire.publisher=south", {"any", "second"}),
        ("QuestionnaireResponse?questionnaire:Questionnaire.version=3.0", set()),
        ("QuestionnaireResponse?questionnaire.publisher=inside", {"inside"}),
        ("QuestionnaireResponse?questionnaire.publisher=north&subject.gender:missing=true", {"any"}),
        ("QuestionnaireResponse?_filter=questionnaire.title eq pain", {"any", "first"}),
        ("MeasureReport?measure.title=early", {"r1", "r2"}),
        ("MeasureReport?measure.title=late", {"r2"}),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=first", {"q1"}),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=any", {"q1", "q2"}),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=none", set()),
        ("Questionnaire?_has:QuestionnaireResponse:questionnaire:patient=p", {"q1", "q2"}),
        ("?_type=Measure,Library&_has:MeasureReport:measure:_id=r2", {"m1", "m2"}),
        (
            "QuestionnaireResponse?questionnaire._has:QuestionnaireResponse:questionnaire:_id=first",
            {"any", "first"},
        ),
    ],
)
async def test_a_canonical_leads_to_what_has_its_url(
    client: httpx.AsyncClient, address: str, expected: set[str]
) -> None:
    assert await found(client, f"/{address}") == expected


async def test_a_chain_asks_only_of_what_the_caller_may_see(server: Server) -> None:
    async with server.as_("system/QuestionnaireResponse.rs") as confined:
        assert (await confined.get("/QuestionnaireResponse?questionnaire.publisher=north")).status_code == 403
    async with server.as_("system/Questionnaire.rs") as confined:
        asked = await confined.get("/Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed")
        assert asked.status_code == 403


async def test_what_a_url_cannot_lead_to_is_refused(client: httpx.AsyncClient) -> None:
    for address in (
        "QuestionnaireResponse?questionnaire:Patient.name=x",
        "QuestionnaireResponse?questionnaire.family=x",
        "Patient?_has:QuestionnaireResponse:questionnaire:status=completed",
        "PlanDefinition?depends-on:Patient.name=x",
    ):
        assert (await client.get(f"/{address}")).status_code == 400, address


async def test_a_canonical_is_no_key_of_an_order(client: httpx.AsyncClient) -> None:
    answer = await client.get("/QuestionnaireResponse?_sort=questionnaire.title")
    assert answer.status_code == 501
    assert "canonical" in issues_of(answer)[0]["diagnostics"]
