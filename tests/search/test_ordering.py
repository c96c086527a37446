"""https://hl7.org/fhir/R4/search.html#sort"""

from __future__ import annotations

from datetime import timedelta
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.asking.ordering import compare, sort_value
from fhir_server.search.asking.query import SortKey
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from tests.search.versions import NOW, a_version, query, version_of


def sorted_ids(versions: list[Version], order: tuple[SortKey, ...]) -> list[str]:
    def compared(left: Version, right: Version) -> int:
        return compare(left, right, order)

    return [version.key.id for version in sorted(versions, key=cmp_to_key(compared))]


def patient(id: str, **members: Any) -> Version:
    return version_of({"resourceType": "Patient", "id": id, **members}, sequence=id)


PATIENTS = [
    patient("1", name=[{"family": "anna"}, {"family": "Zoe"}], birthDate="1980-05", gender="male"),
    patient("2", name=[{"family": "Ann"}], birthDate="1980", gender="female"),
    patient("3", name=[{"text": "nobody"}], gender="male"),
    patient("4", name=[{"family": "Bela"}], birthDate="1979-12-31"),
]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("family", ["2", "1", "4", "3"]),
        ("-family", ["1", "4", "2", "3"]),
        ("birthdate", ["4", "2", "1", "3"]),
        ("-birthdate", ["1", "2", "4", "3"]),
        ("gender", ["2", "1", "3", "4"]),
        ("-gender,-family", ["1", "3", "2", "4"]),
        ("_id", ["1", "2", "3", "4"]),
        ("-_id", ["4", "3", "2", "1"]),
    ],
)
def test_patients_are_sorted(sort: str, ids: list[str]) -> None:
    assert sorted_ids(PATIENTS, query("Patient", ("_sort", sort)).order) == ids


def test_by_default_the_order_is_that_of_creation() -> None:
    assert sorted_ids(PATIENTS[::-1], query("Patient").order) == ["1", "2", "3", "4"]


def test_the_newest_update_comes_first_when_asked_for() -> None:
    versions = [
        a_version(id=str(n), sequence=str(n), updated=NOW + timedelta(milliseconds=n)) for n in range(3)
    ]
    assert sorted_ids(versions, (SortKey("updated", descending=True),)) == ["2", "1", "0"]


def test_codes_are_sorted_without_their_systems() -> None:
    def observation(id: str, system: str, code: str) -> Version:
        coding = {"system": system, "code": code}
        return version_of(
            {"resourceType": "Observation", "id": id, "code": {"coding": [coding]}}, sequence=id
        )

    versions = [observation("1", "http://a", "z"), observation("2", "http://z", "b")]
    assert sorted_ids(versions, (SortKey("parameter", "code"),)) == ["2", "1"]
    assert sorted_ids(versions, (SortKey("parameter", "combo-code"),)) == ["2", "1"]


def test_a_parameter_that_the_type_has_not_is_no_value() -> None:
    assert sort_value(a_version(), SortKey("parameter", "family")) is None


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 9)), unique_by=lambda pair: pair[1]
    ),
    st.booleans(),
)
def test_what_has_no_date_is_last_whichever_way(rows: list[tuple[int | None, int]], descending: bool) -> None:
    versions = [
        a_version(Entry(("Basic",), clinical_date=date), id=str(number), sequence=str(number))
        for date, number in rows
    ]
    order = (SortKey("clinical_date", "created", descending),)
    expected = sorted(
        rows, key=lambda row: (row[0] is None, -(row[0] or 0) if descending else (row[0] or 0), row[1])
    )
    assert sorted_ids(versions, order) == [str(number) for _, number in expected]
