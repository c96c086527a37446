"""
`_summary` and `_elements` over HTTP: what is shown, to whom, and that nothing else changes.

https://hl7.org/fhir/R4/search.html#summary
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
PATIENT = a_patient(
    id="p",
    text=NARRATIVE,
    active=True,
    name=[{"family": "f"}],
    maritalStatus={"text": "m"},
    contact=[{"name": {"family": "c"}}],
)
OBSERVATION = an_observation("p", id="o", text=NARRATIVE, note=[{"text": "n"}], valueInteger=7)
SHAPES = {
    "_summary=true": {"resourceType", "id", "meta", "active", "name"},
    "_summary=text": {"resourceType", "id", "meta", "text"},
    "_summary=data": {"resourceType", "id", "meta", "active", "name", "maritalStatus", "contact"},
    "_elements=contact,maritalStatus": {"resourceType", "id", "meta", "active", "maritalStatus", "contact"},
    "_elements=Patient.contact": {"resourceType", "id", "meta", "active", "contact"},
}


async def stored(server: Server) -> None:
    async with server.as_() as client:
        assert (await client.put("/Patient/p", json=PATIENT)).status_code == 201
        assert (await client.put("/Observation/o", json=OBSERVATION)).status_code == 201


def resources(bundle: httpx.Response) -> list[dict[str, Any]]:
    assert bundle.status_code == 200, bundle.text
    return [entry["resource"] for entry in bundle.json()["entry"] if "resource" in entry]


def is_subsetted(resource: dict[str, Any]) -> bool:
    return "SUBSETTED" in [tag["code"] for tag in resource["meta"].get("tag", [])]


def self_link(bundle: httpx.Response) -> list[tuple[str, str]]:
    (url,) = [link["url"] for link in bundle.json()["link"] if link["relation"] == "self"]
    return parse_qsl(urlsplit(url).query)


@pytest.mark.parametrize("query", SHAPES)
async def test_a_shape_is_the_same_wherever_it_is_asked_for(server: Server, query: str) -> None:
    await stored(server)
    async with server.as_() as client:
        read = await client.get(f"/Patient/p?{query}")
        vread = await client.get(f"/Patient/p/_history/1?{query}")
        (found,) = resources(await client.get(f"/Patient?_id=p&{query}"))
        (posted,) = resources(await client.post("/Patient/_search", data=dict([query.split("=")])))
        (past,) = resources(await client.get(f"/Patient/p/_history?{query}"))
        request = {"method": "GET", "url": f"Patient/p?{query}"}
        batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]}
        (entry,) = resources(await client.post("/", json=batch))
        whole = await client.get("/Patient/p")
    told = read.json()
    assert set(told) == SHAPES[query]
    assert is_subsetted(told)
    assert told == vread.json() == found == posted == past == entry
    assert (read.headers["etag"], vread.headers["etag"]) == ('W/"1"', 'W/"1"')
    assert read.headers["last-modified"] == whole.headers["last-modified"]
    assert told["meta"]["versionId"] == "1"
    assert not is_subsetted(whole.json())
    assert whole.json()["contact"] == PATIENT["contact"]


@pytest.mark.parametrize("query", ["_summary=true", "_elements=id"])
async def test_a_write_shows_what_it_is_asked_for_and_keeps_the_whole(server: Server, query: str) -> None:
    async with server.as_() as client:
        updated = await client.put(f"/Patient/p?{query}", json=PATIENT)
        created = await client.post(f"/Patient?{query}", json=PATIENT)
        conditional = await client.put(f"/Patient?_id=p&{query}", json=PATIENT | {"gender": "male"})
        minimal = await client.put(
            f"/Patient/p?{query}", json=PATIENT | {"gender": "other"}, headers={"Prefer": "return=minimal"}
        )
        whole = (await client.get("/Patient/p")).json()
    for answer in (updated, created, conditional):
        assert answer.is_success, answer.text
        assert is_subsetted(answer.json())
        assert "contact" not in answer.json()
    assert minimal.content == b""
    assert whole["contact"] == PATIENT["contact"]
    assert not is_subsetted(whole)


async def test_a_shape_is_no_version(server: Server) -> None:
    """What was read in one shape is not modified for being asked for in another."""
    await stored(server)
    async with server.as_() as client:
        etag = (await client.get("/Patient/p?_summary=true")).headers["etag"]
        again = await client.get("/Patient/p?_elements=name", headers={"If-None-Match": etag})
        same = await client.get("/Patient/p", headers={"If-None-Match": etag})
    assert (again.status_code, same.status_code) == (304, 304)


async def test_several_types_are_cut_each_by_its_own_elements(server: Server) -> None:
    await stored(server)
    async with server.as_() as client:
        page = await client.get("/?_type=Patient,Observation&_elements=Patient.contact,Observation.note")
        loose = await client.get("/?_type=Patient,Observation&_elements=contact,note")
    for bundle in (page, loose):
        by_type = {resource["resourceType"]: set(resource) for resource in resources(bundle)}
        assert by_type["Patient"] == {"resourceType", "id", "meta", "active", "contact"}
        assert by_type["Observation"] == {"resourceType", "id", "meta", "status", "code", "note"}


async def test_what_is_included_is_cut_by_a_summary_not_by_the_list(server: Server) -> None:
    await stored(server)
    include = "_include=Observation:subject"
    async with server.as_() as client:
        summary = resources(await client.get(f"/Observation?{include}&_summary=true"))
        listed = resources(await client.get(f"/Observation?{include}&_elements=note"))
        named = resources(await client.get(f"/Observation?{include}&_elements=note,Patient.name"))
        text = await client.get(f"/Observation?{include}&_summary=text")
    assert [is_subsetted(resource) for resource in summary] == [True, True]
    assert [is_subsetted(resource) for resource in listed] == [True, False]
    assert [is_subsetted(resource) for resource in named] == [True, True]
    assert text.status_code == 400


async def test_the_self_link_has_what_was_used(server: Server) -> None:
    await stored(server)
    async with server.as_() as client:
        used = [("_id", "p"), ("_elements", "name"), ("_pretty", "true"), ("_format", "json")]
        assert self_link(await client.get("/Patient", params=tuple(used))) == used
        history = [("_summary", "true"), ("_count", "5")]
        assert self_link(await client.get("/Patient/p/_history", params=tuple(history))) == history
        page = await client.get("/?_type=Patient,Observation&_count=1&_elements=id")
        (onward,) = [link["url"] for link in page.json()["link"] if link["relation"] == "next"]
        (second,) = resources(await client.get(onward.removeprefix(BASE)))
    assert is_subsetted(second)


@pytest.mark.parametrize(
    "path",
    [
        "Patient?_summary=yes",
        "Patient?_summary=",
        "Patient?_elements=",
        "Patient?_elements=nothing",
        "Patient?_elements=name.family",
        "Patient?_elements=name&_elements=id",
        "Patient?_summary=true&_elements=name",
        "Patient?_summary:x=true",
        "Patient/p?_summary=yes",
        "Patient/p?_summary=count",
        "Patient/p?_elements=Observation.note",
        "Patient/p?_elements=Observation.nothing",
        "Patient/p?name=f",
        "Patient/p?_count=1",
        "Patient/p?_elements=name&_elements=id",
        "Patient/p/_history/1?name=f",
        "Patient/p/_history?_summary=count",
        "Patient/p/_history?_elements=nothing",
        "_history?_summary=x",
    ],
)
async def test_what_cannot_be_shown_is_refused(server: Server, path: str) -> None:
    await stored(server)
    async with server.as_() as client:
        refused = await client.get(f"/{path}")
    if path == "Patient/p?_elements=Observation.note":
        # Known, and of no interest to a Patient: the whole is shown.
        assert refused.json() == refused.json() | PATIENT | {"meta": refused.json()["meta"]}
        return
    assert refused.status_code == 400, refused.text
    assert issues_of(refused)


@pytest.mark.parametrize("query", ["_summary=yes", "_elements=nothing", "x=y"])
async def test_a_write_refuses_what_it_does_not_know_before_it_writes(server: Server, query: str) -> None:
    await stored(server)
    changed = PATIENT | {"active": False}
    async with server.as_() as client:
        assert (await client.put(f"/Patient/p?{query}", json=changed)).status_code == 400
        assert (await client.post(f"/Patient?{query}", json=changed)).status_code == 400
        assert (await client.delete(f"/Patient/p?{query}")).status_code == 400
        assert (await client.get("/Patient/p")).headers["etag"] == 'W/"1"'
        assert len(resources(await client.get("/Patient"))) == 1


async def test_a_lenient_client_is_told_what_was_ignored(server: Server) -> None:
    """https://hl7.org/fhir/R4/search.html#errors"""
    await stored(server)
    lenient = {"Prefer": "handling=lenient"}
    async with server.as_() as client:
        for query in ("_summary=yes", "_elements=name,nothing", "_summary=true&_elements=name"):
            page = await client.get(f"/Patient?_id=p&{query}", headers=lenient)
            patient, outcome = resources(page)
            assert not is_subsetted(patient)
            for name in dict(parse_qsl(query)):
                assert f"`{name}`" in outcome["issue"][0]["diagnostics"]
            assert self_link(page) == [("_id", "p")]
        read = await client.get("/Patient/p?_summary=yes&x=y", headers=lenient)
    assert read.status_code == 200
    assert not is_subsetted(read.json())


