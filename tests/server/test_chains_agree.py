"""What the server answers to chains and `_has` is what looking at every resource would find."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import pytest

from fhir_server.r4.errors import TooCostly
from fhir_server.r4.interaction import Search
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import parse
from fhir_server.search.asking.results import SortKey
from fhir_server.search.predicates.elsewhere import Among
from fhir_server.search.predicates.predicate import Everything
from tests.server.running import BASE, Server, a_patient, an_observation, serving
from tests.server.ward import a_group, an_encounter, coded, to

COUNT: Final = 8
QUERIES: Final = 60
URLS: Final = ("http://x.example/a", "http://x.example/b")
CRITERIA: Final = {
    "Patient": (
        "gender=male",
        "gender:not=male",
        "family=b",
        "organization=Organization/o1",
        "active:missing=true",
    ),
    "Observation": ("code=1", "code=2,3", "encounter:missing=true", "status=final"),
    "Encounter": ("status=finished", "status:not=finished", "service-provider=Organization/o2"),
    "Organization": ("name=o", "_id=o1,o2", "partof:missing=true"),
    "Group": ("_id=g1", "member=Patient/p3"),
    "Questionnaire": ("status=active", "version=1", "title=t0,t1,t2", "version:missing=true"),
    "QuestionnaireResponse": ("status=completed", f"questionnaire={URLS[0]}", "questionnaire:missing=true"),
}
LINKS: Final = {
    "Patient": ("organization", "link:Patient"),
    "Observation": ("patient", "subject", "encounter", "has-member:Observation"),
    "Encounter": ("patient", "subject:Patient", "service-provider"),
    "Organization": ("partof",),
    "Group": ("member:Patient",),
    "Questionnaire": (),
    "QuestionnaireResponse": ("questionnaire", "questionnaire:Questionnaire", "subject:Patient"),
}
HAS: Final = {
    "Patient": (
        "Observation:patient",
        "Encounter:subject",
        "Group:member",
        "Patient:link",
        "QuestionnaireResponse:subject",
    ),
    "Observation": ("Observation:has-member",),
    "Encounter": ("Observation:encounter",),
    "Organization": ("Patient:organization", "Encounter:service-provider", "Organization:partof"),
    "Group": (),
    "Questionnaire": ("QuestionnaireResponse:questionnaire",),
    "QuestionnaireResponse": (),
}
TARGETS: Final = {
    "organization": "Organization",
    "link:Patient": "Patient",
    "patient": "Patient",
    "subject": "Patient",
    "subject:Patient": "Patient",
    "encounter": "Encounter",
    "has-member:Observation": "Observation",
    "service-provider": "Organization",
    "partof": "Organization",
    "member:Patient": "Patient",
    "questionnaire": "Questionnaire",
    "questionnaire:Questionnaire": "Questionnaire",
}


def a_population(random: Random) -> list[dict[str, Any]]:
    """Some resources of each type that refer to each other, or to nobody."""

    def some(letter: str, type: str) -> str:
        return f"{type}/{letter}{random.randrange(COUNT + 1)}"

    found: list[dict[str, Any]] = []
    for n in range(COUNT):
        organization: dict[str, Any] = {
            "resourceType": "Organization",
            "id": f"o{n}",
            "name": f"{random.choice('ops')}-{n}",
        }
        patient = a_patient(id=f"p{n}", gender=random.choice(["male", "female"]))
        patient["name"] = [{"family": random.choice("abc")}]
        encounter = an_encounter(f"e{n}", some("p", "Patient").removeprefix("Patient/"))
        encounter["status"] = random.choice(["finished", "planned"])
        observation = an_observation(some("p", "Patient").removeprefix("Patient/"), id=f"v{n}")
        observation["code"] = coded(str(random.randrange(1, 4)))
        if random.random() < 0.5:
            organization["partOf"] = to(some("o", "Organization"))
            patient["managingOrganization"] = to(some("o", "Organization"))
            observation["hasMember"] = [to(some("v", "Observation"))]
        if random.random() < 0.5:
            encounter["serviceProvider"] = to(some("o", "Organization"))
            observation["encounter"] = to(some("e", "Encounter"))
            patient["link"] = [{"other": to(some("p", "Patient")), "type": "seealso"}]
        if random.random() < 0.3:
            inside = a_patient(id="inside", gender=random.choice(["male", "female"]), name=patient["name"])
            inside["managingOrganization"] = to(some("o", "Organization"))
            observation |= {"contained": [inside], "subject": to("#inside")}
        if random.random() < 0.3:
            inside = {"resourceType": "Organization", "id": "inside", "name": organization["name"]}
            encounter |= {"contained": [inside], "serviceProvider": to("#inside")}
        found += [organization, patient, encounter, observation]
        found += [a_questionnaire(random, f"q{n}"), a_response(random, f"r{n}", some("p", "Patient"))]
        found.append(a_group(f"g{n}", *{some("p", "Patient") for _ in range(3)}))
    return found


def a_questionnaire(random: Random, id: str) -> dict[str, Any]:
    version = random.choice(({}, {"version": "1"}, {"version": "2"}))
    title = f"t{random.randrange(4)}"
    status = random.choice(("active", "draft"))
    url = random.choice(URLS)
    return {
        "resourceType": "Questionnaire",
        "id": id,
        "url": url,
        "status": status,
        "title": title,
        **version,
    }


def a_response(random: Random, id: str, patient: str) -> dict[str, Any]:
    named = random.choice(URLS) + random.choice(("", "|1", "|2", "|3"))
    of = {"questionnaire": named} if random.random() < 0.8 else {}
    status = random.choice(("completed", "amended"))
    return {"resourceType": "QuestionnaireResponse", "id": id, "status": status, "subject": to(patient), **of}


def a_criterion(random: Random, type: str, links: int) -> str:
    """A criterion for a resource of the type, so many links long."""
    if not links or not (LINKS[type] or HAS[type]):
        return random.choice(CRITERIA[type])
    has = random.choice((*HAS[type], *[None] * len(LINKS[type])))
    if has is None:
        link = random.choice(LINKS[type])
        return f"{link}.{a_criterion(random, TARGETS[link], links - 1)}"
    return f"_has:{has}:{a_criterion(random, has.partition(':')[0], links - 1)}"


async def every(server: Server) -> Among:
    order = (SortKey("sequence"),)
    page = await server.services.store.page(
        Everything(), types=None, order=order, after=None, count=10_000, tokens=True
    )
    return Among(page.versions)


async def found(client: httpx.AsyncClient, address: str) -> list[str] | None:
    """The keys of what is found, on all pages; None when it was too costly."""
    keys: list[str] = []
    while address:
        answer = await client.get(address)
        if answer.status_code == TooCostly.status:
            return None
        assert answer.status_code == 200, (address, answer.text)
        resources = [entry["resource"] for entry in answer.json().get("entry", ())]
        keys += [f"{one['resourceType']}/{one['id']}" for one in resources]
        address = linked(answer, "next")
    return keys


def linked(answer: httpx.Response, relation: str) -> str:
    return next((link["url"] for link in answer.json()["link"] if link["relation"] == relation), "")


@pytest.mark.parametrize("seed", range(3))
async def test_chains_find_what_looking_at_every_resource_finds(
    mongodb_url: str, database_name: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    joined_max = (20_000, 6, 3)[seed]
    async with (
        serving(mongodb_url, database_name, tmp_path, join_matches_max=joined_max) as server,
        server.as_() as client,
    ):
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in a_population(random)
        ]
        (
            await client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        ).raise_for_status()
        among = await every(server)
        answered = nonempty = 0
        for _ in range(QUERIES):
            type = random.choice(list(CRITERIA))
            criteria = [a_criterion(random, type, random.randrange(1, 4))]
            criteria += [a_criterion(random, type, random.randrange(3)) for _ in range(random.randrange(2))]
            query = "&".join(criteria)
            pairs = [one.partition("=") for one in criteria]
            asked = Search(type, tuple((name, value) for name, _, value in pairs))
            wanted = parse(asked, limits=SearchLimits(), base_url=BASE).predicate
            expected = {str(version.key) for version in among.matching(wanted)}
            for rest in ("_count=1000", "_count=2&_sort=-_lastUpdated"):
                answer = await found(client, f"/{type}?{query}&{rest}")
                assert answer is None or sorted(answer) == sorted(expected), (query, rest)
                answered += answer is not None
                nonempty += bool(answer)
    # What several links lead to from one resource may be too much for the lower limits.
    assert answered >= 2 * QUERIES * (1, 0.9, 0.9)[seed]
    assert nonempty > 10


async def test_pages_of_candidates_are_turned_back(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, join_matches_max=7) as server,
        server.as_() as client,
    ):
        for n in range(30):
            patient = a_patient(id=f"p{n:02d}", gender="male" if n % 3 else "female")
            (await client.put(f"/Patient/p{n:02d}", json=patient)).raise_for_status()
            observation = an_observation(f"p{n:02d}", id=f"o{n:02d}")
            (await client.put(f"/Observation/o{n:02d}", json=observation)).raise_for_status()
        query = "/Observation?patient.gender=male&code:missing=false&_count=3"
        refused = await client.get(f"{query}&_total=accurate")
        for sort in ("", "&_sort=_lastUpdated", "&_sort=-_lastUpdated"):
            address, pages = f"{query}{sort}", []
            while address:
                answer = await client.get(address)
                pages.append([entry["resource"]["id"] for entry in answer.json().get("entry", ())])
                address, last = linked(answer, "next"), answer
            forward = [one for page in pages for one in page]
            assert sorted(forward) == [f"o{n:02d}" for n in range(30) if n % 3]
            backward: list[str] = []
            address = linked(last, "previous")
            while address:
                answer = await client.get(address)
                page = [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
                assert len(page) <= 3
                backward = [*page, *backward]
                address = linked(answer, "previous")
            assert backward == forward[: len(forward) - len(pages[-1])]
    assert refused.status_code == TooCostly.status
