"""Between which moments clinical dates lie: a window never leaves a match out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.fhirpath.moments import MICROSECONDS_PER_DAY as DAY
from fhir_server.r4.interaction import Search
from fhir_server.search.asking.query import SearchLimits, parse
from fhir_server.search.asking.window import Window, is_short, window_of
from fhir_server.search.indexing.clinical_dates import earliest
from fhir_server.search.predicates.entry import Entry, Range
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.values.date import FUTURE, PAST
from tests.search.versions import a_version

_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_DATES = ("1999", "2000-01", "2000-01-01", "2000-01-02", "2000-01-01T12:00Z", "2000-02-29", "2001")
_START = 946_684_800_000_000
"""2000-01-01, in microseconds."""

_ranges = st.one_of(
    st.tuples(
        st.integers(-40, 400).map(lambda day: _START + day * DAY // 2), st.sampled_from((0, 1, DAY - 1, DAY))
    ).map(lambda begun: (begun[0], begun[0] + begun[1])),
    st.tuples(st.integers(-40, 0), st.integers(0, 400)).map(
        lambda days: (_START + days[0] * DAY, _START + days[1] * DAY)
    ),
    st.sampled_from(((PAST, _START), (_START, FUTURE), (PAST, FUTURE))),
)
_criteria = st.lists(
    st.lists(
        st.tuples(st.sampled_from(_PREFIXES), st.sampled_from(_DATES)).map("".join), min_size=1, max_size=2
    ).map(lambda values: ("date", ",".join(values))),
    min_size=1,
    max_size=2,
)


def _asked(*parameters: tuple[str, str]) -> Predicate:
    return parse(Search("Observation", parameters), limits=SearchLimits()).predicate


@given(_criteria, _ranges)
@settings(max_examples=400)
def test_the_window_has_each_short_match(criteria: list[tuple[str, str]], extent: tuple[int, int]) -> None:
    predicate = _asked(*criteria)
    found = Range("Observation|date", *extent)
    entry = Entry(("Observation",), (found,), clinical_date=earliest(*extent))
    window = window_of(predicate, ("Observation",)) or Window()
    if is_short((found,)) and matches(predicate, a_version(entry)):
        assert entry.clinical_date is not None
        assert window.start is None or window.start <= entry.clinical_date
        assert window.end is None or entry.clinical_date <= window.end


@pytest.mark.parametrize(
    ("parameters", "days"),
    [
        ([("date", "2000-01-01")], (0, 1)),
        ([("date", "ge2000-01-01"), ("date", "lt2000-01-03")], (0, 2)),
        ([("date", "gt2000-01-01")], (0, None)),
        ([("date", "le2000-01-01")], (None, 1)),
        ([("date", "2000-01-01,2000-01-05")], (0, 5)),
        ([("code", "1"), ("date", "sa2000-01-01")], (1, None)),
    ],
)
def test_a_window_is_as_wide_as_the_search_at_most(
    parameters: list[tuple[str, str]], days: tuple[int | None, int | None]
) -> None:
    found = window_of(_asked(*parameters), ("Observation",))
    assert found is not None
    start, end = days
    assert found.start == (None if start is None else _START + start * DAY)
    assert (found.end is None) is (end is None)
    if found.end is not None and end is not None:
        assert found.end <= _START + end * DAY


@pytest.mark.parametrize(
    ("type", "parameter"),
    [
        ("Observation", ("code", "1")),
        ("Observation", ("date:missing", "false")),
        ("Observation", ("date", "ne2000")),
        ("Observation", ("date", "gt2000,lt1990")),
        ("Practitioner", ("active", "true")),
    ],
)
def test_what_bounds_no_clinical_date_has_no_window(type: str, parameter: tuple[str, str]) -> None:
    predicate = parse(Search(type, (parameter,)), limits=SearchLimits()).predicate
    assert window_of(predicate, (type,)) is None
    assert window_of(predicate, (type, "Patient")) is None


@pytest.mark.parametrize(
    "extents", [[], [(0, DAY + 1)], [(PAST, 0)], [(0, FUTURE)], [(0, 0), (1, 1)], [(PAST, FUTURE)]]
)
def test_what_lasts_is_not_short(extents: list[tuple[int, int]]) -> None:
    assert not is_short([Range("Observation|date", *extent) for extent in extents])
