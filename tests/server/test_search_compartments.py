"""
Searches in a compartment, over HTTP: https://hl7.org/fhir/R4/http.html#vsearch

What is in one is by R4's CompartmentDefinitions; the oracle below has some of their lines, written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# By type: its elements that put it into each compartment.
DEFINED: dict[str, dict[str, tuple[str, ...]]] = {
    "Observation": {
        "Patient": ("subject", "performer"),
        "Encounter": ("encounter",),
        "Practitioner": ("performer",),
        "RelatedPerson": ("performer",),
        "Device": ("subject", "device"),
    },
    "Condition": {
        "Patient": ("subject", "asserter"),
        "Encounter": ("encounter",),
        "Practitioner": ("asserter",),
        "RelatedPerson": ("asserter",),
        "Device": (),
    },
    "Communication": {
        "Patient": ("subject", "sender", "recipient"),
        "Encounter": ("encounter",),
        "Practitioner": ("sender", "recipient"),
        "RelatedPerson": ("sender", "recipient"),
        "Device": ("sender", "recipient"),
    },
    "Encounter": {
        "Patient": ("subject",),
        "Encounter": (),
        "Practitioner": (),
        "RelatedPerson": (),
        "Device": (),
    },
    "Patient": {
        "Patient": (),
        "Encounter": (),
        "Practitioner": ("generalPractitioner",),
        "RelatedPerson": (),
        "Device": (),
    },
}
NOT_IN: dict[str, tuple[str, ...]] = {
    "Condition": ("Device",),
    "Encounter": ("Device",),
    "Patient": ("Encounter", "Device"),
}
CAN_BE: dict[str, dict[str, tuple[str, ...]]] = {
    "Observation": {
        "subject": ("Patient", "Device"),
        "performer": ("Patient", "Practitioner", "RelatedPerson"),
        "encounter": ("Encounter",),
        "device": ("Device",),
    },
    "Condition": {
        "subject": ("Patient",),
        "asserter": ("Patient", "Practitioner", "RelatedPerson"),
        "encounter": ("Encounter",),
        # By no definition does this put it into the compartment of who recorded it.
        "recorder": ("Patient", "Practitioner", "RelatedPerson"),
    },
    "Communication": {
        "subject": ("Patient",),
        "sender": ("Patient", "Practitioner", "RelatedPerson", "Device"),
        "recipient": ("Patient", "Practitioner", "RelatedPerson", "Device"),
        "encounter": ("Encounter",),
    },
    "Encounter": {"subject": ("Patient",)},
    "Patient": {"generalPractitioner": ("Practitioner",)},
}
REPEATING = {"performer", "recipient", "generalPractitioner"}
LEAST: dict[str, dict[str, Any]] = {
    "Observation": {"status": "final", "code": {"text": "x"}},
    "Condition": {"subject": {"reference": "Group/1"}},
    "Communication": {"status": "completed"},
    "Encounter": {"status": "finished", "class": {"code": "AMB"}},
    "Patient": {},
}
COMPARTMENTS = ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson")


def generated(seed: int) -> Iterator[dict[str, Any]]:
    """Resources of each type above that refer to two of each kind, and to the same elsewhere."""
    random = Random(seed)
    for type, elements in CAN_BE.items():
        for number in range(16):
            resource = {"resourceType": type, "id": str(number), **LEAST[type]}
            for element, targets in elements.items():
                references = [
                    {"reference": f"{random.choice(['', '', '', 'http://other.example/'])}{target}/{id}"}
                    for target in random.choices(targets, k=2)
                    for id in random.choice("12")
                ]
                if random.random() < 0.6:
                    resource[element] = references if element in REPEATING else references[0]
            yield resource


def is_in(resource: dict[str, Any], compartment: str, id: str) -> bool:
    """By the definitions, in plain Python."""
    type = resource["resourceType"]
    if (type, resource["id"]) == (compartment, id):
        return True
    elements = [resource.get(element, []) for element in DEFINED[type][compartment]]
    references = [each for value in elements for each in (value if isinstance(value, list) else [value])]
    return {"reference": f"{compartment}/{id}"} in references


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    for resource in resources:
        written = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert written.status_code in (200, 201), written.text


def found(answer: httpx.Response) -> list[str]:
    """`Type/id` of each match."""
    assert answer.status_code == 200, answer.text
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in answer.json().get("entry", [])
        if entry["search"]["mode"] == "match"
    ]


async def test_each_compartment_has_what_its_definition_puts_there(server: Server) -> None:
    resources = list(generated(seed=5))
    async with server.as_() as client:
        await put(client, *resources)
        for compartment in COMPARTMENTS:
            for id in "12":
                inside = [one for one in resources if is_in(one, compartment, id)]
                keys = {f"{one['resourceType']}/{one['id']}" for one in inside}
                everything = found(await client.get(f"/{compartment}/{id}/*?_count=1000"))
                assert set(everything) == keys, (compartment, id)
                assert len(everything) == len(keys)
                for type in CAN_BE:
                    answer = await client.get(f"/{compartment}/{id}/{type}?_total=accurate&_count=1000")
                    if compartment in NOT_IN.get(type, ()):
                        assert answer.status_code == 404
                        continue
                    expected = {key for key in keys if key.startswith(f"{type}/")}
                    assert set(found(answer)) == expected, (compartment, id, type)
                    assert answer.json()["total"] == len(expected)


async def _a_record(client: httpx.AsyncClient, patient: str = "p1") -> None:
    await put(client, a_patient(id=patient))
    await put(client, *(an_observation(patient, id=f"o{n}-{patient}") for n in range(5)))


async def test_criteria_narrow_a_compartment(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
        await put(client, an_observation("p1", id="amended", status="amended"))
        assert found(await client.get("/Patient/p1/Observation?status=amended")) == ["Observation/amended"]
        assert found(await client.get("/Patient/p1/*?_id=p1,amended")) == [
            "Patient/p1",
            "Observation/amended",
        ]
        assert found(await client.get("/Patient/p1/*?_type=Patient")) == ["Patient/p1"]
        assert found(await client.get("/Patient/p2/Observation?status=amended")) == []


async def test_post_means_the_same_as_get(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
        by_get = found(await client.get("/Patient/p1/*"))
        assert len(by_get) == 6
        for path in ("/Patient/p1/_search", "/Patient/p1/*/_search"):
            assert found(await client.post(path, content="", headers=FORM)) == by_get
        answer = await client.post(
            "/Patient/p1/Observation/_search?status=final", content="_id=o2-p1", headers=FORM
        )
        assert found(answer) == ["Observation/o2-p1"]
        assert answer.json()["link"][0]["url"] == f"{BASE}/Patient/p1/Observation?status=final&_id=o2-p1"


@pytest.mark.parametrize("type", ["Observation", "*"])
@pytest.mark.parametrize("sort", ["", "&_sort=-_lastUpdated", "&_sort=-_id"])
async def test_pages_go_on_in_the_compartment(server: Server, type: str, sort: str) -> None:
    seen = []
    async with server.as_() as client:
        for patient in ("p1", "p2"):
            await _a_record(client, patient)
        where: str | None = f"{BASE}/Patient/p1/{type}?_count=2{sort}"
        while where is not None:
            answer = await client.get(where)
            seen += found(answer)
            links = {link["relation"]: link["url"] for link in answer.json()["link"]}
            assert links["self"] == f"{BASE}/Patient/p1/{type}?_count=2{sort}"
            where = links.get("next")
            assert where is None or where.startswith(f"{BASE}/Patient/p1/{type}?")
    expected = {f"Observation/o{n}-p1" for n in range(5)} | ({"Patient/p1"} if type == "*" else set())
    assert sorted(seen) == sorted(expected)


async def test_a_compartment_can_include(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
        answer = await client.get("/Patient/p1/Observation?_include=Observation:subject&_count=1")
    modes = [(entry["search"]["mode"], entry["resource"]["id"]) for entry in answer.json()["entry"]]
    assert modes == [("match", "o0-p1"), ("include", "p1")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("Organization/1/Observation", "Organization has no compartment"),
        ("Observation/1/*", "Observation has no compartment"),
        ("Patient/1/Organization", "R4 puts no Organization into a compartment of Patient"),
        ("Device/1/Condition", "R4 puts no Condition"),
        ("Patient/1/Nonsense", "is not a resource type"),
        ("Nonsense/1/Observation", "is not a resource type"),
        ("Patient/no_id/Observation", "is not a FHIR id"),
    ],
)
async def test_what_is_no_compartment_is_not_found_and_why(server: Server, path: str, said: str) -> None:
    async with server.as_() as client:
        for answer in (
            await client.get(f"/{path}"),
            await client.post(f"/{path}/_search", content="", headers=FORM),
        ):
            assert answer.status_code == 404
            assert said in issues_of(answer)[0]["diagnostics"]
        assert (await client.options(f"/{path}")).status_code == 404


@pytest.mark.parametrize(
    "query", ["Patient/1/Observation?nonsense=1", "Patient/1/*?code=x", "Patient/1/*?_type=Organization"]
)
async def test_criteria_that_are_not_understood_are_refused(server: Server, query: str) -> None:
    async with server.as_() as client:
        assert (await client.get(f"/{query}")).status_code == 400


async def test_the_methods_of_a_compartment_are_told(server: Server) -> None:
    async with server.as_() as client:
        for path, allowed in {
            "Patient/1/Observation": "GET, HEAD, OPTIONS",
            "Patient/1/*": "GET, HEAD, OPTIONS",
            "Patient/1/_search": "OPTIONS, POST",
            "Patient/1/Observation/_search": "OPTIONS, POST",
        }.items():
            assert (await client.options(f"/{path}")).headers["allow"] == allowed
        refused = await client.post("/Patient/1/Observation", json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_compartment_that_nobody_has_is_empty(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
        answer = await client.get("/Patient/nobody/*?_total=accurate")
    assert (found(answer), answer.json()["total"]) == ([], 0)


async def test_a_deleted_focus_leaves_what_refers_to_it(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
        assert (await client.delete("/Patient/p1")).status_code == 204
        assert found(await client.get("/Patient/p1/*")) == [f"Observation/o{n}-p1" for n in range(5)]
        assert found(await client.get("/Patient/p1/Patient")) == []


async def test_who_is_confined_sees_of_a_compartment_what_is_theirs(server: Server) -> None:
    async with server.as_() as client:
        for patient in ("p1", "p2"):
            await _a_record(client, patient)
        # p1's by the definition as well, since p1 performed it; it is about p2.
        performer = [{"reference": "Patient/p1"}, {"reference": "Practitioner/7"}]
        await put(client, an_observation("p2", id="by-p1", performer=performer))
        assert "Observation/by-p1" in found(await client.get("/Patient/p1/Observation"))
    async with server.as_("patient/*.rs", patient="p1") as client:
        own = found(await client.get("/Patient/p1/*"))
        assert sorted(own) == sorted(["Patient/p1", *(f"Observation/o{n}-p1" for n in range(5))])
        assert found(await client.get("/Practitioner/7/Observation")) == []
        assert found(await client.get("/Patient/p2/*")) == []


async def test_a_scope_for_some_types_answers_with_these(server: Server) -> None:
    async with server.as_() as client:
        await _a_record(client)
    async with server.as_("system/Patient.s") as client:
        assert found(await client.get("/Patient/p1/*")) == ["Patient/p1"]
        assert (await client.get("/Patient/p1/Observation")).status_code == 403
    async with server.as_("system/Organization.s") as client:
        assert (await client.get("/Patient/p1/*")).status_code == 403


async def test_the_record_names_the_compartment_and_its_patient(server: Server) -> None:
    async with server.as_() as client:
        await client.get("/Patient/p1/Observation?code=x")
        await client.get("/Patient/p2/*")
        await client.get("/Practitioner/7/Observation")
    async with server.as_("system/Organization.s") as client:
        assert (await client.get("/Patient/p3/Observation")).status_code == 403
    told = [(record.interaction, record.query, record.patients) for record in await server.records()]
    assert told[-4:] == [
        ("search-type", "Patient/p1/Observation?code=x", ("p1",)),
        ("search-system", "Patient/p2/*?", ("p2",)),
        ("search-type", "Practitioner/7/Observation?", ()),
        ("search-type", "Patient/p3/Observation?", ("p3",)),
    ]


async def test_audit_events_are_searched_in_compartments(server: Server) -> None:
    async with server.as_(user="Practitioner/7") as client:
        await _a_record(client)
    async with server.as_() as client:
        of_patient = (await client.get("/Patient/p1/AuditEvent?_total=accurate")).json()
        by_practitioner = (await client.get("/Practitioner/7/AuditEvent?_total=accurate")).json()
        of_another = (await client.get("/Practitioner/8/AuditEvent?_total=accurate")).json()
    assert of_patient["total"] >= 6
    assert (by_practitioner["total"], of_another["total"]) == (6, 0)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_an_entry_of_a_bundle_searches_in_a_compartment(server: Server, kind: str) -> None:
    urls = ["Patient/p1/Observation?_id=o1-p1", f"{BASE}/Patient/p1/*?_type=Patient"]
    bundle = {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"request": {"method": "GET", "url": url}} for url in urls],
    }
    async with server.as_() as client:
        await _a_record(client)
        answer = await client.post("/", json=bundle)
    assert answer.status_code == 200, answer.text
    pages = [entry["resource"] for entry in answer.json()["entry"]]
    assert [[entry["resource"]["id"] for entry in page["entry"]] for page in pages] == [["o1-p1"], ["p1"]]
    assert pages[0]["link"][0]["url"] == f"{BASE}/{urls[0]}"


@pytest.mark.parametrize("url", ["Organization/1/Observation", "Patient/1/Organization", "Patient/1/Foo"])
async def test_an_entry_for_what_is_no_compartment_is_refused(server: Server, url: str) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "GET", "url": url}}],
    }
    async with server.as_() as client:
        answer = await client.post("/", json=bundle)
    assert answer.status_code == 400
    assert issues_of(answer)[0]["expression"] == ["Bundle.entry[0].request.url"]
