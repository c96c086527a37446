"""
When a rule is in force: a FHIR Period as a closed interval of microseconds.

A dateTime is as long as its precision: `2024-03` is all of March, `10:00:00Z` the whole second,
and the end of a Period is inclusive. A date without a zone is a date in the zone of the tenant.

https://hl7.org/fhir/R4/datatypes.html#Period, https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def bounds(period: object, zone: tzinfo) -> tuple[int | None, int | None]:
    """
    The first and the last microsecond of `period`, None where it is open.

    Raises ValueError when it is no Period, has no valid dates or ends before it starts.
    """
    if period is None:
        return None, None
    if not isinstance(period, Mapping) or not period.keys() <= {"start", "end", "id", "extension"}:
        raise ValueError("Not a Period")
    start = _interval(period.get("start"), zone)[0] if "start" in period else None
    end = _interval(period.get("end"), zone)[1] if "end" in period else None
    if start is not None and end is not None and end < start:
        raise ValueError("A Period ends before it starts")
    return start, end


def microseconds(moment: datetime) -> int:
    """`moment` as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _interval(value: object, zone: tzinfo) -> tuple[int | None, int | None]:
    """The microseconds that a dateTime covers; None where the calendar ends before it does."""
    match = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("Not a dateTime")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if offset:
        zone = datetime.fromisoformat(f"2000-01-01T00:00:00{offset}").tzinfo or UTC
    digits = (fraction or "")[:6]
    first = datetime(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int(digits.ljust(6, "0")),
        tzinfo=zone,
    )
    return _clamped(first, timedelta()), _clamped(_after(first, match.groups(), len(digits)), -_MICROSECOND)


def _after(first: datetime, groups: tuple[str | None, ...], digits: int) -> datetime | None:
    """The moment at which the dateTime that begins with `first` is over; None beyond the year 9999."""
    _, month, day, hour, *_ = groups
    try:
        if month is None:
            return first.replace(year=first.year + 1)
        if day is None:
            return (first + timedelta(days=31)).replace(day=1)
        if hour is None:
            return first + timedelta(days=1)
        return first + timedelta(microseconds=10 ** (6 - digits))
    except (OverflowError, ValueError):
        return None


def _clamped(moment: datetime | None, change: timedelta) -> int | None:
    if moment is None:
        return None
    try:
        return microseconds(moment.astimezone(UTC)) + change // _MICROSECOND
    except OverflowError:
        return None
