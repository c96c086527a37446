"""Which of several versions a canonical means: https://hl7.org/fhir/R4/references.html#canonical"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from terminology.canonical import chosen, url_and_version

NOW = datetime(2024, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "1.1"),
        ("2.9", "2.10"),
        ("1.0", "1.0.1"),
        ("1.0-rc", "1.0"),
        ("1.0-rc1", "1.0"),
        ("v1", "v2"),
        ("2018-08-12", "2024-01-01"),
        ("alpha", "1"),
        ("alpha", "beta"),
        (None, "0.1"),
    ],
)
def test_the_greater_version_is_the_latest(older: str | None, newer: str) -> None:
    first = {"url": "u", "status": "active", **({"version": older} if older else {})}
    second = {"url": "u", "status": "active", "version": newer}
    for order in ((first, second), (second, first)):
        # The one that was written last is not the one that is meant.
        candidates = [(order[0], NOW), (order[1], NOW)]
        assert chosen(candidates, None) == second
    assert chosen([(second, NOW), (first, NOW + timedelta(days=1))], None) == second


def test_what_is_active_comes_before_what_is_not() -> None:
    retired = {"status": "retired", "version": "2"}
    active = {"status": "active", "version": "1"}
    assert chosen([(retired, NOW), (active, NOW)], None) == active
    assert chosen([(retired, NOW)], None) == retired


def test_of_the_same_version_the_one_updated_last_is_meant() -> None:
    one, other = {"status": "active", "name": "one"}, {"status": "active", "name": "other"}
    assert chosen([(one, NOW), (other, NOW + timedelta(seconds=1))], None) == other


def test_a_version_that_is_said_is_that_or_none() -> None:
    one, two = {"version": "1", "status": "draft"}, {"version": "2", "status": "active"}
    assert chosen([(one, NOW), (two, NOW)], "1") == one
    assert chosen([(one, NOW), (two, NOW)], "1.0") is None
    assert chosen([], None) is None


def test_a_canonical_is_a_url_and_perhaps_a_version() -> None:
    assert url_and_version("http://a.example/vs|1.0") == ("http://a.example/vs", "1.0")
    assert url_and_version("http://a.example/vs") == ("http://a.example/vs", None)
    assert url_and_version("http://a.example/vs|") == ("http://a.example/vs", None)
