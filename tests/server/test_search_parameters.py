"""Search parameters of one's own: what they find, when they answer, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from tests.server.declaring import (
    a_parameter,
    complete,
    declare,
    declared,
    ended,
    ids,
    put,
    status,
)
from tests.server.running import Server, a_patient, an_observation, issues_of, serving

COLOUR = "http://example.org/fhir/StructureDefinition/colour"
MARRIAGE = a_parameter("marriage", "token", "Patient.maritalStatus")
MARRIED = {"maritalStatus": {"coding": [{"system": "http://m.example", "code": "M"}]}}


async def test_what_was_there_and_what_comes_is_found(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(**MARRIED), "before")
        await put(client, a_patient(), "without")
        await declared(client, MARRIAGE)
        await put(client, a_patient(**MARRIED), "after")
        assert await ids(client, "Patient?marriage=M") == ["before", "after"]
        assert await ids(client, "Patient?marriage=http://m.example|M") == ["before", "after"]
        assert await ids(client, "Patient?marriage:missing=true") == ["without"]
        assert await ids(client, "Patient?marriage:not=M") == ["without"]


def _coloured(**value: Any) -> dict[str, Any]:
    return a_patient(extension=[{"url": COLOUR, **value}])


_VALUE = f"Patient.extension('{COLOUR}').value"
_A_CODE = {"coding": [{"system": "http://c.example", "code": "x"}]}


@pytest.mark.parametrize(
    ("type", "expression", "found", "other", "value"),
    [
        ("token", _VALUE, _coloured(valueCode="red"), _coloured(valueCode="blue"), "red"),
        ("token", "Patient.extension", _coloured(valueBoolean=True), _coloured(valueBoolean=False), "true"),
        ("string", _VALUE, _coloured(valueString="Rötlich"), _coloured(valueString="blau"), "rot"),
        ("string", "Patient.contact.name", a_patient(contact=[{"name": {"family": "Ng"}}]),
         a_patient(contact=[{"name": {"family": "Li"}}]), "ng"),
        ("date", f"{_VALUE}.ofType(dateTime)", _coloured(valueDateTime="2024-05-01T10:00:00Z"),
         _coloured(valueDateTime="2023-05-01T10:00:00Z"), "ge2024"),
        ("date", f"({_VALUE} as Period)", _coloured(valuePeriod={"start": "2024-05-01"}),
         _coloured(valuePeriod={"end": "2023-05-01"}), "gt2024-06"),
        ("number", _VALUE, _coloured(valueDecimal=1.5), _coloured(valueDecimal=2.5), "lt2"),
        ("number", "Patient.multipleBirth.ofType(integer)", a_patient(multipleBirthInteger=2),
         a_patient(multipleBirthInteger=1), "2"),
        ("quantity", _VALUE, _coloured(valueQuantity={"value": 5, "unit": "mg"}),
         _coloured(valueQuantity={"value": 6, "unit": "mg"}), "5||mg"),
        ("uri", _VALUE, _coloured(valueUri="http://a.example/1"), _coloured(valueUri="http://a.example/2"),
         "http://a.example/1"),
        ("reference", "Patient.contact.organization",
         a_patient(contact=[{"organization": {"reference": "Organization/1"}}]),
         a_patient(contact=[{"organization": {"reference": "Organization/2"}}]), "Organization/1"),
        ("reference", _VALUE, _coloured(valueReference={"reference": "Group/1"}),
         _coloured(valueString="Group/1"), "Group/1"),
    ],
)  # fmt: skip
async def test_each_type_finds_what_it_should_and_nothing_else(
    server: Server, type: str, expression: str, found: dict[str, Any], other: dict[str, Any], value: str
) -> None:
    async with server.as_() as client:
        await put(client, found, "before")
        await put(client, other, "other")
        await declared(client, a_parameter("ours", type, expression))
        await put(client, found, "after")
        await put(client, other, "another")
        await put(client, a_patient(), "nothing")
        assert await ids(client, f"Patient?ours={value}") == ["before", "after"]
        assert await ids(client, "Patient?ours:missing=true") == [
            *(["other", "another"] if "valueString" in str(other) and type == "reference" else []),
            "nothing",
        ]


async def test_a_composite_joins_the_parts_of_one_element(server: Server) -> None:
    def reaction(*pairs: tuple[str, str]) -> dict[str, Any]:
        reactions = [
            {"substance": {"coding": [{"code": substance}]}, "manifestation": [{"text": "x"}], "onset": onset}
            for substance, onset in pairs
        ]
        return {
            "resourceType": "AllergyIntolerance",
            "patient": {"reference": "Patient/1"},
            "clinicalStatus": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                        "code": "active",
                    }
                ]
            },
            "reaction": reactions,
        }

    base = "http://hl7.org/fhir/SearchParameter/"
    ours = a_parameter(
        "substance-onset",
        "composite",
        "AllergyIntolerance.reaction",
        "AllergyIntolerance",
        component=[
            {"definition": f"{base}clinical-code", "expression": "substance"},
            {"definition": f"{base}AllergyIntolerance-onset", "expression": "onset"},
        ],
    )
    async with server.as_() as client:
        await put(client, reaction(("a", "2024-01-01"), ("b", "2020-01-01")), "one")
        await put(client, reaction(("b", "2024-01-01"), ("a", "2020-01-01")), "two")
        response = await client.post("SearchParameter", json=ours)
        assert response.status_code == 201
        await ended(client)
        assert await ids(client, "AllergyIntolerance?substance-onset=a$ge2024") == ["one"]
        assert await ids(client, "AllergyIntolerance?substance-onset=b$ge2024") == ["two"]


async def test_it_can_be_sorted_by_included_chained_and_asked_backwards(server: Server) -> None:
    ours = a_parameter("contact-organization", "reference", "Patient.contact.organization")
    born = a_parameter("order", "number", "Patient.multipleBirth.ofType(integer)")
    async with server.as_() as client:
        await put(client, {"resourceType": "Organization", "name": "Acme"}, "acme")
        contact = {"contact": [{"organization": {"reference": "Organization/acme"}}]}
        await put(client, a_patient(multipleBirthInteger=2, **contact), "second")
        await put(client, a_patient(multipleBirthInteger=1, **contact), "first")
        await put(client, a_patient(multipleBirthInteger=3), "third")
        await declared(client, ours)
        await declared(client, born)
        assert await ids(client, "Patient?_sort=order") == ["first", "second", "third"]
        assert await ids(client, "Patient?_sort=-order") == ["third", "second", "first"]
        included = await ids(client, "Patient?order=1&_include=Patient:contact-organization")
        assert included == ["first", "acme"]
        backwards = await ids(client, "Organization?_revinclude=Patient:contact-organization")
        assert backwards == ["acme", "second", "first"]


async def test_one_of_all_types_is_answered_in_each_and_across_them(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(language="de"), "german")
        await put(client, an_observation("german", language="de"), "observed")
        await put(client, a_patient(language="fr"), "french")
        ours = a_parameter("spoken", "token", "Resource.language", "Resource")
        response = await client.post("SearchParameter", json=ours)
        assert response.status_code == 201, response.text
        await ended(client)
        assert await ids(client, "Patient?spoken=de") == ["german"]
        assert await ids(client, "?_type=Patient,Observation&spoken=de") == ["german", "observed"]


async def test_until_it_is_complete_a_search_is_refused_and_nothing_else_is(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(**MARRIED), "before")
        id = await declare(client, MARRIAGE)
        refused = await client.get("Patient?marriage=M")
        if refused.status_code != 200:
            assert refused.status_code == 503
            assert "`marriage` is being indexed" in issues_of(refused)[0]["diagnostics"]
            assert (await client.get("Patient?unheard=M")).status_code == 400
            assert (await status(client, id))["status"] in ("building", "active")
        assert await ids(client, "Patient?_id=before") == ["before"]
        await complete(client, MARRIAGE)
        assert await status(client, id) == {"status": "active", "done": 1, "total": 1}


async def test_a_draft_is_judged_and_answers_when_it_becomes_active(server: Server) -> None:
    async with server.as_() as client:
        await put(client, {**MARRIAGE, "status": "draft"}, "ours")
        assert (await client.get("Patient?marriage=M")).status_code == 400
        await put(client, MARRIAGE, "ours")
        await complete(client, MARRIAGE)
        wrong = {**MARRIAGE, "status": "draft", "expression": "Patient.("}
        assert (await client.post("SearchParameter", json=wrong)).status_code == 422


@pytest.mark.parametrize("how", ["delete", "retire", "rename", "patch"])
async def test_what_is_removed_stops_at_once_and_leaves_no_entries(
    server: Server, mongodb_url: str, database_name: str, how: str
) -> None:
    async with server.as_() as client, AsyncMongoClient[Any](mongodb_url) as mongodb:
        await put(client, a_patient(**MARRIED), "one")
        await put(client, MARRIAGE, "ours")
        await complete(client, MARRIAGE)
        resources = mongodb[database_name]["resources"]
        entries = {"tok": {"$regex": r"^Patient\|marriage[|:]"}}
        assert await resources.count_documents(entries) == 1
        if how == "delete":
            assert (await client.delete("SearchParameter/ours")).status_code == 204
        elif how == "retire":
            await put(client, {**MARRIAGE, "status": "retired"}, "ours")
        elif how == "rename":
            await put(client, {**MARRIAGE, "code": "wedding"}, "ours")
        else:
            patch = [{"op": "replace", "path": "/status", "value": "unknown"}]
            headers = {"Content-Type": "application/json-patch+json"}
            assert (
                await client.patch("SearchParameter/ours", json=patch, headers=headers)
            ).status_code == 200
        gone = await client.get("Patient?marriage=M")
        assert gone.status_code == 400, gone.text
        await ended(client)
        assert await resources.count_documents(entries) == 0
        if how == "rename":
            assert await ids(client, "Patient?wedding=M") == ["one"]
        version = (await client.get("Patient/one")).json()["meta"]["versionId"]
        assert version == "1", "reindexing makes no version"


async def test_an_expression_that_changes_is_built_anew(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(language="de", **MARRIED), "one")
        await put(client, MARRIAGE, "ours")
        await complete(client, MARRIAGE)
        changed = {**MARRIAGE, "expression": "Patient.language"}
        await put(client, changed, "ours")
        await complete(client, changed)
        assert await ids(client, "Patient?marriage=de") == ["one"]
        assert await ids(client, "Patient?marriage=M") == []
        # What changes nothing of it is built no second time.
        await put(client, {**changed, "description": "Better words"}, "ours")
        assert await ids(client, "Patient?marriage=de") == ["one"]


async def test_entries_of_bundles_are_indexed_by_it_small_and_large(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, bundle_inline_bytes_max=5_000) as server,
        server.as_() as client,
    ):
        await declared(client, MARRIAGE)
        for kind in ("transaction", "batch"):
            for count in (2, 50):
                entry = {
                    "resource": a_patient(language=f"{kind}-{count}", **MARRIED),
                    "request": {"method": "POST", "url": "Patient"},
                }
                bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry] * count}
                assert (await client.post("", json=bundle)).status_code == 200
        found = await client.get("Patient?marriage=M&_summary=count")
        assert found.json()["total"] == 104
        only = [
            {"resource": MARRIAGE | {"code": "wed"}, "request": {"method": "POST", "url": "SearchParameter"}}
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": only}
        assert (await client.post("", json=bundle)).status_code == 200
        await complete(client, MARRIAGE | {"code": "wed"})
        # The processes that prepare large Bundles have heard of it.
        entry = {"resource": a_patient(**MARRIED), "request": {"method": "POST", "url": "Patient"}}
        large = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 50}
        assert (await client.post("", json=large)).status_code == 200
        found = await client.get("Patient?wed=M&_summary=count")
        assert found.json()["total"] == 154


async def test_conditions_may_use_it(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(**MARRIED), "one")
        await declared(client, MARRIAGE)
        headers = {"If-None-Exist": "marriage=M"}
        response = await client.post("Patient", json=a_patient(), headers=headers)
        assert response.status_code == 200
        assert response.json()["id"] == "one"


async def test_of_two_that_claim_a_code_at_once_one_is_refused(server: Server) -> None:
    async with server.as_() as client:
        answers = await asyncio.gather(
            *(client.put(f"SearchParameter/p{n}", json={**MARRIAGE, "id": f"p{n}"}) for n in range(6))
        )
        assert sorted(answer.status_code for answer in answers) == [201, *[422] * 5]
        refused = next(answer for answer in answers if answer.status_code == 422)
        assert issues_of(refused)[0]["expression"] == ["SearchParameter.code"]
        twice = [
            {
                "resource": MARRIAGE | {"code": "twice"},
                "request": {"method": "POST", "url": "SearchParameter"},
            }
        ] * 2
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": twice}
        assert (await client.post("", json=bundle)).status_code == 422


async def test_the_statement_lists_those_that_answer_with_their_definition(server: Server) -> None:
    def listed(statement: Mapping[str, Any]) -> list[str]:
        [patient] = [one for one in statement["rest"][0]["resource"] if one["type"] == "Patient"]
        return [one["definition"] for one in patient["searchParam"] if one["name"] == "marriage"]

    async with server.as_() as client:
        before = await client.get("metadata")
        id = await declared(client, MARRIAGE)
        after = await client.get("metadata")
        assert (listed(before.json()), listed(after.json())) == ([], [MARRIAGE["url"]])
        assert before.headers["etag"] != after.headers["etag"]
        assert (await client.delete(f"SearchParameter/{id}")).status_code == 204
        assert listed((await client.get("metadata")).json()) == []


async def test_who_may_not_write_search_parameters_declares_none(server: Server) -> None:
    async with server.as_("user/Patient.cruds", user="Practitioner/1") as client:
        assert (await client.post("SearchParameter", json=MARRIAGE)).status_code == 403
    async with server.as_("patient/*.cruds", patient="one") as client:
        assert (await client.post("SearchParameter", json=MARRIAGE)).status_code in (403, 404)


async def test_a_lenient_client_is_told_that_it_was_left_out(server: Server) -> None:
    async with server.as_() as client:
        await put(client, {**MARRIAGE, "status": "retired"}, "ours")
        response = await client.get("Patient?marriage=M", headers={"Prefer": "handling=lenient"})
        assert response.status_code == 200
        assert "marriage" in response.text
