"""A Group tells who is confined to one of its members nothing of the others, however it is asked."""

from __future__ import annotations

from typing import Any

from tests.server.declaring import a_parameter, declared, ids, put
from tests.server.running import Server, a_patient, an_observation

MINE = a_parameter("mine", "reference", "Group.member.entity", "Group")
CALLED = a_parameter("called", "string", "Group.member.entity.display", "Group")
SIZE = a_parameter("size", "number", "Group.quantity", "Group")
KIND = a_parameter("kind", "token", "Group.member.entity.identifier.type", "Group")

STATUS = "http://hl7.org/fhir/observation-status"
"""A code system that is known everywhere, as any is whose codes a member could have."""


def a_group(*members: str) -> dict[str, Any]:
    kind = {"type": {"coding": [{"system": STATUS, "code": "final"}]}}
    named = [
        {"entity": {"reference": each, "display": f"Called {each[-1]}", "identifier": kind}}
        for each in members
    ]
    return {
        "resourceType": "Group",
        "type": "person",
        "actual": True,
        "quantity": len(members),
        "code": {"text": "a ward"},
        "member": named,
    }


async def test_search_parameters_of_ones_own_tell_nothing_of_them(server: Server) -> None:
    async with server.as_() as client:
        for patient in ("a", "b"):
            await put(client, a_patient(), patient)
        await put(client, {"resourceType": "Practitioner"}, "x")
        await put(client, a_group("Patient/a", "Patient/b", "Practitioner/x"), "g")
        for parameter in (MINE, CALLED, SIZE, KIND):
            await declared(client, parameter)
        asked = (
            "Group?mine=Patient/b",
            "Group?mine=Practitioner/x",
            "Group?mine:Practitioner._id=x",
            "Group?called=called b",
            "Group?called:contains=b",
            "Group?_filter=called gt a",
            "Group?kind=final",
            "Group?kind:in=http://hl7.org/fhir/ValueSet/observation-status",
            f"Group?kind:below={STATUS}|final",
            "Patient?_has:Group:member:kind:in=http://hl7.org/fhir/ValueSet/observation-status",
            "Group?size=gt2",
            "Group?size:missing=false",
            "Practitioner?_has:Group:mine:_id=g",
            "Patient?_has:Group:member:size=3",
        )
        for question in asked:
            assert await ids(client, question), question
        assert await ids(client, "Group?_include=Group:mine") == ["g", "a", "b", "x"]
    async with server.as_("patient/*.rs", patient="a") as client:
        for question in asked:
            assert await ids(client, question) == [], question
        assert await ids(client, "Group?mine:missing=true") == ["g"]
        assert await ids(client, "Group?code:text=a ward") == ["g"]
        assert await ids(client, "Group?_include=Group:mine") == ["g"]
        assert await ids(client, "Practitioner?_id=x&_revinclude=Group:mine") == ["x"]
        for order in ("mine", "size", "mine._id"):
            assert (await client.get(f"Group?_sort={order}")).status_code == 403, order
        assert await ids(client, "Group?_sort=code,_id,-_lastUpdated") == ["g"]


async def test_nothing_is_sorted_by_them_at_the_end_of_a_chain(server: Server) -> None:
    async with server.as_() as client:
        for patient in ("a", "b"):
            await put(client, a_patient(), patient)
        await put(client, a_group("Patient/a", "Patient/b"), "g")
        await put(client, {**an_observation("a"), "subject": {"reference": "Group/g"}}, "o")
        assert await ids(client, "Observation?_sort=subject:Group.member") == ["o"]
    async with server.as_("patient/*.rs", patient="a") as client:
        assert (await client.get("Observation?_sort=subject:Group.member")).status_code == 403
        assert (await client.get("Observation?_sort=subject:Group.code")).status_code == 200


async def test_what_a_group_contains_is_not_searched(server: Server) -> None:
    inner = {"resourceType": "Patient", "id": "inner", "name": [{"family": "Hidden"}]}
    group = {**a_group("Patient/a", "Patient/b", "#inner"), "contained": [inner]}
    about = {"subject": {"reference": "#inner"}, "contained": [inner]}
    async with server.as_() as client:
        for patient in ("a", "b"):
            await put(client, a_patient(), patient)
        await put(client, group, "g")
        await put(client, {**an_observation("a"), **about}, "o")
        asked = (
            "Patient?_contained=true&name=hidden",
            "Patient?_contained=both&name=hidden",
            "Patient?_contained=true&_containedType=contained&name=hidden",
            "Group?_contained=both&_containedType=contained&code:text=a ward",
            "Group?member:Patient.name=hidden",
            "Patient?_has:Group:member:member:Patient.name=hidden",
        )
        for question in asked:
            assert await ids(client, question), question
    async with server.as_("patient/*.rs", patient="a") as client:
        for question in asked:
            expected = ["g"] if question.startswith("Group?_contained") else []
            assert await ids(client, question) == expected, question
        for total in ("_total=accurate", "_count=0"):
            answer = await client.get(f"Patient?_contained=true&name=hidden&{total}")
            assert answer.json()["total"] == 0


async def test_a_large_group_tells_no_more_of_them(server: Server) -> None:
    many = [f"Patient/m{number}" for number in range(1_100)]
    async with server.as_() as client:
        await put(client, a_patient(), "a")
        for practitioner in ("x", "y"):
            await put(client, {"resourceType": "Practitioner"}, practitioner)
        await put(client, a_group("Patient/a", "Practitioner/x", *many), "g")
        assert await ids(client, "Practitioner?_has:Group:member:_id=g") == ["x"]
    async with server.as_("patient/*.rs", patient="a") as client:
        assert await ids(client, "Practitioner?_has:Group:member:_id=g") == []
        assert await ids(client, "Patient?_has:Group:member:_id=g") == ["a"]
