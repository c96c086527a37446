"""
Numbers as they were written, through everything, and found by their value.

https://hl7.org/fhir/R4/datatypes.html#decimal
"""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.server.running import Server

LITERALS: Final = ("1.00", "0.1e-7", "123456789012.345678", "-0")
JSON: Final = {"Content-Type": "application/fhir+json"}
XML: Final = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
PATCHES: Final = {
    "application/json-patch+json": '[{"op":"replace","path":"/status","value":"amended"}]',
    "application/xml-patch+xml": (
        '<diff xmlns:f="http://hl7.org/fhir">'
        '<replace sel="f:Observation/f:status/@value">amended</replace></diff>'
    ),
    "application/fhir+json": json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "operation",
                    "part": [
                        {"name": "type", "valueCode": "replace"},
                        {"name": "path", "valueString": "Observation.status"},
                        {"name": "value", "valueCode": "amended"},
                    ],
                }
            ],
        }
    ),
}


def observation(literal: str, id: str, status: str = "final") -> str:
    return (
        f'{{"resourceType":"Observation","id":"{id}","status":"{status}","code":{{"text":"x"}},'
        f'"valueQuantity":{{"value":{literal},"unit":"literal"}}}}'
    )


def said(literal: str) -> bytes:
    return f'"value":{literal},'.encode()


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_survives(server: Server, literal: str) -> None:
    id = f"literal-{LITERALS.index(literal)}"
    address = f"/Observation/{id}"
    async with server.as_() as client:
        created = await client.put(address, content=observation(literal, id), headers=JSON)
        read = await client.get(address)
        updated = await client.put(address, content=observation(literal, id, "corrected"), headers=JSON)
        assert [said(literal) in one.content for one in (created, read, updated)] == [True] * 3
        for kind, patch in PATCHES.items():
            await client.put(address, content=observation(literal, id), headers=JSON)
            patched = await client.patch(address, content=patch, headers={"Content-Type": kind})
            assert patched.status_code == 200, patched.text
            assert said(literal) in patched.content, kind
        history = await client.get(f"{address}/_history")
        assert history.content.count(said(literal)) == len(history.json()["entry"])
        entry = (
            f'{{"request":{{"method":"PUT","url":"Observation/{id}"}},"resource":{observation(literal, id)}}}'
        )
        bundle = f'{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}'
        stored = await client.post("", content=bundle, headers={**JSON, "Prefer": "return=representation"})
        assert stored.status_code == 200, stored.text
        assert said(literal) in (await client.get(address)).content
        as_xml = await client.get(address, headers={"Accept": "application/fhir+xml"})
        assert f'<value value="{literal}"/>'.encode() in as_xml.content
        put = await client.put(address, content=as_xml.content, headers=XML)
        assert put.status_code == 200, put.text
        assert said(literal) in (await client.get(address)).content


@pytest.mark.parametrize(
    ("asked", "literal"),
    [
        ("1", "1.00"),
        ("1.000", "1.00"),
        ("0.00000001", "0.1e-7"),
        ("1e-8", "0.1e-7"),
        ("123456789012.345678", "123456789012.345678"),
        ("gt123456789012.345677", "123456789012.345678"),
        ("0.000", "-0"),
        ("eb0.1||literal", "-0"),
    ],
)
async def test_a_literal_is_found_by_its_value(server: Server, asked: str, literal: str) -> None:
    async with server.as_() as client:
        for number, one in enumerate(LITERALS):
            await client.put(
                f"/Observation/found-{number}", content=observation(one, f"found-{number}"), headers=JSON
            )
        page = (
            await client.get("/Observation", params={"value-quantity": asked, "_id:not": "x", "_count": 100})
        ).json()
        none = (await client.get("/Observation", params={"value-quantity": "77.7"})).json()
    found = [entry["resource"]["id"] for entry in page["entry"]]
    assert f"found-{LITERALS.index(literal)}" in found
    assert "entry" not in none


async def test_quantities_are_sorted_by_value(server: Server) -> None:
    async with server.as_() as client:
        for number, literal in enumerate(("10", "9.5", "-3", "1e3")):
            text = observation(literal, f"sorted-{number}").replace('"literal"', '"sorted"')
            await client.put(f"/Observation/sorted-{number}", content=text, headers=JSON)
        page = (await client.get("/Observation?value-quantity=gt-100||sorted&_sort=value-quantity")).json()
    assert [entry["resource"]["id"] for entry in page["entry"]] == [
        "sorted-2",
        "sorted-1",
        "sorted-0",
        "sorted-3",
    ]
