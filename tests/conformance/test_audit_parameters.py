"""
AuditEvent's search parameters, on records that the server wrote: nobody else may write one.

Each value that fhirpathpy selects in a record finds that record, and all others that have it. A parameter
whose element no record has finds nothing; which these are is written down.

https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.definitions import SearchParameter, definitions
from fhir_server.r4.resource import from_text
from tests.conformance.every_parameter.oracle import selected
from tests.conformance.every_parameter.paths import selections
from tests.conformance.every_parameter.values import searches
from tests.databases import a_database
from tests.server.running import BASE, Server, a_patient, an_observation, serving

EVENTS: Final = definitions().search_parameters["AuditEvent"]

REFUSED: Final = frozenset(("_content", "_query", "_text", "agent-name", "agent-role", "entity-name"))
"""No record has words, and none has these elements: conformance/search_parameters.md, docs/audit.md."""

NEVER_RECORDED: Final = frozenset(("_security", "_source", "_tag"))
"""Parameters of all types that are over elements that no record of this server has."""

VALUES_EACH: Final = 4


@dataclass(frozen=True, slots=True)
class Recorded:
    """A server that has done things, and the records of them as it showed them."""

    server: Server
    records: tuple[dict[str, Any], ...]

    def having(self, parameter: SearchParameter, value: Any) -> set[str]:
        """The ids of those that have the value, by fhirpathpy."""
        return {one["id"] for one in self.records if value in _values(parameter, one)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorded(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    folder = tmp_path_factory.mktemp("data")
    async with a_database(mongodb_url) as name, serving(mongodb_url, name, folder) as server:
        await _things_happen(server)
        async with server.as_() as client:
            answer = await client.get("/AuditEvent?_count=1000")
            assert answer.status_code == httpx.codes.OK
            records = tuple(entry["resource"] for entry in from_text(answer.content)["entry"])
            yield Recorded(server, records)


async def _things_happen(server: Server) -> None:
    """Reads and writes of several callers, allowed and refused, of one patient and of none."""
    async with server.as_(user="Practitioner/p1", purpose="TREAT") as client:
        for id in ("a", "b"):
            await client.put(f"/Patient/{id}", json=a_patient(id=id))
            await client.put(f"/Observation/{id}", json=an_observation(id, id=id))
        await client.get("/Patient/a")
        await client.get("/Observation?patient=b&_include=Observation:subject")
        await client.get("/Patient/unknown")
        await client.delete("/Observation/b")
    async with server.as_("patient/*.rs", patient="a", user="Patient/a") as client:
        await client.get("/Observation?code=8867-4")
        await client.get("/metadata")
    async with server.as_("system/Observation.r") as client:
        await client.get("/Patient/a")


def _values(parameter: SearchParameter, record: Mapping[str, Any]) -> list[Any]:
    return selected("AuditEvent", parameter.expression or "", record)


def _questions(recorded: Recorded, parameter: SearchParameter) -> Iterator[tuple[str, set[str]]]:
    """Searches for some of the values of the parameter, and what they must find of the records."""
    one = selections("AuditEvent", parameter)[0]
    values: list[Any] = []
    for value in itertools.chain.from_iterable(_values(parameter, record) for record in recorded.records):
        if value not in values:
            values.append(value)
    for value in values[:VALUES_EACH]:
        expected = recorded.having(parameter, value)
        if parameter.type == "date":
            yield f"{parameter.code}={quote(value)}", expected
            yield f"{parameter.code}=lt{value[:10]}", set()
        elif parameter.type == "uri":
            yield f"{parameter.code}={quote(value)}", expected
        elif parameter.type == "string":
            yield f"{parameter.code}:exact={quote(value, safe='')}", expected
        elif isinstance(value, dict) and "reference" not in value and "identifier" in value:
            yield f"{parameter.code}:identifier={quote(value['identifier']['value'], safe='')}", expected
        else:
            _, text = searches(parameter.type, one, value)[0]
            yield f"{parameter.code}={quote(text, safe='')}", expected
    there = {record["id"] for record in recorded.records if _values(parameter, record)}
    yield f"{parameter.code}:missing=false", there
    yield f"{parameter.code}:missing=true", {record["id"] for record in recorded.records} - there


@pytest.mark.parametrize("code", sorted(EVENTS.keys() - REFUSED))
async def test_a_record_is_found_by_each_of_its_values(recorded: Recorded, code: str) -> None:
    parameter = EVENTS[code]
    known = {record["id"] for record in recorded.records}
    async with recorded.server.as_() as client:
        for query, expected in _questions(recorded, parameter):
            answer = await client.get(f"/AuditEvent?{query}&_count=1000")
            assert answer.status_code == httpx.codes.OK, f"{query}: {answer.text[:300]}"
            # Each search is recorded too: of what is found, only what was there before counts.
            found = {entry["resource"]["id"] for entry in answer.json().get("entry", ())} & known
            assert found == expected, query


def test_each_parameter_has_a_value_in_some_record_but_those_written_down(recorded: Recorded) -> None:
    without = {
        code
        for code in EVENTS.keys() - REFUSED
        if not any(_values(EVENTS[code], record) for record in recorded.records)
    }
    assert without == NEVER_RECORDED


async def test_a_parameter_that_no_record_can_answer_is_refused(recorded: Recorded) -> None:
    async with recorded.server.as_() as client:
        for code in sorted(REFUSED):
            answer = await client.get(f"/AuditEvent?{code}=1")
            assert answer.status_code in (400, 501), code
            assert code in answer.json()["issue"][0]["diagnostics"]


async def test_what_each_record_has_finds_them_all_and_anything_else_none(recorded: Recorded) -> None:
    known = {record["id"] for record in recorded.records}
    async with recorded.server.as_() as client:
        for query, expected in (
            ("site=fhir.example", known),
            ("site=fhir.example,elsewhere", known),
            ("site=elsewhere", set()),
            ("site:not=fhir.example", set()),
            (f"source:identifier={BASE}", known),
            ("source:missing=true", set()),
            (f"agent:identifier={BASE}&site=elsewhere", set()),
        ):
            answer = await client.get(f"/AuditEvent?{query}&_count=1000")
            assert answer.status_code == httpx.codes.OK, f"{query}: {answer.text[:300]}"
            found = {entry["resource"]["id"] for entry in answer.json().get("entry", ())} & known
            assert found == expected, query