async def test_what_is_hidden_stays_hidden_in_each_shape(server: Server) -> None:
    """A Group shows a confined caller their own membership alone, whatever is asked for."""
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "quantity": 2,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in ("p", "q")],
    }
    await stored(server)
    async with server.as_() as client:
        await client.put("/Patient/q", json=a_patient(id="q"))
        assert (await client.put("/Group/g", json=group)).status_code == 201
    async with server.as_("patient/*.rs", patient="p") as client:
        for query in (
            "_elements=member,quantity",
            "_summary=data",
            "_summary=true",
            "_elements=Group.member",
        ):
            for path in ("/Group/g?", "/Group?", "/Group/g/_history?", "/Group/g/_history/1?"):
                answer = await client.get(f"{path}{query}")
                assert "Patient/q" not in answer.text
                assert '"quantity"' not in answer.text
                assert answer.text.count("SUBSETTED") == 1, answer.text
        for query in ("_summary=true", "_elements=id", "_summary=text"):
            hidden, absent = await client.get(f"/Patient/q?{query}"), await client.get(f"/Patient/z?{query}")
            assert (hidden.status_code, absent.status_code) == (404, 404)


async def test_an_audit_event_has_a_summary_too(server: Server) -> None:
    await stored(server)
    async with server.as_() as client:
        await client.get("/Patient/p")
        (event, *_) = resources(await client.get("/AuditEvent?_count=1&_summary=true"))
        read = (await client.get(f"/AuditEvent/{event['id']}?_elements=recorded")).json()
    assert is_subsetted(event)
    assert {"type", "agent", "source", "recorded"} <= set(event)
    assert is_subsetted(read)
    assert "entity" not in read


async def test_counting_shows_nothing_but_the_number(server: Server) -> None:
    await stored(server)
    async with server.as_() as client:
        counted = (await client.get("/Patient?_summary=count")).json()
        both = (await client.get("/Patient?_summary=count&_elements=name")).json()
    for bundle in (counted, both):
        assert bundle["total"] == 1
        assert "entry" not in bundle
