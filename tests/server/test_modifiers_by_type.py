"""
Each modifier on each type of parameter and on each parameter of all types: answered, or refused by name.

What is answered is listed with what it finds. Everything that is not listed is 400 or 501, so that a modifier
that is ignored shows.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from tests.conformance.every_parameter.batches import answered, put_all
from tests.server.running import Server, a_patient, an_observation, issues_of

MODIFIERS: Final = (
    *("missing", "exact", "contains", "text", "not", "above", "below", "in", "not-in", "of-type"),
    *(
        "identifier",
        "Patient",
        "Group",
        "iterate",
        "recurse",
        "nonsense",
        "Missing",
        "exact:missing",
        "",
        "$ne",
    ),
)

MR: Final = {"system": "urn:t", "code": "MR"}
CODED: Final = {"coding": [{"system": "urn:c", "code": "c", "display": "Heart rate"}], "text": "Pulse"}
RISK: Final = {"resourceType": "RiskAssessment", "status": "final", "subject": {"display": "x"}}
RESOURCES: Final[list[dict[str, Any]]] = [
    a_patient(
        id="p1",
        active=True,
        gender="male",
        birthDate="1970-03-30",
        name=[{"family": "Ann"}],
        identifier=[{"system": "urn:x", "value": "7", "type": {"coding": [MR], "text": "Record"}}],
        meta={
            "tag": [{"system": "urn:g", "code": "g", "display": "Green"}],
            "security": [{"system": "urn:s", "code": "s", "display": "Secret"}],
            "profile": ["http://e.example/p/one"],
            "source": "http://e.example/s/one",
        },
    ),
    a_patient(id="p2", name=[{"family": "Anna"}]),
    a_patient(id="p3", name=[{"family": "Joann"}], gender="female", active=False),
    an_observation("p1", id="o1", code=CODED, valueQuantity={"value": 5}),
    an_observation("p2", id="o2", subject={"identifier": {"system": "urn:x", "value": "9"}}),
    an_observation("p3", id="o3", subject={"reference": "Group/p1"}),
    {**RISK, "id": "r1", "prediction": [{"probabilityDecimal": 0.5}]},
    {**RISK, "id": "r2"},
    {"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://e.example/v"},
    {"resourceType": "ValueSet", "id": "v2", "status": "draft", "url": "http://e.example/v/w"},
    {"resourceType": "ValueSet", "id": "v3", "status": "draft"},
    {"resourceType": "QuestionnaireResponse", "id": "q1", "status": "completed", "questionnaire": "http://e.example/q|1"},
    {"resourceType": "QuestionnaireResponse", "id": "q2", "status": "completed"},
    {"resourceType": "Location", "id": "l1", "position": {"latitude": 1, "longitude": 2}},
    {"resourceType": "Location", "id": "l2"},
]  # fmt: skip

VALUES: Final[Mapping[str, str]] = {
    "Patient?family": "ann",
    "Patient?identifier": "urn:x|7",
    "Patient?gender": "male",
    "Patient?active": "true",
    "Observation?code": "urn:c|c",
    "Observation?subject": "p1",
    "Observation?code-value-quantity": "c$5",
    "Observation?value-quantity": "5",
    "QuestionnaireResponse?questionnaire": "http://e.example/q",
    "Patient?birthdate": "1970",
    "RiskAssessment?probability": "0.5",
    "ValueSet?url": "http://e.example/v",
    "Location?near": "1|2",
    "Patient?_id": "p1",
    "Patient?_lastUpdated": "gt2001",
    "Patient?_tag": "urn:g|g",
    "Patient?_security": "urn:s|s",
    "Patient?_profile": "http://e.example/p/one",
    "Patient?_source": "http://e.example/s/one",
    "Patient?_text": "a",
    "Patient?_content": "a",
    "Patient?_list": "a",
    "Patient?_query": "a",
    "Patient?_filter": "family eq ann",
}
"""One parameter of each type, of token and reference those that differ, and those of all types."""

MISSING: Final[Mapping[str, str]] = {
    "Patient?family": "",
    "Patient?identifier": "p2 p3",
    "Patient?gender": "p2",
    "Patient?active": "p2",
    "Observation?code": "",
    "Observation?subject": "",
    "Observation?code-value-quantity": "o2 o3",
    "Observation?value-quantity": "o2 o3",
    "QuestionnaireResponse?questionnaire": "q2",
    "Patient?birthdate": "p2 p3",
    "RiskAssessment?probability": "r2",
    "ValueSet?url": "v3",
    "Location?near": "l2",
    "Patient?_id": "",
    "Patient?_lastUpdated": "",
    "Patient?_tag": "p2 p3",
    "Patient?_security": "p2 p3",
    "Patient?_profile": "p2 p3",
    "Patient?_source": "p2 p3",
}

ANSWERED: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("Patient?family", "exact"): ("Ann", "p1"),
    ("Patient?family", "contains"): ("ann", "p1 p2 p3"),
    ("Patient?identifier", "text"): ("rec", "p1"),
    ("Patient?identifier", "not"): ("urn:x|7", "p2 p3"),
    ("Patient?identifier", "of-type"): ("urn:t|MR|7", "p1"),
    ("Patient?gender", "not"): ("male", "p2 p3"),
    ("Patient?gender", "above"): ("male", "p1"),
    ("Patient?gender", "below"): ("male", "p1"),
    ("Patient?gender", "in"): ("http://hl7.org/fhir/ValueSet/administrative-gender", "p1 p3"),
    ("Patient?gender", "not-in"): ("http://hl7.org/fhir/ValueSet/administrative-gender", "p2"),
    ("Patient?active", "not"): ("true", "p2 p3"),
    ("Observation?code", "text"): ("pul", "o1"),
    ("Observation?code", "not"): ("urn:c|c", "o2 o3"),
    ("Observation?subject", "identifier"): ("urn:x|9", "o2"),
    ("Observation?subject", "Patient"): ("p1", "o1"),
    ("Observation?subject", "Group"): ("p1", "o3"),
    ("QuestionnaireResponse?questionnaire", "below"): ("http://e.example/q|1", "q1"),
    ("ValueSet?url", "below"): ("http://e.example/v", "v1 v2"),
    ("ValueSet?url", "above"): ("http://e.example/v/w", "v1 v2"),
    ("Patient?_id", "not"): ("p1", "p2 p3"),
    ("Patient?_tag", "text"): ("gree", "p1"),
    ("Patient?_tag", "not"): ("urn:g|g", "p2 p3"),
    ("Patient?_security", "text"): ("secr", "p1"),
    ("Patient?_security", "not"): ("urn:s|s", "p2 p3"),
    ("Patient?_profile", "below"): ("http://e.example/p", "p1"),
    ("Patient?_profile", "above"): ("http://e.example/p/one/two", "p1"),
    ("Patient?_source", "below"): ("http://e.example/s", "p1"),
    ("Patient?_source", "above"): ("http://e.example/s/one/two", "p1"),
}

RESULTS: Final[Mapping[str, str]] = {
    "_contained": "false",
    "_containedType": "container",
    "_count": "1",
    "_elements": "id",
    "_format": "json",
    "_include": "Observation:subject",
    "_pretty": "true",
    "_revinclude": "Provenance:target",
    "_score": "true",
    "_sort": "code",
    "_summary": "true",
    "_total": "none",
    "_type": "Observation",
}
ITERATED: Final = ("_include", "_revinclude")


async def test_each_modifier_is_answered_or_refused_by_name(server: Server) -> None:
    asked = list(itertools.product(VALUES, MODIFIERS))
    async with server.as_() as client:
        await put_all(client, RESOURCES)
        queries = [_query(parameter, modifier) for parameter, modifier in asked]
        found = await answered(client, queries)
    wrong = [
        f"{query}: {got}"
        for (parameter, modifier), query, got in zip(asked, queries, found, strict=True)
        if not _is_right(parameter, modifier, got)
    ]
    assert wrong == []


async def test_missing_is_the_opposite_of_being_there(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, RESOURCES)
        found = await answered(client, [f"{parameter}:missing=false" for parameter in MISSING])
    for (parameter, missing), got in zip(MISSING.items(), found, strict=True):
        of_type = parameter.partition("?")[0]
        all_ids = frozenset(one["id"] for one in RESOURCES if one["resourceType"] == of_type)
        assert got == all_ids - set(missing.split()), parameter


async def test_parameters_of_the_result_have_no_modifiers(server: Server) -> None:
    async with server.as_() as client:
        for (name, value), modifier in itertools.product(RESULTS.items(), MODIFIERS):
            answer = await client.get(f"/Observation?{name}:{quote(modifier)}={value}")
            if modifier == "iterate" and name in ITERATED:
                continue
            assert answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.NOT_IMPLEMENTED), answer.url
            assert name in issues_of(answer)[0]["diagnostics"]


async def test_a_named_query_is_refused_by_name(server: Server) -> None:
    async with server.as_() as client:
        for address in ("/Patient?_query=everybody", "/?_query=everybody", "/Patient?_query=a&family=b"):
            answer = await client.get(address)
            assert answer.status_code == httpx.codes.NOT_IMPLEMENTED
            assert "`_query`" in issues_of(answer)[0]["diagnostics"]
        lenient = await client.get("/Patient?_query=a", headers={"Prefer": "handling=lenient"})
        assert lenient.status_code == httpx.codes.OK
        told = [entry["resource"] for entry in lenient.json()["entry"]]
        assert "_query" in told[-1]["issue"][0]["diagnostics"]
        assert "_query" not in lenient.json()["link"][0]["url"]


def _query(parameter: str, modifier: str) -> str:
    value, _ = _answer(parameter, modifier) or (VALUES[parameter], "")
    return f"{parameter}:{quote(modifier)}={quote(value)}"


def _answer(parameter: str, modifier: str) -> tuple[str, str] | None:
    if modifier == "missing" and parameter in MISSING:
        return "true", MISSING[parameter]
    return ANSWERED.get((parameter, modifier))


def _is_right(parameter: str, modifier: str, got: frozenset[str] | str) -> bool:
    answer = _answer(parameter, modifier)
    if answer is not None:
        return got == frozenset(answer[1].split())
    return (
        isinstance(got, str) and got.startswith(("400", "501")) and f"`{parameter.partition('?')[2]}" in got
    )
