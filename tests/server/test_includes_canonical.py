"""`_include` along canonical URLs: https://hl7.org/fhir/R4/references.html#canonical"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.server.running import Server, issues_of
from tests.server.ward import keys_of, put_all

URL: Final = "http://example.org/Questionnaire/pain"


def a_questionnaire(id: str, version: str, url: str = URL, **stated: Any) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": id,
        "url": url,
        "version": version,
        "status": "active",
        **stated,
    }


def a_response(id: str, canonical: str) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id,
        "status": "completed",
        "questionnaire": canonical,
    }


LIBRARY: Final = {
    "resourceType": "Library",
    "id": "l",
    "url": "http://example.org/Library/l",
    "version": "1",
    "status": "active",
    "type": {"text": "x"},
}
SHELF: Final = (
    a_questionnaire("q1", "1.0"),
    a_questionnaire("q2", "2.0"),
    a_questionnaire("odd", "1", url="http://example.org/a,b$c"),
    a_response("any", URL),
    a_response("first", f"{URL}|1.0"),
    a_response("none", f"{URL}|3.0"),
    a_response("odd", "http://example.org/a,b$c|1"),
    a_response("elsewhere", "http://elsewhere.example/x"),
    LIBRARY,
    {
        "resourceType": "PlanDefinition",
        "id": "p",
        "status": "active",
        "library": ["http://example.org/Library/l|1"],
        "action": [{"definitionCanonical": f"{URL}|2.0"}],
    },
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("QuestionnaireResponse?_id=any&_include=QuestionnaireResponse:questionnaire", "q1 q2"),
        ("QuestionnaireResponse?_id=first&_include=QuestionnaireResponse:questionnaire", "q1"),
        ("QuestionnaireResponse?_id=none&_include=QuestionnaireResponse:questionnaire", ""),
        ("QuestionnaireResponse?_id=odd&_include=QuestionnaireResponse:questionnaire", "odd"),
        ("QuestionnaireResponse?_id=elsewhere&_include=QuestionnaireResponse:questionnaire", ""),
        ("QuestionnaireResponse?_id=first&_include=QuestionnaireResponse:questionnaire:Questionnaire", "q1"),
        ("QuestionnaireResponse?_id=first&_include=*", "q1"),
        ("QuestionnaireResponse?_id=first,none,elsewhere&_include=QuestionnaireResponse:*", "q1"),
        ("PlanDefinition?_include=PlanDefinition:definition", "q2"),
        ("PlanDefinition?_include=PlanDefinition:depends-on:Library", "l"),
    ],
)
async def test_what_a_canonical_names_is_included(server: Server, query: str, expected: str) -> None:
    async with server.as_() as client:
        await put_all(client, SHELF)
        found = keys_of(await client.get(f"/{query}"), "include")
    assert sorted(key.partition("/")[2] for key in found) == expected.split()


async def test_it_needs_the_scope_of_what_it_includes(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, SHELF)
    async with server.as_("system/QuestionnaireResponse.rs") as client:
        answer = await client.get("/QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire")
    assert len(keys_of(answer, "match")) == 5
    assert keys_of(answer, "include") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Questionnaire?_id=q1&_revinclude=QuestionnaireResponse:questionnaire", "any first"),
        ("Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:questionnaire", "any"),
        ("Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:*", "any"),
        ("Questionnaire?_id=q2&_revinclude=*", "any p"),
        ("Questionnaire?_id=odd&_revinclude=QuestionnaireResponse:questionnaire:Questionnaire", "odd"),
        ("Library?_id=l&_revinclude=PlanDefinition:depends-on", "p"),
        ("PlanDefinition?_id=p&_revinclude=*", ""),
        (
            "QuestionnaireResponse?_id=first&_include=*&_revinclude:iterate=QuestionnaireResponse:questionnaire",
            "any q1",
        ),
    ],
)
async def test_it_is_followed_backwards(server: Server, query: str, expected: str) -> None:
    async with server.as_() as client:
        await put_all(client, SHELF)
        answer = await client.get(f"/{query}")
    assert sorted(key.partition("/")[2] for key in keys_of(answer, "include")) == expected.split()


async def test_nothing_that_a_url_cannot_lead_to_is_asked_for(server: Server) -> None:
    async with server.as_() as client:
        answer = await client.get("/Patient?_revinclude=QuestionnaireResponse:questionnaire")
    assert answer.status_code == 400
    assert "leads to nothing" in issues_of(answer)[0]["diagnostics"]
