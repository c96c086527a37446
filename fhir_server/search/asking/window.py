"""
Between which moments the clinical dates of the matches lie, where a search says so.

`code=8867-4&date=ge2024-03&date=lt2024-04` compares the ends of ranges, each with one bound; an index by
clinical date needs both on one moment. Of a *short* resource, whose one date begins and ends within a day,
the comparison says between which moments it begins; what is not short is asked for by itself
(`fhir_server/store/documents.py`). A window only narrows where to look: the comparison is asked all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fhir_server.r4.fhirpath.moments import MICROSECONDS_PER_DAY
from fhir_server.search.indexing.clinical_dates import CLINICAL_DATES
from fhir_server.search.predicates.entry import Bound, Range
from fhir_server.search.predicates.predicate import And, InRange, Or, Predicate
from fhir_server.search.values.date import FUTURE, PAST

SHORT: Final = MICROSECONDS_PER_DAY
"""The longest that a clinical date lasts and counts as a moment; dates without a time are as long."""


@dataclass(frozen=True, slots=True)
class Window:
    """The clinical date of a short match lies within [start, end], in microseconds; None does not bound."""

    start: int | None = None
    end: int | None = None


_UNBOUNDED: Final = Window()


def clinical_date_of(type: str) -> str | None:
    """The name of the ranges that say the clinical date of a type: `Observation|date`."""
    code = CLINICAL_DATES.get(type)
    return None if code is None else f"{type}|{code}"


def is_short(ranges: Sequence[Range]) -> bool:
    """Do these ranges of a clinical date say one moment, more or less?"""
    if len(ranges) != 1:
        return False
    low, high = ranges[0].low, ranges[0].high
    return low > PAST and high < FUTURE and high - low <= SHORT


def window_of(predicate: Predicate, types: Iterable[str]) -> Window | None:
    """The window of what `predicate` is true of; None when it bounds no clinical date of the one type."""
    [*searched] = types
    name = clinical_date_of(searched[0]) if len(searched) == 1 else None
    found = _UNBOUNDED if name is None else _window(predicate, name)
    return None if found == _UNBOUNDED else found


def _window(predicate: Predicate, name: str) -> Window:
    match predicate:
        case InRange(parameter=parameter) if parameter == name:
            return Window(
                _greatest((predicate.low_min, _before(predicate.high_min))),
                _least((predicate.low_max, predicate.high_max)),
            )
        case And(parts=parts):
            inner = [_window(part, name) for part in parts]
            return Window(_greatest(one.start for one in inner), _least(one.end for one in inner))
        case Or(parts=parts):
            inner = [_window(part, name) for part in parts]
            # What one of them does not bound is not bounded.
            start = None if any(one.start is None for one in inner) else _least(one.start for one in inner)
            end = None if any(one.end is None for one in inner) else _greatest(one.end for one in inner)
            return Window(start, end)
        case _:
            return _UNBOUNDED


def _before(end: Bound | None) -> int | None:
    """The earliest that what is short begins and still reaches `end`."""
    return None if end is None else int(end) - SHORT


def _least(bounds: Iterable[Bound | None]) -> int | None:
    return min((int(bound) for bound in bounds if bound is not None), default=None)


def _greatest(bounds: Iterable[Bound | None]) -> int | None:
    return max((int(bound) for bound in bounds if bound is not None), default=None)
