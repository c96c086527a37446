"""Which searches are polled, so that they show only what nothing older can come behind."""

from __future__ import annotations

import pytest

from fhir_server.search.predicates.feeds import is_feed
from tests.search.versions import query

SINCE = ("_lastUpdated", "ge2024-03-01")


@pytest.mark.parametrize(
    "asked",
    [
        [("_lastUpdated", "gt2024")],
        [("_lastUpdated", "sa2024")],
        [SINCE],
        [SINCE, ("_lastUpdated", "gt2024-05")],
        [SINCE, ("name", "a")],
        [SINCE, ("general-practitioner.name", "a")],
        [("_lastUpdated", "ge2024,ge2025")],
        # What was updated in a year of the past, or since: it goes on without end.
        [("_lastUpdated", "ge2024,2020")],
        [("_filter", "name eq a or _lastUpdated gt 2024")],
        [("_filter", "name eq a and (birthdate eq 2020 or _lastUpdated ge 2024)")],
    ],
)
def test_what_has_a_lower_bound_alone_is_a_feed(asked: list[tuple[str, str]]) -> None:
    assert is_feed(query("Patient", *asked).predicate)


@pytest.mark.parametrize(
    "asked",
    [
        [],
        [("name", "a")],
        [("_lastUpdated", "2024")],
        [("_lastUpdated", "lt2024")],
        [("_lastUpdated", "ne2024")],
        [("_lastUpdated", "ap2024")],
        [("_lastUpdated:missing", "false")],
        [SINCE, ("_lastUpdated", "lt2025")],
        [("_lastUpdated", "le2025"), ("name", "a"), SINCE],
        [("_filter", "_lastUpdated ge 2024 and _lastUpdated lt 2025")],
        # About others' updates: a match may come whenever it was updated itself.
        [("organization._lastUpdated", "ge2024")],
        [("_has:Observation:patient:_lastUpdated", "ge2024")],
    ],
)
def test_what_has_none_or_an_upper_one_beside_it_is_none(asked: list[tuple[str, str]]) -> None:
    assert not is_feed(query("Patient", *asked).predicate)
