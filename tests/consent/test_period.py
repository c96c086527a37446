"""https://hl7.org/fhir/R4/datatypes.html#Period: inclusive, and as long as the precision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.period import bounds, microseconds


def at(*parts: int, zone: tzinfo = UTC) -> int:
    return microseconds(datetime(*parts, tzinfo=zone))  # type: ignore[arg-type, misc]  # year, month, day and so on


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2024", at(2024, 1, 1), at(2025, 1, 1)),
        ("2024-02", at(2024, 2, 1), at(2024, 3, 1)),
        ("2024-12", at(2024, 12, 1), at(2025, 1, 1)),
        ("2024-02-29", at(2024, 2, 29), at(2024, 3, 1)),
        ("2024-02-29T10:00:00Z", at(2024, 2, 29, 10), at(2024, 2, 29, 10, 0, 1)),
        ("2024-02-29T10:00:00.5Z", at(2024, 2, 29, 10, 0, 0, 500000), at(2024, 2, 29, 10, 0, 0, 600000)),
        ("2024-02-29T10:00:00.123+02:00", at(2024, 2, 29, 8, 0, 0, 123000), at(2024, 2, 29, 8, 0, 0, 124000)),
        (
            "2024-02-29T10:00:00.1234567Z",
            at(2024, 2, 29, 10, 0, 0, 123456),
            at(2024, 2, 29, 10, 0, 0, 123457),
        ),
    ],
)
def test_a_date_is_as_long_as_its_precision(text: str, first: int, after: int) -> None:
    assert bounds({"start": text, "end": text}, UTC) == (first, after - 1)


def test_a_date_without_a_zone_is_one_of_the_tenant() -> None:
    zone = ZoneInfo("America/New_York")
    assert bounds({"start": "2024-03-10", "end": "2024-03-10"}, zone) == (
        at(2024, 3, 10, zone=zone),
        at(2024, 3, 11, zone=zone) - 1,
    )


def test_a_period_may_be_open_at_both_ends() -> None:
    assert bounds(None, UTC) == bounds({}, UTC) == (None, None)
    assert bounds({"start": "2024"}, UTC) == (at(2024, 1, 1), None)


def test_the_last_year_of_the_calendar_never_ends() -> None:
    assert bounds({"end": "9999-12-31"}, UTC) == (None, None)
    assert bounds({"end": "9999"}, UTC) == (None, None)
    assert bounds({"start": "0001-01-01"}, ZoneInfo("Asia/Tokyo")) == (None, None)


@pytest.mark.parametrize(
    "period",
    [
        "2024",
        [],
        {"start": None},
        {"start": 2024},
        {"start": "2024-13"},
        {"start": "2023-02-29"},
        {"start": "2024-01-01T10:00"},
        {"start": "2024-01-01T10:00:00"},
        {"start": "2024-01-01T10:00:60Z"},
        {"start": "2024-01-01T10:00:00+99:99"},
        {"start": "٢٠٢٤"},
        {"start": "2024", "end": "2023"},
        {"_start": {}, "end": "2023"},
        {"modifierExtension": []},
    ],
)
def test_what_is_no_period_is_refused(period: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        bounds(period, UTC)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds of Hypothesis are naive
    st.integers(-14 * 60, 14 * 60),
)
@settings(max_examples=50)
def test_an_instant_lies_within_its_own_dates(moment: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    local = moment + timedelta(minutes=minutes)
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}{sign}{hours:02d}:{rest:02d}"
    assert bounds({"start": text, "end": text}, UTC) == (microseconds(moment), microseconds(moment))
    for precision in (4, 7, 10):
        day = {"start": f"{moment:%Y-%m-%d}"[:precision], "end": f"{moment:%Y-%m-%d}"[:precision]}
        first, last = bounds(day, UTC)
        assert first is not None
        assert last is not None
        assert first <= microseconds(moment) <= last
