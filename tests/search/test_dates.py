"""
Dates as intervals: what is extracted, and each prefix against a reading of the specification
that asks of every single moment.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath.moments import interval, microseconds, moment
from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Key
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import parse
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry, Range
from fhir_server.search.predicates.matching import matches
from fhir_server.search.values.date import FUTURE, PAST, PREFIXES, Comparison, comparison, in_range, updated
from tests.search.versions import a_version, finds, query, version_of

moments = st.integers(-2_000_000_000_000_000, 4_000_000_000_000_000).map(moment)
small = st.integers(0, 12)
extents = st.tuples(small, small).map(lambda pair: (min(pair), max(pair)))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2012", "2012-01-01T00:00:00+00:00", "2012-12-31T23:59:59.999999+00:00"),
        ("2012-02", "2012-02-01T00:00:00+00:00", "2012-02-29T23:59:59.999999+00:00"),
        ("2012-12", "2012-12-01T00:00:00+00:00", "2012-12-31T23:59:59.999999+00:00"),
        ("2012-02-29", "2012-02-29T00:00:00+00:00", "2012-02-29T23:59:59.999999+00:00"),
        ("2012-02-29T10:11Z", "2012-02-29T10:11:00+00:00", "2012-02-29T10:11:59.999999+00:00"),
        ("2012-02-29T10:11:12+02:00", "2012-02-29T08:11:12+00:00", "2012-02-29T08:11:12.999999+00:00"),
        ("2012-02-29T10:11:12.5Z", "2012-02-29T10:11:12.500000+00:00", "2012-02-29T10:11:12.599999+00:00"),
        ("2012-02-29T10:11:12.123Z", "2012-02-29T10:11:12.123000+00:00", "2012-02-29T10:11:12.123999+00:00"),
        (
            "2012-02-29T10:11:12.1234567Z",
            "2012-02-29T10:11:12.123456+00:00",
            "2012-02-29T10:11:12.123456+00:00",
        ),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59+00:00", "2016-12-31T23:59:59.999999+00:00"),
        ("0001", "0001-01-01T00:00:00+00:00", "0001-12-31T23:59:59.999999+00:00"),
        ("9999-12", "9999-12-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_a_date_is_all_that_its_precision_leaves_open(text: str, first: str, last: str) -> None:
    low, high = interval(text)
    assert (moment(low).isoformat(), moment(high).isoformat()) == (first, last)


def test_a_date_without_a_zone_is_in_the_zone_of_the_site() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    low, high = interval("2024-03-31", berlin)
    assert moment(low) == datetime(2024, 3, 30, 23, tzinfo=UTC)
    assert high - low + 1 == 23 * 3_600 * 1_000_000, "the clocks were put forward"
    assert interval("2024-03-31T12:00:00", berlin)[0] == interval("2024-03-31T10:00:00Z")[0]
    assert interval("2024-03-31T12:00:00Z", berlin) == interval("2024-03-31T12:00:00Z")


@pytest.mark.parametrize(
    "text", ["", "20", "201", "2012-1", "2012-13", "2012-02-30", "2012-W01-1", "20120101", "x"]
)
def test_what_is_no_date_has_no_interval(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)date|iso|month|day|literal"):
        interval(text)


@given(moments)
def test_a_moment_is_found_again(when: datetime) -> None:
    assert moment(microseconds(when)) == when
    low, high = interval(when.isoformat())
    assert low <= microseconds(when) <= high


@given(moments, st.sampled_from([4, 7, 10, 19]))
def test_a_more_precise_date_lies_within_a_less_precise_one(when: datetime, digits: int) -> None:
    exact = f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06d}Z"
    coarse = exact[:digits] + ("Z" if digits == 19 else "")
    outer, inner = interval(coarse), interval(exact)
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


def by_moments(prefix: str, resource: tuple[int, int], value: tuple[int, int]) -> bool:
    """The table of https://hl7.org/fhir/R4/search.html#prefix, word by word, over sets of moments."""
    target = set(range(resource[0], resource[1] + 1))
    searched = set(range(value[0], value[1] + 1))
    above = set(range(value[1] + 1, 100))
    below = set(range(-100, value[0]))
    match prefix:
        case "eq":
            return searched >= target
        case "ne":
            return not searched >= target
        case "gt":
            return bool(above & target)
        case "lt":
            return bool(below & target)
        case "ge":
            return bool(above & target) or searched >= target
        case "le":
            return bool(below & target) or searched >= target
        case "sa":
            return above >= target
        case "eb":
            return below >= target
        case _:
            raise AssertionError(prefix)


