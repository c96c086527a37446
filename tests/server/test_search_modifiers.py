"""Modifiers and composites over HTTP: https://hl7.org/fhir/R4/search.html#modifiers"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server, a_patient, an_observation, issues_of
from tests.server.test_search import ids_of

MR = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}

OTHERS = ["o1", "o2", "o5", "o6", "o7"]
CODED = {"coding": [{"system": "urn:c", "code": "c"}]}


def a_pressure(id: str, *, systolic: int, diastolic: int) -> dict[str, Any]:
    listed = {"8480-6": systolic, "8462-4": diastolic}
    components = [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }
        for code, value in listed.items()
    ]
    return an_observation("a", id=id, component=components)


async def _stored(server: Server) -> None:
    resources = [
        a_patient(
            id="a",
            name=[{"family": "Müller-Lüdenscheidt"}],
            identifier=[{"system": "urn:x", "value": "7", "type": {"coding": [MR], "text": "Record"}}],
        ),
        a_patient(id="b", name=[{"family": "Luden"}], identifier=[{"system": "urn:x", "value": "8"}]),
        an_observation("a", id="o1", code={"text": "Heart rate"}),
        an_observation("a", id="o2", code={"coding": [{"code": "1", "display": "Heart rhythm"}]}),
        a_pressure("o3", systolic=160, diastolic=80),
        a_pressure("o4", systolic=120, diastolic=90),
        an_observation("a", id="o5", valueString="Größe", code=CODED),
        an_observation("a", id="o6", valueDateTime="2024-05-06", code=CODED),
        an_observation("a", id="o7", valueCodeableConcept={"coding": [{"code": "v$w"}]}, code=CODED),
        {
            "resourceType": "MolecularSequence",
            "id": "s1",
            "coordinateSystem": 1,
            "referenceSeq": {
                "chromosome": {"coding": [{"system": "urn:x", "code": "1"}]},
                "genomeBuild": "GRCh38",
                "strand": "watson",
                "windowStart": 1000,
                "windowEnd": 2000,
            },
            "variant": [{"start": 1100, "end": 1150}, {"start": 1300, "end": 1310}, {"start": 9, "end": 5}],
        },
    ]
    async with server.as_() as client:
        for one in resources:
            written = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert written.status_code == 201, written.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?name:contains=LUDEN", ["a", "b"]),
        ("Patient?name:contains=ller-l", ["a"]),
        ("Patient?name:contains=l.*r", []),
        ("Patient?name=luden", ["a", "b"]),
        ("Patient?name:exact=Luden", ["b"]),
        ("Patient?identifier:text=rec", ["a"]),
        (f"Patient?identifier:of-type={MR['system']}|MR|7", ["a"]),
        (f"Patient?identifier:of-type={MR['system']}|MR|8", []),
        ("Observation?code:text=heart", ["o1", "o2"]),
        ("Observation?code:text=heart rh", ["o2"]),
        ("Observation?code:text=rate", []),
        ("Observation?code=heart rate", []),
        ("Observation?component-code-value-quantity=8480-6$gt100", ["o3", "o4"]),
        ("Observation?component-code-value-quantity=8480-6$lt100", []),
        ("Observation?component-code-value-quantity=http://loinc.org|$gt150", ["o3"]),
        ("Observation?component-code-value-quantity=http://loinc.org|$ge90||mm[Hg]", ["o3", "o4"]),
        ("Observation?component-code-value-quantity=urn:x|$ge90", []),
        ("Observation?code-value-concept=urn:c|$v\\$w", ["o7"]),
        ("Observation?code-value-string=urn:c|$gr", ["o5"]),
        ("Observation?code-value-date=urn:c|$2024", ["o6"]),
        ("MolecularSequence?chromosome-window-coordinate=1$le1000$ge2000", ["s1"]),
        ("MolecularSequence?chromosome-window-coordinate=urn:x|1$1000$2000", ["s1"]),
        ("MolecularSequence?chromosome-window-coordinate=urn:x|$1000$2000", ["s1"]),
        ("MolecularSequence?chromosome-window-coordinate=2$1000$2000", []),
        ("MolecularSequence?chromosome-variant-coordinate=1$1100$1150", ["s1"]),
        ("MolecularSequence?chromosome-variant-coordinate=1$1100$1310", []),
        ("MolecularSequence?chromosome-variant-coordinate=1$9$5", ["s1"]),
        ("MolecularSequence?chromosome-variant-coordinate:missing=true", []),
        ("Observation?component-code-value-quantity=http://loinc.org|8462-4$ge90||mm[Hg]", ["o4"]),
        ("Observation?component-code-value-quantity=urn:x|8462-4$ge90", []),
        ("Observation?combo-code-value-quantity=8480-6$160,8462-4$90", ["o3", "o4"]),
        ("Observation?component-code-value-quantity:missing=false", ["o3", "o4"]),
        ("Observation?component-code-value-quantity:missing=true&code-value-quantity:missing=true", OTHERS),
        ("Observation?code-value-string=urn:c|c$GROSSE", ["o5"]),
        ("Observation?code-value-date=c$ge2024-05", ["o6"]),
        ("Observation?code-value-date=c$lt2024-05", []),
        ("Observation?code-value-concept=c$v\\$w", ["o7"]),
        ("Observation?code-value-concept=c$v", []),
    ],
)
async def test_modifiers(server: Server, query: str, expected: list[str]) -> None:
    await _stored(server)
    async with server.as_() as client:
        assert ids_of(await client.get(f"/{query}")) == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("Patient?identifier:of-type=MR|7", 400),
        ("Patient?name:text=a", 400),
        ("Patient?gender:of-type=a|b|c", 400),
        ("Observation?code-value-quantity=5", 400),
        ("Observation?code-value-quantity:not=a$5", 400),
        ("Patient?identifier:in=http://a.example/vs", 400),
        ("Patient?active:not-in=http://a.example/vs", 400),
        ("Patient?phone:above=http://a.example|1", 400),
        ("Patient?organization:below=Organization/1", 400),
    ],
)
async def test_a_modifier_that_is_not_there_is_refused_by_name(
    server: Server, query: str, status: int
) -> None:
    name = query.partition("?")[2].partition("=")[0]
    async with server.as_() as client:
        answer = await client.get(f"/{query}", headers={"Prefer": "handling=lenient"})
    assert answer.status_code == status, answer.text
    assert name.partition(":")[0] in str(issues_of(answer))
