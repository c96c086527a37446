"""
A FHIR date is an interval: `2024-03` is all of March.

Intervals are closed, in whole microseconds since 1970-01-01T00:00Z: the end of a day is one
microsecond before the next. What says no time zone is in `zone`, UTC unless told otherwise.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_DAY: Final = 86_400 * MICROSECONDS_PER_SECOND

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LAST_ORDINAL: Final = date.max.toordinal()


def microseconds(moment: datetime) -> int:
    """Since 1970; `moment` has a zone."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * MICROSECONDS_PER_SECOND + since.microseconds


def moment(since_1970: int) -> datetime:
    """The datetime so many microseconds after 1970, in UTC, drawn to the nearest that there is."""
    try:
        return _EPOCH + timedelta(microseconds=since_1970)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if since_1970 > 0 else datetime.min.replace(tzinfo=UTC)


def interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """
    First and last microsecond of a date, dateTime or instant, to the precision it is written in.

    `text` has the format of one of these, seconds may be missing; ValueError when it is no such date.
    """
    first, end = _days(text)
    if end is None:
        return _of_time(text, zone)
    low = _midnight(first, zone)
    # Samoa had no 30 December 2011: a day without any time is its first moment.
    return low, max(low, _midnight(end, zone) - 1)


def _days(text: str) -> tuple[int, int | None]:
    """The ordinals of the first day and the day after the last; None as the second for a time."""
    match len(text):
        case 4:
            return date(int(text), 1, 1).toordinal(), date(int(text), 12, 31).toordinal() + 1
        case 7 if text[4] == "-":
            first = date(int(text[:4]), int(text[5:]), 1).toordinal()
            return first, first + monthrange(int(text[:4]), int(text[5:]))[1]
        case 10 if text[4] == text[7] == "-":
            first = date.fromisoformat(text).toordinal()
            return first, first + 1
        case _:
            return 0, None


def _midnight(ordinal: int, zone: tzinfo) -> int:
    if zone is UTC or ordinal > _LAST_ORDINAL:
        return (ordinal - _EPOCH_ORDINAL) * MICROSECONDS_PER_DAY
    # Not the midnight before plus 24 hours: a day at the change to summer time has 23.
    return microseconds(datetime.combine(date.fromordinal(ordinal), time.min, zone))


def _of_time(text: str, zone: tzinfo) -> tuple[int, int]:
    if text[10:11] != "T" or text[13:14] != ":":
        raise ValueError("Not a FHIR dateTime")
    if text[17:19] == "60":
        # A leap second is the last second of its minute, as Python has no other.
        text = text[:17] + "59" + text[19:]
    start = datetime.fromisoformat(text)
    if start.tzinfo is None:
        start = start.replace(tzinfo=zone)
    low = microseconds(start)
    return low, low + _width(text) - 1


def _width(text: str) -> int:
    """Microseconds that the last written digit of the time stands for."""
    if text[16:17] != ":":
        return 60 * MICROSECONDS_PER_SECOND
    if text[19:20] != ".":
        return MICROSECONDS_PER_SECOND
    end = 20
    while text[end : end + 1].isdigit():
        end += 1
    return 1 if end > 26 else int(10 ** (26 - end))
