"""
DTM, TS, DT and TM: v2's digits as FHIR's dates, with the precision they have and a zone.

FHIR wants a zone with each time and seconds with each minute, so the zone comes from `Reading`
and missing minutes and seconds are zero, which FHIR allows and lets a reader ignore. What is no
date is None.

HL7 v2.8, 2.A.22; https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

from adapters.hl7v2.reading import Reading

_DTM: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)"
    r"(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?"
    r"(?P<zone>[+-]\d{4})?)?)?)?",
    re.ASCII,
)
_TM: Final = re.compile(
    r"(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?(?:[+-]\d{4})?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00", re.ASCII)


def dtm_to_date(text: str) -> str | None:
    """`2012-03-14`, `2012-03` or `2012`; a time is left out."""
    found = _DTM.fullmatch(text.strip())
    return _date(found) if found else None


def dtm_to_date_time(text: str, reading: Reading) -> str | None:
    """`2012-03-14T12:59:00-02:15`, or the date alone when no time is said."""
    found = _DTM.fullmatch(text.strip())
    if not found:
        return None
    day = _date(found)
    if day is None or found["hour"] is None:
        return day
    time = _time(found)
    if time is None:
        return None
    zone = found["zone"]
    moment = datetime.fromisoformat(f"{day}T{time[:8].replace(':60', ':59')}")
    offset = f"{zone[:3]}:{zone[3:]}" if zone else reading.offset_at(moment)
    return f"{day}T{time}{offset}" if _OFFSET.fullmatch(offset) else None


def dtm_to_instant(text: str, reading: Reading) -> str | None:
    """A dateTime that says the time too; None for a date alone."""
    moment = dtm_to_date_time(text, reading)
    return moment if moment and "T" in moment else None


def tm_to_time(text: str) -> str | None:
    """`12:59:00`. FHIR's time has no zone, so one that is stated is not kept."""
    found = _TM.fullmatch(text.strip())
    return _time(found) if found else None


def _date(found: re.Match[str]) -> str | None:
    year, month, day = found["year"], found["month"], found["day"]
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    return "-".join(part for part in (year, month, day) if part)


def _time(found: re.Match[str]) -> str | None:
    hour, minute, second = found["hour"], found["minute"] or "00", found["second"] or "00"
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return None
    return f"{hour}:{minute}:{second}{found['fraction'] or ''}"
