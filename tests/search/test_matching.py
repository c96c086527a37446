"""A predicate asked of one version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.predicates.entry import Entry, Point, Range
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    Everything,
    InRange,
    Near,
    Not,
    Nothing,
    OfPatients,
    OnlyOfPatients,
    Or,
    Predicate,
    RangePrefix,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    Updated,
    WithId,
    WithKey,
    all_of,
    any_of,
    none_of,
    token,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values.escaping import written
from fhir_server.search.values.folding import folded
from tests.search.versions import NOW, a_version, finds

ENTRY = Entry(
    tokens=("Basic", "Basic|code|a", "Basic|author|Patient/1"),
    ranges=(Range("Basic|created", 10, 20), Range("Basic|created", 100, 110), Range("Basic|other", 0, 1000)),
    patients=("1", "2"),
    point=Point(10.0, 20.0),
)


def ids(*values: str) -> frozenset[str]:
    return frozenset(values)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (Everything(), True),
        (Nothing(), False),
        (token("Basic|code|a"), True),
        (token("Basic|code|b"), False),
        (AnyToken(ids("x", "Basic")), True),
        (AnyToken(ids()), False),
        (TokenPrefix("Basic|code|"), True),
        (TokenPrefix("Basic|code|ab"), False),
        (TokenBetween("Basic|code|a", "Basic|code|b"), True),
        (TokenBetween("Basic|code|", "Basic|code|a"), False),
        (InRange("Basic|created"), True),
        (InRange("Basic|nothing"), False),
        (InRange("Basic|created", low_min=10, high_max=20), True),
        (InRange("Basic|created", low_min=11, high_max=99), False),
        (InRange("Basic|created", low_min=50, high_max=50), False),
        (InRange("Basic|created", high_min=110), True),
        (InRange("Basic|created", high_min=111), False),
        (InRange("Basic|created", low_max=10), True),
        (InRange("Basic|created", low_max=9), False),
        (OfPatients(ids("2", "3")), True),
        (OfPatients(ids("3")), False),
        (OnlyOfPatients(ids("1", "2", "3")), True),
        (OnlyOfPatients(ids("1")), False),
        (WithId(ids("1")), True),
        (WithId(ids("2")), False),
        (WithKey(ids("Basic/1", "Basic/2")), True),
        (WithKey(ids("Patient/1")), False),
        (Updated(start=NOW), True),
        (Updated(start=NOW + timedelta(microseconds=1)), False),
        (Updated(end=NOW), False),
        (Updated(end=NOW + timedelta(microseconds=1)), True),
        (Updated(), True),
        (Near(Point(10.0, 20.0), 1.0), True),
        (Near(Point(10.0, 20.1), 1.0), False),
        (And((token("Basic"), token("Basic|code|a"))), True),
        (And((token("Basic"), token("Basic|code|b"))), False),
        (And(()), True),
        (Or((token("Basic|code|b"), token("Basic"))), True),
        (Or(()), False),
        (Not(token("Basic")), False),
    ],
)
def test_a_predicate_is_true_or_not(predicate: Predicate, expected: bool) -> None:
    assert matches(predicate, a_version(ENTRY)) is expected


def test_without_patients_a_version_is_only_of_anybody() -> None:
    assert matches(OnlyOfPatients(ids()), a_version())
    assert not matches(OfPatients(ids("1")), a_version())


leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.just(Everything()),
    st.just(Nothing()),
    st.builds(AnyToken, st.frozensets(st.sampled_from((*ENTRY.tokens, "x", "y")), max_size=2)),
    st.builds(TokenPrefix, st.sampled_from(["Basic|", "Basic|code|b"])),
    st.builds(RangePrefix, st.sampled_from(["Basic|", "Basic|x"])),
    st.builds(TokenContaining, st.just("Basic|code|"), st.sampled_from(["a", "b"])),
    st.builds(Near, st.just(Point(10.0, 21.0)), st.sampled_from([1.0, 200_000.0])),
    st.builds(WithId, st.frozensets(st.sampled_from(["1", "2"]), max_size=1)),
    st.builds(Updated, st.sampled_from([None, NOW, datetime(2030, 1, 1, tzinfo=UTC)])),
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(st.lists(predicates, max_size=4))
def test_simplifying_changes_no_answer(parts: list[Predicate]) -> None:
    version = a_version(ENTRY)
    answers = [matches(part, version) for part in parts]
    assert matches(all_of(*parts), version) is all(answers)
    assert matches(any_of(*parts), version) is any(answers)
    assert matches(union(parts), version) is any(answers)
    assert [matches(none_of(part), version) for part in parts] == [not answer for answer in answers]


@given(st.text(alphabet="a|\\-'. é", min_size=1, max_size=6), st.text(alphabet="a|\\-'. é", max_size=9))
def test_contains_finds_exactly_the_strings_that_have_the_text(text: str, value: str) -> None:
    patient = {"resourceType": "Patient", "name": [{"family": value}]}
    if folded(text):
        expected = folded(text) in folded(value)
        assert finds(patient, "name:contains", written(text)) == expected


texts_of_names = st.text(alphabet="ab -'", min_size=1, max_size=8)


@given(texts_of_names, texts_of_names, texts_of_names, st.text(alphabet="ab -", min_size=1, max_size=4))
def test_a_name_is_found_by_the_beginning_of_each_of_its_words(
    family: str, given_name: str, text: str, asked: str
) -> None:
    patient = {"resourceType": "Patient", "name": [{"family": family, "given": [given_name], "text": text}]}
    wanted = folded(asked)
    if wanted:
        parts = {"family": [family], "given": [given_name], "name": [family, given_name, text]}
        for code, stated in parts.items():
            expected = any(f" {wanted}" in f" {folded(each)}" for each in stated)
            assert finds(patient, code, asked) == expected
            assert finds(patient, f"{code}:exact", asked) == (asked in stated)
        assert finds(patient, "_filter", f'family sw "{asked}"') == folded(family).startswith(wanted)


@given(st.integers(0, 1_000), st.integers(1, 200), st.integers(190, 1_200))
def test_contains_finds_any_part_of_a_text_of_any_length(start: int, length: int, size: int) -> None:
    # No two parts of the text are alike.
    text = "".join(f"{number:x}g" for number in range(size))[:size]
    part = text[start : start + length]
    observation = {"resourceType": "Observation", "valueString": text}
    if part:
        assert finds(observation, "value-string:contains", part)
        assert not finds(observation, "value-string:contains", f"{part[:-1]}x")
