"""Reindexing: who may ask for it, what is told of how far it is, and to whom."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from structlog.testing import capture_logs

from fhir_server.pipeline import reindexing
from fhir_server.store.passes import LEASE
from tests.server.declaring import a_parameter, complete, declare, ended, ids, put, status
from tests.server.running import Server, a_patient, an_observation, issues_of

MARRIAGE = a_parameter("marriage", "token", "Patient.maritalStatus")
MARRIED = {"maritalStatus": {"coding": [{"system": "http://m.example", "code": "M"}]}}


async def test_what_it_is_refused_for_until_it_is_complete_is_that_alone(
    server: Server, mongodb_url: str, database_name: str
) -> None:
    """Wherever it is named; and a bad value of R4's own of that code is a bad value."""
    code = a_parameter("code", "token", "Patient.maritalStatus")
    linked = a_parameter("linked", "reference", "Patient.link.other", target=["Patient"])
    async with server.as_() as client, AsyncMongoClient[Any](mongodb_url) as mongodb:
        await put(client, a_patient(**MARRIED), "one")
        lease = {"owner": "somebody else", "until": datetime(2100, 1, 1, tzinfo=UTC)}
        state = mongodb[database_name]["state"]
        await state.update_one({"_id": LEASE}, {"$set": {"value": lease}}, upsert=True)
        for parameter in (code, linked):
            await declare(client, parameter)
        for question in (
            "Patient?code=M",
            "Patient?_sort=-code",
            "Patient?linked.name=a",
            "Patient?_sort=linked.birthdate",
            "Patient?_include=Patient:linked",
            "Patient?_revinclude=Patient:linked",
            "Patient?_has:Patient:linked:name=a",
            "Patient?_filter=code eq M",
            "Observation?subject:Patient.code=M",
            "Observation?subject.linked.name=M",
            "Observation?_sort=subject:Patient.code",
        ):
            refused = await client.get(question)
            assert refused.status_code == 503, question
            assert "is being indexed, 0 % is done" in issues_of(refused)[0]["diagnostics"], question
        for question in (
            "Observation?code=a|b|c",
            "Observation?code:missing=maybe",
            "Patient?birthdate=code",
        ):
            assert (await client.get(question)).status_code == 400, question
        assert (await client.get("Observation?code=8867-4")).status_code == 200


async def test_how_many_resources_there_are_is_told_to_who_may_read_all_of_them(server: Server) -> None:
    async with server.as_() as client:
        for id in ("one", "two"):
            await put(client, a_patient(**MARRIED), id)
        id = await declare(client, MARRIAGE)
        told = await client.get("Patient?marriage=M")
        assert told.status_code == 200 or " 2 " not in issues_of(told)[0]["diagnostics"]
        await complete(client, MARRIAGE)
    everything = {"status": "active", "done": 2, "total": 2}
    async with server.as_("system/Patient.r system/SearchParameter.r") as client:
        assert await status(client, id) == everything
    async with server.as_("system/SearchParameter.r") as client:
        assert await status(client, id) == {"status": "active"}
    async with server.as_("patient/*.rs", patient="one") as client:
        assert await status(client, id) == {"status": "active"}
    async with server.as_("user/*.rs", user="Practitioner/1") as client:
        assert await status(client, id) == {"status": "active"}


async def test_reindexing_is_for_systems_and_is_recorded_once(server: Server) -> None:
    async with server.as_() as client:
        await put(client, a_patient(**MARRIED), "one")
        asked = await client.post("Patient/$reindex")
        assert asked.status_code == 200
        await ended(client)
        told = (await client.get("$reindex-status")).json()["parameter"][1]["part"]
        named = {one["name"]: next(value for name, value in one.items() if name != "name") for one in told}
        assert named == {
            "type": "Patient",
            "status": "ended",
            "done": 1,
            "total": 1,
            "changed": 0,
            "refused": 0,
        }
        assert (await client.post("AuditEvent/$reindex")).status_code == 405
        assert (await client.post("$reindex")).status_code == 200
        assert (await client.post("Patient/$reindex?_since=2024")).status_code == 400
        await ended(client)
    async with server.as_("user/*.cruds", user="Practitioner/1") as client:
        assert (await client.post("Patient/$reindex")).status_code == 403
        assert (await client.get("$reindex-status")).status_code == 403
    async with server.as_("system/Patient.cruds") as client:
        assert (await client.post("Patient/$reindex")).status_code == 200
        assert (await client.post("$reindex")).status_code == 403
    records = [record for record in await server.records() if record.interaction == "$reindex"]
    assert sum(record.outcome == "success" for record in records) == 3


async def test_a_bug_that_ends_reindexing_is_told_in_the_log(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_resource: object, **_as: object) -> None:
        raise RuntimeError("a value that is nobody's to know")

    async with server.as_() as client:
        await put(client, a_patient(**MARRIED), "one")
        monkeypatch.setattr(reindexing, "extract", broken)
        with capture_logs() as lines:
            assert (await client.post("Patient/$reindex")).status_code == 200
            async with asyncio.timeout(10):
                while not (told := [line for line in lines if line["event"] == "task_died"]):  # noqa: ASYNC110 - it ends by itself
                    await asyncio.sleep(0.02)
    assert [(line["log_level"], line["name"]) for line in told] == [("critical", "reindexing")]


async def test_an_index_that_was_damaged_is_repaired(
    server: Server, mongodb_url: str, database_name: str
) -> None:
    async with server.as_() as client, AsyncMongoClient[Any](mongodb_url) as mongodb:
        await put(client, a_patient(birthDate="2024-05-01", **MARRIED), "one")
        await put(client, an_observation("one"), "seen")
        resources = mongodb[database_name]["resources"]
        before = await resources.find_one({"_id": "Observation/seen"})
        await resources.update_one(
            {"_id": "Observation/seen"}, {"$set": {"tok": ["Observation"]}, "$unset": {"rng": ""}}
        )
        assert await ids(client, "Observation?code=8867-4") == []
        assert (await client.post("Observation/$reindex")).status_code == 200
        await ended(client)
        assert await ids(client, "Observation?code=8867-4") == ["seen"]
        assert await resources.find_one({"_id": "Observation/seen"}) == before
