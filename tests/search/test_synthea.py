"""
Searches over a synthetic population, against answers found in the JSON by plain Python that
knows nothing of tokens, predicates or FHIRPath.
"""

from __future__ import annotations

import gzip
import json
import operator
import random
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from fhir_server.r4.resource import from_text
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.version import Version
from tests.r4.packages import SYNTHEA
from tests.search.versions import query, version_of

pytestmark = pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the synthetic population is not here")

BUNDLES = 20
SEED = 7
Json = dict[str, Any]


@cache
def population() -> dict[str, list[tuple[Json, Version]]]:
    """Resources by type, references between them as a transaction leaves them."""
    found: dict[str, list[tuple[Json, Version]]] = {}
    for path in sorted(SYNTHEA.glob("*.json.gz"))[:BUNDLES]:
        text = gzip.decompress(path.read_bytes()).decode()
        keys = {
            entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in json.loads(text)["entry"]
        }
        for entry in from_text(resolved(text, keys).encode())["entry"]:
            resource = entry["resource"]
            found.setdefault(resource["resourceType"], []).append((resource, version_of(resource)))
    return found


def resolved(text: str, keys: dict[str, str]) -> str:
    return re.sub(r'"(urn:uuid:[^"]+)"', lambda found: f'"{keys.get(found[1], found[1])}"', text)


def all_of(type: str) -> list[Json]:
    return [resource for resource, _ in population()[type]]


def agree(type: str, name: str, value: str, expected: Iterable[Json]) -> int:
    """The search finds just these resources; how many."""
    predicate = query(type, (name, value)).predicate
    found = {resource["id"] for resource, version in population()[type] if matches(predicate, version)}
    assert found == {resource["id"] for resource in expected}
    return len(found)


def sample(values: Iterable[str], count: int = 5) -> list[str]:
    distinct = sorted(set(values))
    return random.Random(SEED).sample(distinct, min(count, len(distinct)))


def codings(concept: Any) -> Iterator[tuple[str, str]]:
    for item in concept if isinstance(concept, list) else [concept]:
        yield from ((coding["system"], coding["code"]) for coding in item.get("coding", ()))


@pytest.mark.parametrize("gender", ["female", "male"])
def test_patients_by_gender(gender: str) -> None:
    assert agree("Patient", "gender", gender, [p for p in all_of("Patient") if p["gender"] == gender]) > 0
    agree("Patient", "gender:not", gender, [p for p in all_of("Patient") if p["gender"] != gender])


PLAIN = str.maketrans("áéíóúüñÁÉÍÓÚÜÑ", "aeiouunAEIOUUN")


def names(patient: Json) -> Iterator[str]:
    for name in patient["name"]:
        yield from (name["family"], *name["given"], *name.get("prefix", ()))


def folded(name: str) -> str:
    return re.sub("['.]", "", name.translate(PLAIN).lower()).replace("-", " ")


def folded_names(patient: Json) -> list[str]:
    """From each of their words on."""
    found = [folded(name) for name in names(patient)]
    return [" ".join(name.split()[start:]) for name in found for start in range(len(name.split()))]


def test_patients_by_name() -> None:
    patients = all_of("Patient")
    for text in sample((name for patient in patients for name in names(patient)), 10):
        for start in (text, text[:3].upper(), text[:2]):
            wanted = folded(start)
            expected = [p for p in patients if any(name.startswith(wanted) for name in folded_names(p))]
            assert agree("Patient", "name", start, expected) > 0
        assert agree("Patient", "name:exact", text, [p for p in patients if text in names(p)]) > 0


ORDERS: dict[str, Callable[[str, str], bool]] = {
    # Dates of one precision sort as their text does, and a day lies wholly within the value or outside it.
    "": operator.eq,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "sa": operator.gt,
    "eb": operator.lt,
}


def test_patients_by_birthdate() -> None:
    patients = all_of("Patient")
    for date in sample(patient["birthDate"] for patient in patients):
        assert agree("Patient", "birthdate", date, [p for p in patients if p["birthDate"] == date]) > 0
        for prefix, holds in ORDERS.items():
            for value in (date[:4], date[:7], date):
                expected = [p for p in patients if holds(p["birthDate"][: len(value)], value)]
                agree("Patient", "birthdate", prefix + value, expected)


def test_patients_by_identifier() -> None:
    def has(patient: Json, system: str | None, value: str | None) -> bool:
        return any(
            system in (None, identifier["system"]) and value in (None, identifier["value"])
            for identifier in patient["identifier"]
        )

    patients = all_of("Patient")
    written = (
        f"{found['system']}|{found['value']}" for patient in patients for found in patient["identifier"]
    )
    for text in sample(written, 10):
        system, value = text.split("|")
        assert agree("Patient", "identifier", value, [p for p in patients if has(p, None, value)]) > 0
        assert agree("Patient", "identifier", text, [p for p in patients if has(p, system, value)]) > 0
        assert agree("Patient", "identifier", f"{system}|", [p for p in patients if has(p, system, None)]) > 0
        assert agree("Patient", "identifier", f"|{value}", []) == 0


