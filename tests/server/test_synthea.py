"""Searches over real Bundles answer what plain Python finds in them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.running import Server

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "synthea"
BUNDLES = sorted(FOLDER.glob("*.json.gz"))[::8]

pytestmark = pytest.mark.skipif(not BUNDLES, reason="the Synthea Bundles are not beside the checkout")


@dataclass
class Loaded:
    """The resources as sent, by the id they got; `ids` from the Bundle's uuids to those."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def of(self, resource_type: str) -> dict[str, dict[str, Any]]:
        return {id: one for id, one in self.resources.items() if one["resourceType"] == resource_type}

    def target(self, reference: dict[str, str]) -> str:
        return self.ids[reference["reference"]]


async def _load(client: httpx.AsyncClient) -> Loaded:
    loaded = Loaded()
    for file in BUNDLES:
        text = gzip.decompress(file.read_bytes())
        answer = await client.post("/", content=text, headers={"Content-Type": "application/fhir+json"})
        assert answer.status_code == 200, answer.text[:500]
        for sent, told in zip(json.loads(text)["entry"], answer.json()["entry"], strict=True):
            id = told["response"]["location"].split("/")[-3]
            loaded.ids[sent["fullUrl"]] = id
            loaded.resources[id] = sent["resource"]
    return loaded


async def _found(client: httpx.AsyncClient, query: str) -> tuple[list[str], list[str], dict[str, Any]]:
    """Ids of matches and of included resources over all pages, and the first page."""
    page = (await client.get(f"/{query}")).json()
    first = page
    matches: list[str] = []
    included: list[str] = []
    while True:
        for entry in page.get("entry", []):
            into = matches if entry["search"]["mode"] == "match" else included
            into.append(entry["resource"]["id"])
        onward = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not onward:
            return matches, included, first
        page = (await client.get(onward[0])).json()


async def test_searches_find_what_is_in_the_bundles(server: Server) -> None:
    async with server.as_() as client:
        loaded = await _load(client)
        await _by_gender(client, loaded)
        await _by_code_newest_first(client, loaded)
        await _with_their_encounters(client, loaded)
        await _with_what_refers_to_them(client, loaded)
        await _with_what_they_lead_to(client, loaded)
        await _by_a_month(client, loaded)


async def _by_gender(client: httpx.AsyncClient, loaded: Loaded) -> None:
    expected = {id for id, patient in loaded.of("Patient").items() if patient["gender"] == "female"}
    matches, _, first = await _found(client, "Patient?gender=female&_total=accurate&_count=3")
    assert first["total"] == len(expected)
    assert sorted(matches) == sorted(expected)


async def _by_code_newest_first(client: httpx.AsyncClient, loaded: Loaded) -> None:
    observations = loaded.of("Observation")
    asked = Counter(
        (loaded.target(one["subject"]), one["code"]["coding"][0]["code"]) for one in observations.values()
    )
    for (patient, code), _ in asked.most_common(5):
        expected = [
            (one["effectiveDateTime"], id)
            for id, one in observations.items()
            if loaded.target(one["subject"]) == patient and one["code"]["coding"][0]["code"] == code
        ]
        matches, _, _ = await _found(
            client, f"Observation?patient={patient}&code={code}&_sort=-date&_count=4"
        )
        assert sorted(matches) == sorted(id for _, id in expected)
        dates = [observations[id]["effectiveDateTime"] for id in matches]
        assert dates == sorted(dates, reverse=True)


async def _with_their_encounters(client: httpx.AsyncClient, loaded: Loaded) -> None:
    conditions = loaded.of("Condition")
    for patient in list(loaded.of("Patient"))[:4]:
        expected = {id for id, one in conditions.items() if loaded.target(one["subject"]) == patient}
        encounters = {loaded.target(conditions[id]["encounter"]) for id in expected}
        matches, included, _ = await _found(
            client, f"Condition?subject=Patient/{patient}&_include=Condition:encounter"
        )
        assert sorted(matches) == sorted(expected)
        assert sorted(included) == sorted(encounters)


async def _with_what_refers_to_them(client: httpx.AsyncClient, loaded: Loaded) -> None:
    encounters = loaded.of("Encounter")
    referring = {**loaded.of("Condition"), **loaded.of("Procedure")}
    for patient in list(loaded.of("Patient"))[:4]:
        expected = {id for id, one in encounters.items() if loaded.target(one["subject"]) == patient}
        about = {id for id, one in referring.items() if loaded.target(one["encounter"]) in expected}
        matches, included, _ = await _found(
            client,
            f"Encounter?patient={patient}&_count=20"
            "&_revinclude=Condition:encounter&_revinclude=Procedure:encounter",
        )
        assert sorted(matches) == sorted(expected)
        assert sorted(included) == sorted(about)


async def _with_what_they_lead_to(client: httpx.AsyncClient, loaded: Loaded) -> None:
    """From a patient back to the Conditions, and from these to their Encounters."""
    conditions = loaded.of("Condition")
    for patient in list(loaded.of("Patient"))[:4]:
        own = {id for id, one in conditions.items() if loaded.target(one["subject"]) == patient}
        encounters = {loaded.target(conditions[id]["encounter"]) for id in own}
        matches, included, _ = await _found(
            client,
            f"Patient?_id={patient}&_revinclude=Condition:subject&_include:iterate=Condition:encounter",
        )
        assert matches == [patient]
        assert sorted(included) == sorted(own | encounters)


async def _by_a_month(client: httpx.AsyncClient, loaded: Loaded) -> None:
    observations = loaded.of("Observation")
    months = Counter(one["effectiveDateTime"][:4] for one in observations.values())
    year, _ = months.most_common(1)[0]
    # The Bundles' times have an offset of a few hours: what is near New Year is left to other tests.
    certain = {
        id
        for id, one in observations.items()
        if one["effectiveDateTime"][:4] == year and one["effectiveDateTime"][5:10] not in ("01-01", "12-31")
    }
    matches, _, _ = await _found(client, f"Observation?date={year}&_count=200")
    assert certain <= set(matches)
    assert len(matches) == len(set(matches))
    assert {observations[id]["effectiveDateTime"][:4] for id in matches} <= {
        year,
        str(int(year) - 1),
        str(int(year) + 1),
    }
