"""
Each of R4's search parameters, over HTTP: a resource that has the value is found, one that has not is not.

What is stored is made from R4's definitions; what is expected comes from fhirpathpy and from the oracle that
is written down in every_parameter/values.py. The parameters that cannot work are listed, with the reason, in
conformance/search_parameters.md, which is held against what the server does.

The searches go in batches: each is a search of its own, and a hundred share a round trip.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.definitions import definitions
from tests.conformance.every_parameter.batches import answered, put_all
from tests.conformance.every_parameter.cases import (
    GIVEN_BY_THE_SERVER,
    NOT_WRITTEN,
    Case,
    Question,
    bare,
    cases,
    parameters,
)
from tests.databases import a_database
from tests.server.running import Server, serving

pytestmark = pytest.mark.timeout(600)

LISTED: Final = Path(__file__).parents[2] / "conformance" / "search_parameters.md"
LISTED_MAX: Final = 40
OF_R4: Final = 1_396
WITHOUT_A_TYPE: Final = "no type"
SEARCH_TYPES: Final = (
    "composite",
    "date",
    "number",
    "quantity",
    "reference",
    "special",
    "string",
    "token",
    "uri",
)
REFUSED: Final = (httpx.codes.BAD_REQUEST, httpx.codes.NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A server that has the resources of all cases; `updated` is when each was stored, by its address."""

    server: Server
    cases: tuple[Case, ...]
    updated: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loaded(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loaded]:
    found = tuple(cases())
    types = sorted(definitions().resource_types - NOT_WRITTEN)
    resources = [bare(type) for type in types] + [one for case in found for one in case.resources]
    folder = tmp_path_factory.mktemp("data")
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, folder, full_text="content") as server,
        server.as_() as client,
    ):
        yield Loaded(server, found, await put_all(client, resources))


def listed() -> dict[str, str]:
    """The parameters that do not work, and of what they are."""
    rows = re.findall(r"^\| ([\w-]+) \| ([^|]+) \|", LISTED.read_text(), re.MULTILINE)
    return {name: of for name, of in rows if name != "parameter"}


def name_of(url: str) -> str:
    return url.removeprefix("http://hl7.org/fhir/SearchParameter/")


@pytest.mark.parametrize("search_type", SEARCH_TYPES)
async def test_each_parameter_finds_what_has_the_value_and_nothing_else(
    loaded: Loaded, search_type: str
) -> None:
    asked = [
        (case, question)
        for case in loaded.cases
        if case.parameter.type == search_type
        for question in case.questions
    ]
    assert asked
    async with loaded.server.as_() as client:
        found = await answered(client, [question.query for _, question in asked])
    wrong = [
        f"{case.about}: {question.query} finds {ids}, not {sorted(question.expected)}"
        for (case, question), ids in zip(asked, found, strict=True)
        if ids != question.expected
    ]
    assert wrong == [], f"{len(wrong)} of {len(asked)}"


async def test_the_time_of_a_resource_finds_it(loaded: Loaded) -> None:
    asked: list[Question] = []
    for type in sorted(definitions().resource_types - NOT_WRITTEN):
        id = bare(type)["id"]
        moment = loaded.updated[f"{type}/{id}"]
        it, nothing = frozenset((id,)), frozenset[str]()
        for value, expected in ((moment, it), (f"gt{moment}", nothing), ("gt2001-02-03", it)):
            asked.append(Question(f"{type}?_id={id}&_lastUpdated={value}", expected))
        asked.append(Question(f"{type}?_id={id}&_lastUpdated:missing=true", nothing))
    async with loaded.server.as_() as client:
        found = await answered(client, [question.query for question in asked])
    assert found == [question.expected for question in asked]


def test_each_parameter_that_is_not_on_the_list_is_tried_and_no_other() -> None:
    urls = {parameter.url for of in definitions().search_parameters.values() for parameter in of.values()}
    of_no_type = {name for name, of in listed().items() if of == WITHOUT_A_TYPE}
    assert len(urls) + len(of_no_type) == OF_R4
    assert definitions().counts["SearchParameter"] == OF_R4
    assert len(listed()) < LISTED_MAX
    tried = {(case.type, case.parameter.code) for case in cases() if _asks_for_a_value(case)}
    wanted = {
        (type, parameter.code) for type, parameter in parameters() if name_of(parameter.url) not in listed()
    }
    assert tried == wanted
    left = {
        name_of(parameter.url)
        for type, of_type in definitions().search_parameters.items()
        for parameter in of_type.values()
        if type not in NOT_WRITTEN
        and (type, parameter.code) not in tried
        and parameter.code not in GIVEN_BY_THE_SERVER
    }
    assert left == {name for name, of in listed().items() if of not in {WITHOUT_A_TYPE, *NOT_WRITTEN}}


def _asks_for_a_value(case: Case) -> bool:
    return any(":missing=" not in question.query for question in case.questions)


async def test_each_parameter_on_the_list_is_refused_by_name(loaded: Loaded) -> None:
    asked = [
        (type, parameter.code)
        for type, of_type in definitions().search_parameters.items()
        for parameter in of_type.values()
        if name_of(parameter.url) in listed()
    ]
    asked += [
        (name.split("-")[2], name.split("-")[-1]) for name, of in listed().items() if of == WITHOUT_A_TYPE
    ]
    async with loaded.server.as_() as client:
        for type, code in asked:
            answer = await client.get(f"/{type}?{code}=1")
            assert answer.status_code in REFUSED, f"{type}?{code}: {answer.text[:200]}"
            assert code in answer.json()["issue"][0]["diagnostics"]
