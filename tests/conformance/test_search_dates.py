"""
Dates; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.shelf import Shelf
from tests.server.running import an_observation

FROM_JANUARY = {"effectivePeriod": {"start": "2013-01-21"}}
FROM_MARCH = {"effectivePeriod": {"start": "2013-03-15"}}
UNTIL_JANUARY = {"effectivePeriod": {"end": "2013-01-21"}}


def at(moment: str) -> dict[str, Any]:
    return {"effectiveDateTime": moment}


async def _observed(shelf: Shelf, **when: dict[str, Any]) -> None:
    await shelf.has("Observation", **{name: an_observation("1", **one) for name, one in when.items()})


async def _found(shelf: Shelf, value: str) -> set[str]:
    return await shelf.finds(f"Observation?date={value}")


async def _periods(shelf: Shelf) -> None:
    await _observed(shelf, january=FROM_JANUARY, march=FROM_MARCH, until=UNTIL_JANUARY)


async def test_eq_finds_what_lies_within_the_day(shelf: Shelf) -> None:
    """`eq2013-01-14`: 2013-01-14T00:00 and T10:00, not 2013-01-15T00:00"""
    await _observed(
        shelf,
        first=at("2013-01-14T00:00:00Z"),
        ten=at("2013-01-14T10:00:00Z"),
        next=at("2013-01-15T00:00:00Z"),
    )
    assert await _found(shelf, "eq2013-01-14") == {"first", "ten"}
    assert await _found(shelf, "2013-01-14") == {"first", "ten"}


async def test_eq_does_not_find_what_reaches_beyond_the_day(shelf: Shelf) -> None:
    """`eq2013-01-14`: contains, not overlaps"""
    across = {"effectivePeriod": {"start": "2013-01-13T12:00:00Z", "end": "2013-01-14T12:00:00Z"}}
    await _observed(shelf, across=across, month=at("2013-01"), day=at("2013-01-14"))
    assert await _found(shelf, "eq2013-01-14") == {"day"}


async def test_ne_finds_what_does_not_lie_within_the_day(shelf: Shelf) -> None:
    """`ne2013-01-14`: 2013-01-15T00:00, not 2013-01-14T00:00 nor T10:00"""
    await _observed(
        shelf,
        first=at("2013-01-14T00:00:00Z"),
        ten=at("2013-01-14T10:00:00Z"),
        next=at("2013-01-15T00:00:00Z"),
    )
    assert await _found(shelf, "ne2013-01-14") == {"next"}


async def test_lt_finds_a_day_of_which_a_part_is_before(shelf: Shelf) -> None:
    """`lt2013-01-14T10:00`: 2013-01-14"""
    await _observed(shelf, day=at("2013-01-14"), next=at("2013-01-15"), ten=at("2013-01-14T10:00:00Z"))
    assert await _found(shelf, "lt2013-01-14T10:00") == {"day"}


async def test_gt_finds_a_day_of_which_a_part_is_after(shelf: Shelf) -> None:
    """`gt2013-01-14T10:00`: 2013-01-14"""
    await _observed(shelf, day=at("2013-01-14"), before=at("2013-01-13"), ten=at("2013-01-14T10:00:00Z"))
    assert await _found(shelf, "gt2013-01-14T10:00") == {"day"}


async def test_ge_finds_a_period_that_may_include_times_after(shelf: Shelf) -> None:
    """`ge2013-03-14`: from 21-Jan 2013 onwards"""
    await _periods(shelf)
    assert await _found(shelf, "ge2013-03-14") == {"january", "march"}


async def test_le_finds_a_period_that_may_include_times_before(shelf: Shelf) -> None:
    """`le2013-03-14`: from 21-Jan 2013 onwards"""
    await _periods(shelf)
    assert await _found(shelf, "le2013-03-14") == {"january", "until"}


async def test_sa_finds_a_period_that_starts_after(shelf: Shelf) -> None:
    """`sa2013-03-14`: from 15-Mar 2013 onwards; not from 21-Jan 2013 onwards, not until 21-Jan 2013"""
    await _periods(shelf)
    assert await _found(shelf, "sa2013-03-14") == {"march"}


async def test_eb_finds_a_period_that_ends_before(shelf: Shelf) -> None:
    """`eb2013-03-14`: until 21-Jan 2013; not from 15-Mar 2013 onwards, not from 21-Jan 2013 onwards"""
    await _periods(shelf)
    assert await _found(shelf, "eb2013-03-14") == {"until"}


async def test_ap_finds_what_is_near(shelf: Shelf) -> None:
    """`ap2013-03-14`: 14-Mar 2013; not 21-Jan 2013, not 15-Jun 2015"""
    await _observed(shelf, same=at("2013-03-14"), january=at("2013-01-21"), later=at("2015-06-15"))
    assert await _found(shelf, "ap2013-03-14") == {"same"}


async def test_ge_and_le_include_what_the_value_contains(shelf: Shelf) -> None:
    """`ge2010` and `le2010` find all of 2010"""
    await _observed(
        shelf,
        first=at("2010-01-01"),
        last=at("2010-12-31T23:59:59Z"),
        year=at("2010"),
        before=at("2009-12-31"),
        after=at("2011-01-01"),
    )
    assert await _found(shelf, "ge2010") == {"first", "last", "year", "after"}
    assert await _found(shelf, "le2010") == {"first", "last", "year", "before"}
    assert await _found(shelf, "gt2010") == {"after"}
    assert await _found(shelf, "lt2010") == {"before"}


async def test_a_year_is_from_its_first_to_its_last_instant(shelf: Shelf) -> None:
    """A year is an interval: `2000`"""
    await _observed(shelf, first=at("2000-01-01T00:00:00Z"), last=at("2000-12-31T23:59:59.999Z"))
    await _observed(shelf, after=at("2001-01-01T00:00:00Z"), before=at("1999-12-31T23:59:59.999Z"))
    assert await _found(shelf, "2000") == {"first", "last"}


async def test_a_month_is_from_its_first_to_its_last_instant(shelf: Shelf) -> None:
    """A month is an interval: `2000-04`"""
    await _observed(shelf, first=at("2000-04-01T00:00:00Z"), last=at("2000-04-30T23:59:59.999Z"))
    await _observed(shelf, after=at("2000-05-01"), before=at("2000-03-31"))
    assert await _found(shelf, "2000-04") == {"first", "last"}


async def test_a_minute_is_an_interval_and_seconds_may_be_left_out(shelf: Shelf) -> None:
    """A time may consist of hours and minutes: `2013-01-14T10:00Z`"""
    await _observed(shelf, first=at("2013-01-14T10:00:00Z"), last=at("2013-01-14T10:00:59.9Z"))
    await _observed(shelf, after=at("2013-01-14T10:01:00Z"))
    assert await _found(shelf, "2013-01-14T10:00Z") == {"first", "last"}
    assert await _found(shelf, "2013-01-14T10%3A00Z") == {"first", "last"}


async def test_an_hour_without_minutes_is_refused(shelf: Shelf) -> None:
    """Minutes shall be there where an hour is; a date is populated from the left"""
    for value in ("2013-01-14T10", "2013--14", "13-01-14", "--01", "23%20May%202009"):
        assert "date" in await shelf.refuses(f"Observation?date={value}")


async def test_times_are_compared_across_zones(shelf: Shelf) -> None:
    """Time zones are corrected for"""
    await _observed(shelf, east=at("2013-01-14T01:00:00+02:00"), utc=at("2013-01-13T23:00:00Z"))
    assert await _found(shelf, "2013-01-13T23:00:00Z") == {"east", "utc"}
    assert await _found(shelf, "2013-01-13T18:00:00-05:00") == {"east", "utc"}
    assert await _found(shelf, "2013-01-14T01:00:00%2B02:00") == {"east", "utc"}


async def test_the_day_of_a_date_is_found_by_the_same_day(shelf: Shelf) -> None:
    """Dates have no time zone: the same day is the same"""
    await _observed(shelf, day=at("2013-01-10"), next=at("2013-01-11"))
    assert await _found(shelf, "2013-01-10") == {"day"}


async def test_an_instant_is_a_point_in_time(shelf: Shelf) -> None:
    """instant: a fixed point"""
    await _observed(shelf, it={"effectiveInstant": "2013-01-14T10:00:00.123Z"})
    assert await _found(shelf, "2013-01-14T10:00:00.123Z") == {"it"}
    assert await _found(shelf, "2013-01-14") == {"it"}
    assert await _found(shelf, "gt2013-01-14T10:00:00.123Z") == set()


async def test_a_period_without_an_end_goes_on(shelf: Shelf) -> None:
    """Period: a missing boundary is beyond any date"""
    await _periods(shelf)
    assert await _found(shelf, "gt9998") == {"january", "march"}
    assert await _found(shelf, "lt0002") == {"until"}
    assert await _found(shelf, "2013") == set()


async def test_of_a_timing_only_the_outer_limits_matter(shelf: Shelf) -> None:
    """Timing: every second day from 31-Jan to 24-Mar 2013 includes 1-Feb"""
    repeat = {
        "boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"},
        "frequency": 1,
        "period": 2,
        "periodUnit": "d",
    }
    await _observed(shelf, it={"effectiveTiming": {"repeat": repeat}})
    for value in ("ge2013-02-01", "le2013-02-01", "ap2013-02-01", "2013", "sa2013-01-30", "eb2013-03-25"):
        assert await _found(shelf, value) == {"it"}, value
    for value in ("2013-02", "sa2013-01-31", "gt2013-03-24"):
        assert await _found(shelf, value) == set(), value


async def test_two_bounds_are_a_period_of_time(shelf: Shelf) -> None:
    """`Patient/23/Procedure?date=ge2010-01-01&date=le2011-12-31`"""
    patient = shelf.to("it")
    await shelf.has("Patient", it={})
    for name, when in (("in", "2010-06-01"), ("last", "2011-12-31"), ("before", "2009"), ("after", "2012")):
        procedure = {"status": "completed", "subject": patient, "performedDateTime": when}
        await shelf.has("Procedure", **{name: procedure})
    query = f"{shelf.at('it')}/Procedure?date=ge2010-01-01&date=le2011-12-31"
    assert await shelf.finds(query) == {"in", "last"}


@pytest.mark.parametrize("prefix", ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
async def test_last_updated_takes_each_prefix(shelf: Shelf, prefix: str) -> None:
    """`_lastUpdated=gt2010-10-01`, and each other prefix"""
    await shelf.has("Patient", it={})
    found = await shelf.finds(f"Patient?_lastUpdated={prefix}2010-10-01")
    assert found == ({"it"} if prefix in ("ne", "gt", "ge", "sa") else set())
