"""
date: an interval against an interval.

Extracted from date, dateTime, instant and Period as a closed range of microseconds (an open end
of a Period lies beyond any date), from Timing as the outer limits of its events and bounds.

A search value is an interval too: `2010` is all of that year. With r the range of the resource
and v that of the value, both closed:

    eq  v contains r            gt  r reaches beyond v      sa  r starts after v
    ne  v does not contain r    lt  r reaches before v      eb  r ends before v
    ge  gt or eq                le  lt or eq                ap  r overlaps v, widened

`ap` widens v by its own length, a day at least, to both sides. (The recommended tenth of the
time between v and now would let a search mean something else on its second page.)

https://hl7.org/fhir/R4/search.html#date, https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.r4.fhirpath.moments import MICROSECONDS_PER_DAY, interval, moment
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.predicate import InRange, Predicate, Updated, any_of, none_of
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

PAST: Final = -(1 << 62)
"""Where a range begins that has no beginning."""

FUTURE: Final = 1 << 62
"""Where a range ends that has no end."""

PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

_DATE: Final = re.compile(
    r"\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


class Comparison(NamedTuple):
    """A search value: its prefix and its interval."""

    prefix: str
    low: int
    high: int


def ranges(nodes: Collection, site: Site) -> list[tuple[int, int]]:
    """The ranges of dates; what is no date has none."""
    found = []
    for type, value, _ in nodes:
        if isinstance(value, str):
            extent = _written(value, site.zone) if type != "string" else None
        elif type == "Period":
            extent = _period(value, site.zone)
        elif type == "Timing":
            extent = _timing(value, site.zone)
        else:
            extent = None
        if extent is not None:
            found.append(extent)
    return found


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], site: Site) -> Predicate:
    """A range of the parameter compares with one of `values` as its prefix says."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return any_of(
        *(in_range(parameter.name, comparison(parameter.code, value, site.zone)) for value in values)
    )


def comparison(code: str, value: str, zone: tzinfo) -> Comparison:
    """What a search value says. Raises Invalid when it is no date."""
    text = unescaped(value)
    prefix, text = (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)
    if _DATE.fullmatch(text):
        try:
            return Comparison(prefix, *interval(text, zone))
        except ValueError as error:
            raise Invalid(f"The value of `{code}` is not a day or time of the calendar") from error
    hint = "; in a URL `+` is written `%2B`" if " " in text else ""
    raise Invalid(
        f"A value of `{code}` is a date, such as `2024-05`, `ge2024-05-31` or `lt2024-05-31T10:00Z`{hint}"
    )


def in_range(name: str, compared: Comparison) -> Predicate:
    """The comparison as a question about the ranges called `name`."""
    prefix, low, high = compared
    match prefix:
        case "eq":
            return InRange(name, low_min=low, high_max=high)
        case "ne":
            return any_of(InRange(name, low_max=low - 1), InRange(name, high_min=high + 1))
        case "gt":
            return InRange(name, high_min=high + 1)
        case "lt":
            return InRange(name, low_max=low - 1)
        case "ge":
            # What starts within or after v either ends within it (eq) or reaches beyond (gt).
            return any_of(InRange(name, low_min=low), InRange(name, high_min=high + 1))
        case "le":
            return any_of(InRange(name, high_max=high), InRange(name, low_max=low - 1))
        case "sa":
            return InRange(name, low_min=high + 1)
        case "eb":
            return InRange(name, high_max=low - 1)
        case _:
            low, high = _widened(low, high)
            return InRange(name, low_max=high, high_min=low)


def updated(compared: Comparison) -> Predicate:
    """The comparison as a question about meta.lastUpdated, which is one moment."""
    prefix, low, high = compared
    match prefix:
        case "eq":
            return Updated(moment(low), moment(high + 1))
        case "ne":
            return none_of(Updated(moment(low), moment(high + 1)))
        case "gt" | "sa":
            return Updated(start=moment(high + 1))
        case "lt" | "eb":
            return Updated(end=moment(low))
        case "ge":
            return Updated(start=moment(low))
        case "le":
            return Updated(end=moment(high + 1))
        case _:
            low, high = _widened(low, high)
            return Updated(moment(low), moment(high + 1))


def _widened(low: int, high: int) -> tuple[int, int]:
    by = max(high - low + 1, MICROSECONDS_PER_DAY)
    return low - by, high + by


def _written(text: str, zone: tzinfo) -> tuple[int, int] | None:
    try:
        return interval(text, zone)
    except ValueError:
        return None


def _period(period: Any, zone: tzinfo) -> tuple[int, int] | None:
    start, end = period.get("start"), period.get("end")
    first = _written(start, zone) if isinstance(start, str) else None
    last = _written(end, zone) if isinstance(end, str) else None
    if first and last:
        # A period that ends before it starts is the time between the two all the same.
        return min(first[0], last[0]), max(first[1], last[1])
    if first is None and last is None:
        return None
    return first[0] if first else PAST, last[1] if last else FUTURE


def _timing(timing: Any, zone: tzinfo) -> tuple[int, int] | None:
    """The outer limits: nobody is asked to say on which days of a year a medication is taken."""
    extents = list(_extents(timing, zone))
    if not extents:
        return None
    return min(low for low, _ in extents), max(high for _, high in extents)


def _extents(timing: Any, zone: tzinfo) -> Iterator[tuple[int, int]]:
    for event in timing.get("event", ()):
        if isinstance(event, str) and (extent := _written(event, zone)):
            yield extent
    bounds = timing.get("repeat", {}).get("boundsPeriod")
    if isinstance(bounds, dict) and (extent := _period(bounds, zone)):
        yield extent