@pytest.mark.parametrize(
    ("type", "name"), [("Observation", "patient"), ("Condition", "subject"), ("Encounter", "patient")]
)
def test_by_patient(type: str, name: str) -> None:
    for reference in sample(resource["subject"]["reference"] for resource in all_of(type)):
        expected = [resource for resource in all_of(type) if resource["subject"]["reference"] == reference]
        id = reference.removeprefix("Patient/")
        assert agree(type, name, reference, expected) > 0
        agree(type, name, id, expected)
        agree(type, f"{name}:Patient", id, expected)
        agree(type, name, f"https://fhir.example.org/r4/{reference}", expected)


@pytest.mark.parametrize(
    ("type", "name", "element"),
    [
        ("Observation", "code", "code"),
        ("Observation", "category", "category"),
        ("Condition", "clinical-status", "clinicalStatus"),
        ("Condition", "code", "code"),
        ("Encounter", "type", "type"),
    ],
)
def test_by_code(type: str, name: str, element: str) -> None:
    coded = [(resource, list(codings(resource.get(element, {})))) for resource in all_of(type)]
    for text in sample("|".join(coding) for _, found in coded for coding in found):
        system, code = text.split("|")
        assert agree(type, name, text, [r for r, found in coded if (system, code) in found]) > 0
        assert agree(type, name, code, [r for r, found in coded if code in [c for _, c in found]]) > 0
        assert agree(type, name, f"{system}|", [r for r, found in coded if system in dict(found)]) > 0
        agree(type, f"{name}:not", text, [r for r, found in coded if (system, code) not in found])
        agree(type, name, f"http://nowhere.example|{code}", [])
    agree(type, f"{name}:missing", "true", [r for r in all_of(type) if element not in r])


def test_encounters_by_class_and_status() -> None:
    encounters = all_of("Encounter")
    for code in sample(encounter["class"]["code"] for encounter in encounters):
        assert agree("Encounter", "class", code, [e for e in encounters if e["class"]["code"] == code]) > 0
    finished = [encounter for encounter in encounters if encounter["status"] == "finished"]
    assert agree("Encounter", "status", "finished", finished) > 0
    agree("Encounter", "status", "http://hl7.org/fhir/encounter-status|finished", finished)
    agree("Encounter", "status:not", "finished", [e for e in encounters if e["status"] != "finished"])


def start_and_end(value: str) -> tuple[datetime, datetime]:
    """First moment of a search value, and the first after it."""
    year, month, day = (int(part) for part in (value + "-01-01")[:10].split("-"))
    start = datetime(year, month, day, tzinfo=UTC)
    if len(value) == 10:
        return start, start + timedelta(days=1)
    following = start + timedelta(days=366 if len(value) == 4 else 31)
    return start, following.replace(day=1, month=1 if len(value) == 4 else following.month)


def date_holds(prefix: str, first: datetime, last: datetime, value: str) -> bool:
    """`first` and `last` are moments written to the second."""
    start, end = start_and_end(value)
    contained = start <= first and last < end
    return {
        "eq": contained,
        "ne": not contained,
        "lt": first < start,
        "gt": last >= end,
        "le": contained or first < start,
        "ge": contained or last >= end,
        "sa": first >= end,
        "eb": last < start,
    }[prefix]


def extent(resource: Json) -> tuple[datetime, datetime] | None:
    """First and last moment of what clinicians date the resource by, as far as it says."""
    match resource:
        case {"effectiveDateTime": moment} | {"onsetDateTime": moment}:
            return datetime.fromisoformat(moment), datetime.fromisoformat(moment)
        case {"period": {"start": start, "end": end}}:
            return datetime.fromisoformat(start), datetime.fromisoformat(end)
        case _:
            return None


@pytest.mark.parametrize(
    ("type", "name"), [("Observation", "date"), ("Condition", "onset-date"), ("Encounter", "date")]
)
def test_by_date(type: str, name: str) -> None:
    dated = [(resource, found) for resource in all_of(type) if (found := extent(resource))]
    total = 0
    for date in sample((f"{first:%Y-%m-%d}" for _, (first, _) in dated), 3):
        for value in (date[:4], date[:7], date):
            for prefix in ("eq", "ne", "lt", "gt", "le", "ge", "sa", "eb"):
                expected = [r for r, (first, last) in dated if date_holds(prefix, first, last, value)]
                total += agree(type, name, prefix + value, expected)
    assert total > 0
    agree(type, f"{name}:missing", "true", [r for r in all_of(type) if extent(r) is None])
