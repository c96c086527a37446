"""Quantities in UCUM's units over HTTP: https://hl7.org/fhir/R4/search.html#quantity"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server, a_patient, an_observation
from tests.server.test_search import ids_of

UCUM = "http://unitsofmeasure.org"


def quantity(value: float, code: str, **more: Any) -> dict[str, Any]:
    return {"value": value, "system": UCUM, "code": code, **more}


def a_pressure(id: str, systolic: dict[str, Any]) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}
    return an_observation("a", id=id, component=[{"code": code, "valueQuantity": systolic}])


async def _stored(server: Server) -> None:
    values = {
        "five-mg": quantity(5, "mg", unit="milligram"),
        "in-g": quantity(0.005, "g"),
        "in-ug": quantity(5004, "ug"),
        "in-kg": quantity(1, "kg"),
        "in-mL": quantity(5, "mL"),
        "no-code": quantity(5, "mgg"),
        "other": {"value": 5, "system": "urn:other", "code": "mg", "unit": "mg"},
        "bare": {"value": 5},
        "below": quantity(5, "mg", comparator="<"),
        "fever": quantity(100.4, "[degF]"),
        "warm": quantity(37, "Cel"),
    }
    resources = [
        a_patient(id="a"),
        *(an_observation("a", id=id, valueQuantity=value) for id, value in values.items()),
        a_pressure("high", quantity(20, "kPa")),
        a_pressure("normal", quantity(120, "mm[Hg]")),
        an_observation("a", id="none"),
    ]
    async with server.as_() as client:
        for one in resources:
            written = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert written.status_code == 201, written.text


Asked = list[tuple[str, list[str]]]

# Whatever the unit, with the precision of what is asked: 5 mg is [4.5, 5.5) mg.
PRECISION: Asked = [
    (f"5|{UCUM}|mg", ["five-mg", "in-g", "in-ug"]),
    (f"0.005|{UCUM}|g", ["five-mg", "in-g", "in-ug"]),
    (f"5000|{UCUM}|ug", ["five-mg", "in-g"]),
    (f"5.00|{UCUM}|mg", ["five-mg", "in-g", "in-ug"]),
    (f"5.000|{UCUM}|mg", ["five-mg", "in-g"]),
    (f"0.0050|{UCUM}|g", ["five-mg", "in-g", "in-ug"]),
    (f"0.00500000|{UCUM}|g", ["five-mg", "in-g"]),
    (f"5e-3|{UCUM}|g", ["five-mg", "in-g", "in-ug"]),
    (f"1000000000|{UCUM}|ug", ["in-kg"]),
]

# Each prefix.
PREFIXES: Asked = [
    (f"ne5|{UCUM}|mg", ["in-kg", "below"]),
    (f"gt5|{UCUM}|mg", ["in-ug", "in-kg"]),
    (f"gt5000|{UCUM}|ug", ["in-ug", "in-kg"]),
    (f"ge0.005|{UCUM}|g", ["five-mg", "in-g", "in-ug", "in-kg", "below"]),
    (f"lt0.005|{UCUM}|g", ["below"]),
    (f"le5|{UCUM}|mg", ["five-mg", "in-g", "below"]),
    (f"sa5|{UCUM}|mg", ["in-ug", "in-kg"]),
    (f"eb1|{UCUM}|kg", ["five-mg", "in-g", "in-ug", "below"]),
    (f"ap4.6|{UCUM}|mg", ["five-mg", "in-g", "in-ug", "below"]),
    (f"ap0.9|{UCUM}|kg", []),
]

# Other dimensions, no codes, other systems.
UNITS: Asked = [
    (f"5|{UCUM}|mL", ["in-mL"]),
    (f"0.005|{UCUM}|L", ["in-mL"]),
    (f"5|{UCUM}|mmol", []),
    (f"5|{UCUM}|mgg", ["no-code"]),
    (f"5|{UCUM}|MG", []),
    (f"5|{UCUM}|((((((((((m", []),
    ("5|urn:other|mg", ["other"]),
    ("0.005|urn:other|g", []),
]

# As it is written.
WRITTEN: Asked = [
    ("5", ["five-mg", "in-mL", "no-code", "other", "bare"]),
    ("0.005", ["in-g"]),
    ("5||mg", ["five-mg", "other"]),
    ("5||milligram", ["five-mg"]),
    ("5||g", []),
]

# Temperatures have an offset.
TEMPERATURES: Asked = [
    (f"38.0|{UCUM}|Cel", ["fever"]),
    (f"311.15|{UCUM}|K", ["fever"]),
    (f"98.6|{UCUM}|[degF]", ["warm"]),
    (f"gt37|{UCUM}|Cel", ["fever"]),
]

COMPOSITES: Asked = [
    ("8480-6$gt140", []),
    ("8480-6$gt100", ["normal"]),
    ("8480-6$20", ["high"]),
    (f"8480-6$gt140|{UCUM}|mm[Hg]", ["high"]),
    (f"8480-6$120|{UCUM}|mm[Hg]", ["normal"]),
    (f"8480-6$16.0|{UCUM}|kPa", ["normal"]),
    (f"http://loinc.org|8480-6$ge16|{UCUM}|kPa", ["high"]),
    (f"http://loinc.org|8480-6$ge15.9|{UCUM}|kPa", ["high", "normal"]),
    (f"urn:x|8480-6$ge15.9|{UCUM}|kPa", []),
    (f"8462-4$ge15.9|{UCUM}|kPa", []),
    (f"8480-6$ge1|{UCUM}|kg", []),
    ("8480-6$20||kPa", ["high"]),
    ("http://loinc.org|8480-6$20||kPa", ["high"]),
    ("http://loinc.org|8480-6$20", ["high"]),
]


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["value-quantity"], PRECISION),
        (["value-quantity"], PREFIXES),
        (["value-quantity"], UNITS),
        (["value-quantity"], WRITTEN),
        (["value-quantity"], TEMPERATURES),
        (["component-code-value-quantity", "combo-code-value-quantity"], COMPOSITES),
    ],
    ids=["precision", "prefixes", "units", "as-written", "temperatures", "composites"],
)
async def test_a_quantity_is_found_in_each_commensurable_unit(
    server: Server, names: list[str], asked: Asked
) -> None:
    await _stored(server)
    async with server.as_() as client:
        found = {
            (name, text): ids_of(await client.get("/Observation", params={name: text}))
            for name in names
            for text, _ in asked
        }
    assert found == {(name, text): ids for name in names for text, ids in asked}


async def test_what_is_counted_is_what_is_found(server: Server) -> None:
    await _stored(server)
    async with server.as_() as client:
        for text, ids in PREFIXES:
            counted = await client.get("/Observation", params={"value-quantity": text, "_summary": "count"})
            assert counted.json()["total"] == len(ids), text


async def test_quantities_are_sorted_by_what_they_are_not_by_how_they_are_written(server: Server) -> None:
    await _stored(server)
    async with server.as_() as client:
        masses = {"value-quantity": f"ge-1|{UCUM}|g", "value-quantity:missing": "false"}
        up = await client.get("/Observation", params={**masses, "_sort": "value-quantity,_id"})
        down = await client.get("/Observation", params={**masses, "_sort": "-value-quantity,_id"})
    assert ids_of(up) == ["below", "five-mg", "in-g", "in-ug", "in-kg"]
    assert ids_of(down) == ["in-kg", "in-ug", "below", "five-mg", "in-g"]


async def test_missing_asks_for_a_number_whatever_its_unit(server: Server) -> None:
    await _stored(server)
    async with server.as_() as client:
        absent = await client.get("/Observation?value-quantity:missing=true")
        present = await client.get("/Observation?value-quantity:missing=false&_summary=count")
    assert ids_of(absent) == ["high", "normal", "none"]
    assert present.json()["total"] == 11