@given(st.sampled_from([prefix for prefix in PREFIXES if prefix != "ap"]), extents, extents)
def test_each_prefix_means_what_the_specification_says(
    prefix: str, resource: tuple[int, int], value: tuple[int, int]
) -> None:
    version = a_version(Entry(ranges=(Range("Basic|date", *resource),)))
    asked = in_range("Basic|date", Comparison(prefix, *value))
    assert matches(asked, version) == by_moments(prefix, resource, value)


@given(st.sampled_from(PREFIXES), moments, st.sampled_from([4, 7, 10, 19]))
def test_last_updated_is_compared_as_any_date(prefix: str, when: datetime, digits: int) -> None:
    text = prefix + f"{when:%Y-%m-%dT%H:%M:%S}"[:digits] + ("Z" if digits == 19 else "")
    compared = comparison("_lastUpdated", text, UTC)
    for offset in (timedelta(0), timedelta(days=1), timedelta(days=-400), timedelta(microseconds=1)):
        at = when + offset
        version = a_version(
            Entry(ranges=(Range("Basic|date", microseconds(at), microseconds(at)),)), updated=at
        )
        assert matches(updated(compared), version) == matches(in_range("Basic|date", compared), version)


@given(extents)
def test_approximately_is_wider_than_equal_on_both_sides(value: tuple[int, int]) -> None:
    asked = in_range("Basic|date", Comparison("ap", *value))
    day = 86_400_000_000
    for at, expected in ((value[0] - day, True), (value[1] + day, True), (value[0] - 2 * day, False)):
        assert matches(asked, a_version(Entry(ranges=(Range("Basic|date", at, at),)))) is expected


def test_not_equal_wants_a_date_that_differs() -> None:
    assert not matches(in_range("Basic|date", Comparison("ne", 1, 2)), a_version())


@pytest.mark.parametrize(
    ("date", "value", "found"),
    [
        # The examples of https://hl7.org/fhir/R4/search.html#date.
        ("2013-01-14", "eq2013-01-14", True),
        ("2013-01-14T00:00:00Z", "eq2013-01-14", True),
        ("2013-01-14T10:00:00Z", "eq2013-01-14", True),
        ("2013-01-15T00:00:00Z", "eq2013-01-14", False),
        ("2013-01-15T00:00:00Z", "ne2013-01-14", True),
        ("2013-01-14T10:00:00Z", "ne2013-01-14", False),
        ("2013-01-14", "lt2013-01-14T10:00Z", True),
        ("2013-01-14", "gt2013-01-14T10:00Z", True),
        ("2010-06-01", "ge2010", True),
        ("2010-01-01", "ge2010", True),
        ("2009-12-31", "ge2010", False),
        ("2010-12-31", "le2010", True),
        ("2011-01-01", "le2010", False),
        ("2010", "2010-06", False),
        ("2010-06", "2010", True),
        ("2010-06", "gt2010", False),
        ("2011-01-01T00:00:00Z", "gt2010", True),
    ],
)
def test_the_examples_of_the_specification(date: str, value: str, found: bool) -> None:
    observation = {"resourceType": "Observation", "effectiveDateTime": date}
    assert finds(observation, "date", value) is found


@pytest.mark.parametrize(
    ("period", "value", "found"),
    [
        ({"start": "2013-01-21"}, "ge2013-03-14", True),
        ({"start": "2013-01-21"}, "le2013-03-14", True),
        ({"start": "2013-03-15"}, "sa2013-03-14", True),
        ({"start": "2013-01-21"}, "sa2013-03-14", False),
        ({"start": "2013-01-21"}, "eb2013-03-14", False),
        ({"end": "2013-01-21"}, "eb2013-03-14", True),
        ({"end": "2013-01-21"}, "lt1800", True),
        ({"start": "2013-01-21"}, "eq2013", False),
        ({"start": "2013-01-21", "end": "2013-02-01"}, "eq2013", True),
        ({"start": "2013-01-21", "end": "2013-02-01"}, "eq2013-02", False),
        ({}, "ne2013", False),
    ],
)
def test_an_open_period_goes_on(period: dict[str, str], value: str, found: bool) -> None:
    assert finds({"resourceType": "Encounter", "period": period}, "date", value) is found


