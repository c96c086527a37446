"""
What a history is asked for: how many versions, since when, or as at a time.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from fhir_server.r4.errors import Invalid, Unsupported
from fhir_server.r4.fhirpath.moments import moment
from fhir_server.r4.interaction import History, Parameters
from fhir_server.r4.shaping import GENERAL_PARAMETERS, WHOLE, Shape, shape_of
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.results import count_of
from fhir_server.search.values.date import comparison


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """
    A history, understood.

    `since` keeps versions made at or after it. `at` keeps those that were current at some time
    in [start, end). `used` leaves `_cursor` out.
    """

    count: int
    since: datetime | None
    at: tuple[datetime, datetime] | None
    used: Parameters
    cursor: str | None
    shape: Shape = WHOLE


_KNOWN: Final = frozenset(("_at", "_count", "_cursor", "_since")) | GENERAL_PARAMETERS


def parse_history(history: History, *, limits: SearchLimits, zone: tzinfo = UTC) -> HistoryQuery:
    """What `history` asks for. Raises Invalid for what it does not know, Unsupported for `_list`."""
    limits.refuse_excess(history.parameters)
    given: dict[str, str] = {}
    for name, value in history.parameters:
        if name == "_list":
            raise Unsupported("`_list` is not supported")
        if name not in _KNOWN:
            raise Invalid(f"`{name[:64]}` is not a parameter of a history")
        if name in given:
            raise Invalid(f"`{name}` is given more than once")
        if not value:
            raise Invalid(f"`{name}` has an empty value")
        given[name] = value
    if "_at" in given and "_since" in given:
        raise Invalid("`_at` and `_since` exclude each other")
    shape = shape_of(given, (history.type,) if history.type else ())
    if shape.summary == "count":
        raise Invalid("`_summary=count` is for searches")
    count = count_of(given, limits)
    return HistoryQuery(
        count=count,
        since=_interval("_since", given["_since"], zone)[0] if "_since" in given else None,
        at=_interval("_at", given["_at"], zone) if "_at" in given else None,
        used=tuple(
            (name, str(count) if name == "_count" else value)
            for name, value in history.parameters
            if name != "_cursor"
        ),
        cursor=given.get("_cursor"),
        shape=shape,
    )


def _interval(name: str, value: str, zone: tzinfo) -> tuple[datetime, datetime]:
    prefix, low, high = comparison(name, value, zone)
    if not value.startswith(("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")):
        raise Invalid(f"`{name}` has no prefix such as `{prefix}`")
    return moment(low), moment(high + 1)
