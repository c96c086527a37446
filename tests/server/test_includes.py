"""`_include` and `_revinclude` over HTTP: https://hl7.org/fhir/R4/search.html#include"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import unquote
from uuid import uuid4

import pytest

from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient, an_observation, serving
from tests.server.ward import Resource, a_provenance, an_encounter, an_organization, keys_of, put_all, to

WARD: Final[Sequence[Resource]] = (
    an_organization("top", partOf=to("Organization/ring")),
    an_organization("ring", partOf=to("Organization/top")),
    an_organization("clinic", partOf=to("Organization/top")),
    a_patient(id="a", managingOrganization=to("Organization/clinic")),
    a_patient(id="b", managingOrganization=to("Organization/clinic")),
    an_encounter("ea", "a", serviceProvider=to("Organization/clinic")),
    an_encounter("ep", "a", partOf=to("Encounter/ea")),
    an_observation("a", id="oa", encounter=to("Encounter/ep")),
    an_observation("a", id="om", hasMember=[to("Observation/oa")]),
    an_observation("b", id="ob", encounter=to("Encounter/gone")),
    a_provenance("v", "Observation/oa", "Patient/b"),
    a_provenance("w", "Provenance/v"),
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?_id=oa&_include=Observation:subject", "Patient/a"),
        ("Observation?_id=oa&_include=Observation:*", "Patient/a Encounter/ep"),
        ("Observation?_id=oa&_include=*", "Patient/a Encounter/ep"),
        ("Observation?_id=oa&_include=Observation:*:Encounter", "Encounter/ep"),
        ("Observation?_id=ob&_include=*", "Patient/b"),
        ("Observation?_id=om,oa&_include=Observation:has-member", ""),
        ("Observation?_id=om&_include=Observation:has-member", "Observation/oa"),
        ("Observation?_id=om&_include:iterate=Observation:has-member", "Observation/oa"),
        (
            "Observation?_id=om&_include=Observation:has-member&_include:iterate=Observation:encounter",
            "Observation/oa Encounter/ep",
        ),
        (
            "Encounter?_id=ep&_include:iterate=Encounter:*:Encounter&_include:iterate=Encounter:*:Organization",
            "Encounter/ea Organization/clinic",
        ),
        (
            "Encounter?_id=ep&_include:iterate=Encounter:*&_include:iterate=Organization:partof",
            "Patient/a Encounter/ea Organization/clinic Organization/top Organization/ring",
        ),
        (
            "Observation?_id=oa&_include=Observation:encounter&_include=Observation:subject",
            "Encounter/ep Patient/a",
        ),
        ("Organization?_id=top&_include:iterate=Organization:partof", "Organization/ring"),
        ("Organization?_id=ring&_revinclude=Organization:partof", "Organization/top"),
        (
            "Organization?_id=ring&_revinclude:iterate=Organization:partof",
            "Organization/top Organization/clinic",
        ),
        (
            "Patient?_id=a&_revinclude=Observation:subject",
            "Observation/oa Observation/om",
        ),
        ("Patient?_id=a&_revinclude=Observation:patient:Patient", "Observation/oa Observation/om"),
        ("Patient?_id=a,b&_revinclude=Provenance:target", "Provenance/v"),
        (
            "Patient?_id=b&_revinclude=Provenance:target&_revinclude:iterate=Provenance:target",
            "Provenance/v Provenance/w",
        ),
        (
            "Patient?_id=a&_revinclude=Encounter:*&_revinclude=Observation:*",
            "Encounter/ea Encounter/ep Observation/oa Observation/om",
        ),
        (
            "Patient?_id=a&_revinclude=*",
            "Encounter/ea Encounter/ep Observation/oa Observation/om",
        ),
        (
            "Patient?_id=b&_revinclude=*&_include=*",
            "Observation/ob Provenance/v Organization/clinic",
        ),
        (
            "Patient?_id=b&_revinclude=Provenance:target&_include:iterate=Provenance:*:Observation",
            "Provenance/v Observation/oa",
        ),
        ("?_type=Patient,Encounter&_id=a,ep&_include=*", "Organization/clinic Encounter/ea"),
        ("Patient?_id=a&_count=0&_include=*&_revinclude=*", ""),
        ("Patient?_id=a&_summary=count&_revinclude=*", ""),
    ],
)
async def test_what_is_included(server: Server, query: str, expected: str) -> None:
    async with server.as_() as client:
        await put_all(client, WARD)
        answer = await client.get(f"/{query}")
        path, _, body = query.partition("?")
        posted = await client.post(
            f"/{path}/_search" if path else "/_search",
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert sorted(keys_of(answer, "include")) == sorted(expected.split())
    assert keys_of(posted, "include") == keys_of(answer, "include")
    for parameter in body.split("&"):
        assert parameter in unquote(answer.json()["link"][0]["url"])


async def test_what_is_deleted_is_not_included(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, WARD)
        for key in ("Observation/om", "Patient/a"):
            assert (await client.delete(f"/{key}")).status_code == 204
        forward = await client.get("/Observation?_id=oa&_include=Observation:*")
        back = await client.get("/Organization?_id=clinic&_revinclude=Patient:organization")
    assert keys_of(forward, "include") == ["Encounter/ep"]
    assert keys_of(back, "include") == ["Patient/b"]


async def test_each_page_has_what_its_own_matches_include(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, WARD)
        first = await client.get(
            "/Patient?_count=1&_sort=_id&_revinclude=Observation:subject&_include=Patient:organization"
        )
        (onward,) = [link["url"] for link in first.json()["link"] if link["relation"] == "next"]
        second = await client.get(onward)
    assert keys_of(first, "match") == ["Patient/a"]
    assert sorted(keys_of(first, "include")) == ["Observation/oa", "Observation/om", "Organization/clinic"]
    assert keys_of(second, "match") == ["Patient/b"]
    assert sorted(keys_of(second, "include")) == ["Observation/ob", "Organization/clinic"]


async def test_what_is_included_is_cut_by_a_summary(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, WARD)
        answer = await client.get("/Patient?_id=a&_revinclude=Observation:subject&_summary=true")
        listed = await client.get(
            "/Patient?_id=a&_revinclude=Observation:subject&_elements=name,Observation.status"
        )
    for bundle in (answer, listed):
        entries = bundle.json()["entry"]
        assert [len(one["resource"]["meta"].get("tag", ())) for one in entries] == [1, 1, 1]


async def test_an_audit_event_includes_whom_it_is_about_and_is_included(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, WARD[:4])
        page = await client.get("/AuditEvent?patient=Patient/a&_include=AuditEvent:patient")
        event = keys_of(page, "match")[0]
        await put_all(client, [a_provenance("about", event)])
        back = await client.get("/Provenance?_id=about&_include=Provenance:target")
        after = await client.get(f"/AuditEvent?_id={event.split('/')[1]}&_revinclude=Provenance:target")
    assert keys_of(page, "include") == ["Patient/a"]
    assert keys_of(back, "include") == [event]
    assert keys_of(after, "include") == ["Provenance/about"]


async def test_the_record_names_what_was_included_and_its_patients(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, WARD)
        await client.get("/Organization?_id=clinic&_revinclude=Patient:organization")
    record = (await server.records())[-1]
    assert {target.reference for target in record.targets} == {
        "Organization/clinic",
        "Patient/a",
        "Patient/b",
    }
    assert set(record.patients) == {"a", "b"}


async def test_what_is_hidden_is_not_counted_against_the_limit(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    """Ten hidden ones, three to be seen, and a limit of three: no refusal tells that there are more."""
    async with serving(mongodb_url, database_name, tmp_path, includes_max=3) as server:
        async with server.as_() as client:
            await put_all(client, [an_organization("o")])
            here = {"managingOrganization": to("Organization/o")}
            await put_all(client, [a_patient(id=f"h{n}", **here) for n in range(10)])
            await put_all(client, [a_patient(id=f"s{n}", **here) for n in range(3)])
            await put_all(client, [a_consent(f"h{n}", f"c{n}", {"type": "deny"}) for n in range(10)])
        asked = "/Organization?_id=o&_revinclude=Patient:organization"
        async with server.as_("user/*.rs", user="Practitioner/7", purpose="TREAT") as client:
            answer = await client.get(asked)
        async with server.as_("patient/*.rs", patient="s1") as client:
            confined = await client.get(asked)
        async with server.as_("system/Organization.rs") as client:
            unscoped = await client.get(asked)
    assert sorted(keys_of(answer, "include")) == ["Patient/s0", "Patient/s1", "Patient/s2"]
    assert keys_of(confined, "include") == ["Patient/s1"]
    assert keys_of(unscoped, "include") == []


async def test_the_members_of_a_group_that_are_not_shown_are_not_followed(server: Server) -> None:
    members = [{"entity": to(key)} for key in ("Patient/a", "Patient/b", "Practitioner/x")]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
    async with server.as_() as client:
        await put_all(client, [*WARD[:5], {"resourceType": "Practitioner", "id": "x"}, group])
    async with server.as_("patient/*.rs", patient="a") as client:
        forward = await client.get("/Group?_include=Group:member")
        back = await client.get("/Practitioner?_id=x&_revinclude=Group:member")
        own = await client.get("/Patient?_id=a&_revinclude=Group:member")
    assert keys_of(forward, "include") == ["Patient/a"]
    assert keys_of(back, "match") == ["Practitioner/x"]
    assert keys_of(back, "include") == []
    assert keys_of(own, "include") == ["Group/g"]


FOLLOWED: Final = {
    ("Observation", "subject"): "subject",
    ("Observation", "encounter"): "encounter",
    ("Observation", "has-member"): "hasMember",
    ("Encounter", "subject"): "subject",
    ("Encounter", "part-of"): "partOf",
    ("Patient", "organization"): "managingOrganization",
    ("Organization", "partof"): "partOf",
}
"""Parameters and the elements that they are about: each a Reference, or a list of such."""


def _world(random: Random) -> dict[str, Resource]:
    """Some resources that refer to each other at random, to themselves and to nothing, too."""

    def some(type: str) -> dict[str, str]:
        return to(f"{type}/{random.randrange(7)}")

    world: dict[str, Resource] = {}
    for n in range(6):
        one: list[Resource] = [
            an_organization(str(n)),
            a_patient(id=str(n)),
            an_encounter(str(n), str(random.randrange(6))),
            an_observation(str(random.randrange(6)), id=str(n)),
        ]
        one[0] |= {"partOf": some("Organization")} if random.random() < 0.7 else {}
        one[1] |= {"managingOrganization": some("Organization")} if random.random() < 0.7 else {}
        one[2] |= {"partOf": some("Encounter")} if random.random() < 0.5 else {}
        one[3] |= {"encounter": some("Encounter")} if random.random() < 0.7 else {}
        one[3] |= {"hasMember": [some("Observation"), some("Observation")]} if random.random() < 0.5 else {}
        world |= {f"{each['resourceType']}/{n}": each for each in one}
    return world


def _references(resource: Resource, parameter: str) -> Iterator[str]:
    value = resource.get(FOLLOWED.get((resource["resourceType"], parameter), "-"), [])
    for each in value if isinstance(value, list) else [value]:
        yield each["reference"]


def _expected(world: dict[str, Resource], matches: set[str], asked: list[tuple[str, str, str]]) -> set[str]:
    """The plainest reading: follow what there is until nothing is new; `iterate` alone after the first."""
    known, newest, first = set(matches), set(matches), True
    while newest:
        found: set[str] = set()
        for name, source, parameter in asked:
            if not first and not name.endswith(":iterate"):
                continue
            for key, resource in world.items():
                if resource["resourceType"] == source:
                    for target in _references(resource, parameter):
                        if name.startswith("_include") and key in newest:
                            found.add(target)
                        if name.startswith("_revinclude") and target in newest:
                            found.add(key)
        newest = (found & world.keys()) - known
        known |= newest
        first = False
    return known - matches


async def test_includes_are_those_that_plain_python_finds(server: Server) -> None:
    seed = uuid4().int % 1_000_000
    random = Random(seed)
    world = _world(random)
    names = ("_include", "_include:iterate", "_revinclude", "_revinclude:iterate")
    async with server.as_() as client:
        await put_all(client, world.values())
        for _ in range(120):
            type = random.choice(("Observation", "Encounter", "Patient", "Organization"))
            ids = {str(random.randrange(6)) for _ in range(random.randint(1, 3))}
            asked = [
                (random.choice(names), *random.choice(list(FOLLOWED))) for _ in range(random.randint(1, 5))
            ]
            query = "&".join(f"{name}={source}:{parameter}" for name, source, parameter in asked)
            answer = await client.get(f"/?_type={type}&_id={','.join(ids)}&{query}")
            if answer.status_code == 400:
                # What starts nowhere in this type is refused by name.
                assert "_include" in query or "_revinclude" in query
                continue
            found = keys_of(answer, "include")
            matches = set(keys_of(answer, "match"))
            told = json.dumps({"seed": seed, "query": query, "ids": sorted(ids), "type": type})
            assert len(found) == len(set(found)), told
            assert set(found) == _expected(world, matches, asked), told
