"""
What a person chooses on the consent page, and what the app gets of it.

The ids in brackets are those of requirements: A9, S4, S5 and R53 to R370.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.server.launching import AUTHORIZE, CATEGORY, PASSWORD, a_person, ask, given, launching
from tests.server.running import Server, an_observation
from tests.smart.browsing import App, Form, Person, forms, told_to_app

PUBLIC = App("public")
CONDITION = "http://terminology.hl7.org/CodeSystem/condition-category"
HEALTH_CONCERN = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
SDOH = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
NARROWER = {
    "patient/Condition.rs": (
        f"patient/Condition.rs?category={CONDITION}|encounter-diagnosis",
        f"patient/Condition.rs?category={CONDITION}|problem-list-item",
        f"patient/Condition.rs?category={HEALTH_CONCERN}|health-concern",
    ),
    "patient/Observation.rs": (
        f"patient/Observation.rs?category={SDOH}|sdoh",
        f"patient/Observation.rs?category={CATEGORY}|laboratory",
        f"patient/Observation.rs?category={CATEGORY}|social-history",
        f"patient/Observation.rs?category={CATEGORY}|survey",
        f"patient/Observation.rs?category={CATEGORY}|vital-signs",
    ),
}
"""Those of (g)(10): https://www.healthit.gov/test-method/standardized-api-patient-and-population-services"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        async with running.as_() as http:
            for type, code, system in (
                ("Condition", "problem-list-item", CONDITION),
                ("Condition", "health-concern", HEALTH_CONCERN),
                ("Observation", "survey", CATEGORY),
                ("Observation", "sdoh", SDOH),
            ):
                await http.put(f"/{type}/ann-{code}", json=of_category(type, f"ann-{code}", system, code))
        yield running


def of_category(type: str, id: str, system: str, code: str) -> dict[str, Any]:
    category = [{"coding": [{"system": system, "code": code}]}]
    if type == "Observation":
        return an_observation("ann", id=id, category=category)
    return {"resourceType": type, "id": id, "subject": {"reference": "Patient/ann"}, "category": category}


def offers(page: httpx.Response) -> Mapping[str, str]:
    """The scopes that a person decides on, each with its number on the page."""
    found = re.findall(r'id="scope-(\d+)"><code>(.*?)</code>', page.text)
    return {unescape(text): place for place, text in found}


def choosing(page: httpx.Response, chosen: Mapping[str, Sequence[str]]) -> Form:
    """The form with these scopes alone; those of them that are named in part, in part."""
    form, places = forms(page)[0], offers(page)
    form.fields = [(name, value) for name, value in form.fields if not name.startswith("choice-")]
    for scope, parts in chosen.items():
        form.fields.append((f"choice-{places[scope]}", "some" if parts else "all"))
        form.fields.extend((f"part-{places[scope]}", part) for part in parts)
    return form


async def consent(server: Server, scope: str, name: str = "ann") -> tuple[Person, httpx.Response]:
    """Somebody with the consent page in front of them."""
    person = a_person(server)
    page = await person.opens(AUTHORIZE, params=PUBLIC.asks(scope))
    return person, await person.logs_in(page, name, PASSWORD)


async def granted(server: Server, scope: str, chosen: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What the app gets when this is chosen."""
    person, page = await consent(server, scope)
    code = told_to_app(await person.posts(choosing(page, chosen), decision="allow"))["code"]
    told: dict[str, Any] = (await ask(server, **PUBLIC.redeems(code))).json()
    return told


async def status(server: Server, told: Mapping[str, Any], path: str) -> int:
    async with server.bearing(told["access_token"]) as http:
        return (await http.get(path)).status_code


async def ids(server: Server, told: Mapping[str, Any], query: str) -> set[str]:
    async with server.bearing(told["access_token"]) as http:
        answer = await http.get(f"/{query}")
    assert answer.status_code == httpx.codes.OK, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


@pytest.mark.parametrize("scope", NARROWER)
async def test_each_category_can_be_chosen_in_place_of_all(server: Server, scope: str) -> None:
    """[A9, S4, S5, R53, R370, AUT-PAT-10, AUT-PAT-33]"""
    _, page = await consent(server, " ".join(NARROWER))
    for part in NARROWER[scope]:
        assert unescape(page.text).count(f'value="{part}"') == 1
        told = await granted(server, " ".join(NARROWER), {scope: [part]})
        assert told["scope"] == part
        type, code = scope[8:-3], part.rpartition("|")[2]
        found = await ids(server, told, f"{type}?_count=50")
        whole = await ids(server, {"access_token": server.token()}, f"{type}?category={code}&patient=ann")
        assert found == whole
        other = "Condition" if type == "Observation" else "Observation"
        assert await status(server, told, f"/{other}?_count=1") == httpx.codes.FORBIDDEN


async def test_what_is_chosen_adds_up(server: Server) -> None:
    """[A9, S4, S5]"""
    laboratory, survey = (NARROWER["patient/Observation.rs"][place] for place in (1, 3))
    chosen = {"patient/Observation.rs": (laboratory, survey), "patient/Condition.rs": ()}
    told = await granted(server, " ".join(NARROWER), chosen)
    assert set(told["scope"].split(" ")) == {laboratory, survey, "patient/Condition.rs"}
    assert await ids(server, told, "Observation?_count=50") == {"ann-lab", "ann-survey"}
    assert await status(server, told, "/Observation/ann-vital") == httpx.codes.NOT_FOUND
    assert await status(server, told, "/Observation/bob-lab") == httpx.codes.NOT_FOUND
    assert await ids(server, told, "Condition") == {"ann-problem-list-item", "ann-health-concern"}


async def test_what_is_not_chosen_is_not_granted(server: Server) -> None:
    """[A9, R53, R78, R102]"""
    told = await granted(server, "openid offline_access patient/Patient.rs", {"patient/Patient.rs": ()})
    assert told["scope"] == "patient/Patient.rs"
    assert not {"refresh_token", "id_token"} & told.keys()
    person, page = await consent(server, "patient/Patient.rs")
    nothing = told_to_app(await person.posts(choosing(page, {}), decision="allow"))
    assert nothing["error"] == "access_denied"


async def test_granular_scopes_that_were_asked_for_are_granted_as_they_were_written(server: Server) -> None:
    """[S4, S5, R370]: criteria of one scope hold together, scopes add up."""
    both = f"patient/Observation.rs?category={CATEGORY}|laboratory&code=8867-4"
    encoded = f"patient/Observation.rs?category={CATEGORY}%7Cvital-signs"
    told = await given(server, PUBLIC, "ann", f"{both} {encoded}")
    assert told["scope"] == f"{both} {encoded}"
    assert await ids(server, told, "Observation?_count=50") == {"ann-lab", "ann-vital"}
    assert await status(server, told, "/Observation/ann-survey") == httpx.codes.NOT_FOUND