def test_a_timing_is_its_outer_limits() -> None:
    timing = {
        "event": ["2013-02-01", "2013-01-31"],
        "repeat": {"boundsPeriod": {"start": "2013-01-15", "end": "2013-03"}, "frequency": 3},
    }
    (found,) = version_of({"resourceType": "Observation", "effectiveTiming": timing}).entry.ranges
    assert (found.low, found.high) == (interval("2013-01-15")[0], interval("2013-03")[1])
    without = version_of({"resourceType": "Observation", "effectiveTiming": {"code": {"text": "BID"}}})
    assert without.entry.ranges == ()
    assert "Observation|date|" in without.entry.tokens


def test_the_open_ends_lie_beyond_all_dates() -> None:
    assert interval("0001")[0] > PAST
    assert interval("9999")[1] < FUTURE


@pytest.mark.parametrize(
    "value",
    [
        "2013-1-1",
        "2013-02-30",
        "0000",
        "xx2013",
        "ge",
        "2013-01-14T10",
        "2013-01-14T10:00:00 01:00",
        "2013-01-14T25:00Z",
        "²013",
        "today",
        "2013|2014",
    ],
)
def test_a_value_that_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match=r"`birthdate`"):
        query("Patient", ("birthdate", value))


def test_a_plus_lost_in_a_url_is_pointed_out() -> None:
    with pytest.raises(Invalid, match="%2B"):
        query("Observation", ("date", "2013-01-14T10:00:00 01:00"))


ZONES = [
    ZoneInfo(name)
    for name in (
        "America/New_York",
        "America/Havana",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Pacific/Apia",
    )
] + [UTC]
days = st.dates(date(1, 1, 1), date(9999, 12, 29)) | st.dates(date(2011, 12, 20), date(2012, 1, 10))


@given(days, st.sampled_from(ZONES))
def test_the_days_of_a_zone_follow_each_other_without_a_gap(day: date, zone: tzinfo) -> None:
    low, high = interval(day.isoformat(), zone)
    after, _ = interval((day + timedelta(days=1)).isoformat(), zone)
    assert low <= high
    # A day that a change of sides of the date line leaves out has no time.
    assert high + 1 == after or (low == high == after)
    month, year = interval(day.isoformat()[:7], zone), interval(day.isoformat()[:4], zone)
    assert year[0] <= month[0] <= low
    assert high <= month[1] <= year[1]


@given(moments, st.sampled_from(ZONES))
def test_a_time_with_an_offset_is_the_same_in_each_zone(when: datetime, zone: tzinfo) -> None:
    for text in (f"{when:%Y-%m-%dT%H:%M:%S}Z", f"{when:%Y-%m-%dT%H:%M}+05:30"):
        assert interval(text, zone) == interval(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-07-01T10:00", "2024-07-01T14:00:00+00:00"),
        ("2024-12-01T10:00", "2024-12-01T15:00:00+00:00"),
        # The clocks go from 2:00 to 3:00: the time that is left out is reckoned from before.
        ("2024-03-10T02:30", "2024-03-10T07:30:00+00:00"),
        ("2024-03-10T03:30", "2024-03-10T07:30:00+00:00"),
        # They go back from 2:00 to 1:00: the first of the two.
        ("2024-11-03T01:30", "2024-11-03T05:30:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_that_of_the_zone(text: str, moment: str) -> None:
    low, high = interval(text, ZoneInfo("America/New_York"))
    assert low == microseconds(datetime.fromisoformat(moment))
    assert high - low == 60_000_000 - 1


@pytest.mark.parametrize(("day", "hours"), [("2024-03-10", 23), ("2024-11-03", 25), ("2024-03-11", 24)])
def test_a_day_has_the_hours_that_its_zone_gives_it(day: str, hours: int) -> None:
    low, high = interval(day, ZoneInfo("America/New_York"))
    assert high + 1 - low == hours * 3_600_000_000


def test_a_day_of_birth_is_the_same_day_in_each_zone() -> None:
    for zone in ZONES:
        entry = extract(
            {"resourceType": "Patient", "birthDate": "1970-03-30"}, Key("Patient", "1"), zone=zone
        )
        for value, expected in (
            ("1970-03-30", True),
            ("1970-03", True),
            ("gt1970-03-30", False),
            ("lt1970-03-30", False),
            ("1970-03-29", False),
            ("1970-03-31", False),
        ):
            asked = parse(Search("Patient", (("birthdate", value),)), limits=SearchLimits(), zone=zone)
            assert matches(asked.predicate, a_version(entry, type="Patient")) is expected
