"""
PATCH over HTTP: three kinds, the same promises.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.server.running import Server, a_patient, issues_of

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
XML_PATCH = {"Content-Type": "application/xml-patch+xml"}
FHIRPATH = {"Content-Type": "application/fhir+json"}


def fhirpath(*operations: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": name, ("valueString" if name == "path" else f"value{kind}"): value}
                    for name, (kind, value) in operation.items()
                ],
            }
            for operation in operations
        ],
    }


def replaced_gender(kind: str, gender: str) -> tuple[dict[str, str], bytes]:
    match kind:
        case "json":
            change: Any = [{"op": "replace", "path": "/gender", "value": gender}]
            return JSON_PATCH, json.dumps(change).encode()
        case "xml":
            return XML_PATCH, (
                '<diff xmlns:f="http://hl7.org/fhir">'
                f'<replace sel="f:Patient/f:gender/@value">{gender}</replace></diff>'
            ).encode()
        case _:
            change = fhirpath(
                {
                    "type": ("Code", "replace"),
                    "path": ("String", "Patient.gender"),
                    "value": ("Code", gender),
                }
            )
            return FHIRPATH, json.dumps(change).encode()


KINDS = ("json", "xml", "fhirpath")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_patch_makes_a_new_version_and_keeps_what_it_does_not_touch(
    server: Server, kind: str
) -> None:
    text = (
        b'{"resourceType":"Observation","id":"kept","status":"final","code":{"text":"x"},'
        b'"subject":{"reference":"Patient/p"},"component":['
        b'{"code":{"text":"a"},"valueQuantity":{"value":1.00}},'
        b'{"code":{"text":"b"},"valueQuantity":{"value":0.1e-7}},'
        b'{"code":{"text":"c"},"valueQuantity":{"value":123456789012.345678}},'
        b'{"code":{"text":"d"},"valueQuantity":{"value":-0}}]}'
    )
    changes = {
        "json": (JSON_PATCH, b'[{"op":"replace","path":"/status","value":"amended"}]'),
        "xml": (
            XML_PATCH,
            (
                b'<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Observation/f:status/@value">'
                b"amended</replace></diff>"
            ),
        ),
        "fhirpath": (
            FHIRPATH,
            json.dumps(
                fhirpath(
                    {
                        "type": ("Code", "replace"),
                        "path": ("String", "Observation.status"),
                        "value": ("Code", "amended"),
                    }
                )
            ).encode(),
        ),
    }
    headers, content = changes[kind]
    async with server.as_() as client:
        await client.put("/Observation/kept", content=text, headers=FHIRPATH)
        patched = await client.patch("/Observation/kept", content=content, headers=headers)
        read = await client.get("/Observation/kept")
        # Back to the beginning for the next kind.
        await client.put("/Observation/kept", content=text, headers=FHIRPATH)
    assert patched.status_code == 200, patched.text
    assert patched.content == read.content
    assert patched.json()["status"] == "amended"
    for literal in (b":1.00}", b":0.1e-7}", b":123456789012.345678}", b":-0}"):
        assert literal in read.content


@pytest.mark.parametrize("kind", KINDS)
async def test_a_patch_keeps_to_if_match(server: Server, kind: str) -> None:
    headers, content = replaced_gender(kind, "other")
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(gender="male"))
        address = f"/Patient/{created.json()['id']}"
        stale = await client.patch(address, content=content, headers={**headers, "If-Match": 'W/"9"'})
        right = await client.patch(address, content=content, headers={**headers, "If-Match": 'W/"1"'})
    assert (stale.status_code, right.status_code) == (412, 200)
    assert right.headers["etag"] == 'W/"2"'


@pytest.mark.parametrize("kind", KINDS)
async def test_what_results_is_validated(server: Server, kind: str) -> None:
    headers, content = replaced_gender(kind, "nobody")
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(gender="male"))
        address = f"/Patient/{created.json()['id']}"
        refused = await client.patch(address, content=content, headers=headers)
        read = await client.get(address)
    assert refused.status_code == 422
    assert issues_of(refused)[0]["expression"] == ["Patient.gender"]
    assert read.json()["gender"] == "male"


async def test_a_test_that_fails_refuses_all_of_the_patch(server: Server) -> None:
    change = [
        {"op": "replace", "path": "/gender", "value": "female"},
        {"op": "test", "path": "/birthDate", "value": "1900-01-01"},
    ]
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(gender="male", birthDate="1980"))
        address = f"/Patient/{created.json()['id']}"
        refused = await client.patch(address, content=json.dumps(change), headers=JSON_PATCH)
        read = await client.get(address)
    assert refused.status_code == 422
    assert read.json()["gender"] == "male"
    assert "1980" not in refused.text


@pytest.mark.parametrize(
    "change",
    [
        [{"op": "replace", "path": "/id", "value": "stolen"}],
        [{"op": "add", "path": "/meta/versionId", "value": "99"}],
        [{"op": "replace", "path": "/meta/lastUpdated", "value": "2001-01-01T00:00:00Z"}],
        [{"op": "replace", "path": "/resourceType", "value": "Person"}],
        [{"op": "replace", "path": "", "value": {"resourceType": "Patient", "id": "stolen"}}],
        [{"op": "remove", "path": "/id"}],
    ],
)
async def test_identity_cannot_be_patched(server: Server, change: list[dict[str, Any]]) -> None:
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient())
        address = f"/Patient/{created.json()['id']}"
        refused = await client.patch(address, content=json.dumps(change), headers=JSON_PATCH)
        read = await client.get(address)
    assert refused.status_code == 422
    assert read.content == created.content


async def test_what_is_not_there_cannot_be_patched(server: Server) -> None:
    async with server.as_() as client:
        absent = await client.patch("/Patient/nobody", content="[]", headers=JSON_PATCH)
        created = await client.post("/Patient", json=a_patient())
        address = f"/Patient/{created.json()['id']}"
        await client.delete(address)
        gone = await client.patch(address, content="[]", headers=JSON_PATCH)
        unknown = await client.patch(address, content="[]", headers={"Content-Type": "text/plain"})
    assert [absent.status_code, gone.status_code, unknown.status_code] == [404, 410, 415]


async def test_what_is_hidden_is_patched_like_what_is_absent(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/hidden-1", json=a_patient(id="hidden-1", gender="male"))
    change = json.dumps([{"op": "test", "path": "/gender", "value": "male"}])
    async with server.as_("patient/Patient.cruds", patient="somebody") as app:
        hidden = await app.patch("/Patient/hidden-1", content=change, headers=JSON_PATCH)
        absent = await app.patch("/Patient/hidden-2", content=change, headers=JSON_PATCH)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("hidden-1", "hidden-2") == absent.text


async def test_a_patch_takes_the_rights_to_read_and_to_update(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/rights", json=a_patient(id="rights"))
    for scope, status in (("system/Patient.u", 403), ("system/Patient.r", 403), ("system/Patient.ru", 200)):
        async with server.as_(scope) as client:
            answer = await client.patch("/Patient/rights", content="[]", headers=JSON_PATCH)
        assert answer.status_code == status, scope


async def test_a_patch_cannot_leave_what_the_caller_may_write(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/a1", json=a_patient(id="a1"))
        created = await client.post(
            "/Observation",
            json={
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "x"},
                "subject": {"reference": "Patient/a1"},
            },
        )
    change = [{"op": "replace", "path": "/subject/reference", "value": "Patient/b1"}]
    async with server.as_("patient/Observation.cruds", patient="a1") as app:
        refused = await app.patch(
            f"/Observation/{created.json()['id']}", content=json.dumps(change), headers=JSON_PATCH
        )
    assert refused.status_code == 403


async def test_patches_of_many_callers_all_count(server: Server) -> None:
    """Each adds a name; none is lost, whatever the others do meanwhile."""
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(name=[{"family": "Zero"}]))
        address = f"/Patient/{created.json()['id']}"

        async def add(n: int) -> httpx.Response:
            change = [{"op": "add", "path": "/name/-", "value": {"family": f"N{n}"}}]
            return await client.patch(address, content=json.dumps(change), headers=JSON_PATCH)

        answers = await asyncio.gather(*(add(n) for n in range(25)))
        read = await client.get(address)
    assert {answer.status_code for answer in answers} == {200}
    assert {name["family"] for name in read.json()["name"]} == {"Zero", *(f"N{n}" for n in range(25))}
    assert read.headers["etag"] == 'W/"26"'


async def test_a_conditional_patch_is_of_the_one_that_matches(server: Server) -> None:
    system = "http://hospital.example/patch"
    headers, content = replaced_gender("json", "female")
    address = f"/Patient?identifier={system}|1"
    async with server.as_() as client:
        none = await client.patch(address, content=content, headers=headers)
        person = a_patient(identifier=[{"system": system, "value": "1"}], gender="male")
        created = await client.post("/Patient", json=person)
        patched = await client.patch(address, content=content, headers=headers)
        await client.post("/Patient", json=person)
        several = await client.patch(address, content=content, headers=headers)
    assert [none.status_code, patched.status_code, several.status_code] == [404, 200, 412]
    assert (patched.json()["id"], patched.json()["gender"]) == (created.json()["id"], "female")
