"""
A predicate as a MongoDB filter; `search/predicates/matching.py` says the same in plain Python.

Whatever a request sends arrives here as a value and leaves as a value: field names and operators
are literals of this file, nothing is ever a regular expression. A value that MongoDB cannot
hold (half a character, a number beyond 64 bits) matches nothing, or does not bound.

https://www.mongodb.com/docs/manual/reference/operator/query/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fhir_server.r4.compartments import single_patient_types
from fhir_server.search.predicates.entry import Bound, aligned
from fhir_server.search.predicates.great_circle import radians_of
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    AnyWord,
    Containing,
    Elsewhere,
    Everything,
    InRange,
    Near,
    Not,
    Nothing,
    OfPatients,
    OnlyOfPatients,
    Or,
    Predicate,
    RangePrefix,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    Updated,
    WithId,
    WithKey,
    WordPrefix,
    beyond,
)
from fhir_server.store.documents import EPOCH, MILLISECOND, PATIENT_PREFIX, Document, bound, coordinates

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")

NOTHING: Final[Document] = {"_id": {"$in": []}}


@dataclass(frozen=True, slots=True)
class _Layout:
    """
    Where things are: in `index` the prefix of the entry's fields.

    `types` are the only ones that can be met, None for any. `by_id` says that `_id` is a key, `contained`
    that it is an element of `in` that is met.
    """

    index: str = ""
    types: frozenset[str] | None = None
    by_id: bool = True
    contained: bool = False


def to_filter(predicate: Predicate, *, types: frozenset[str] | None) -> Document:
    """
    The filter for the current versions for which `predicate` is true.

    `types` are the types that the caller asks for by other means; it makes the filter cheaper.
    """
    return _filter(predicate, _Layout(types=types))


def to_superseded_filter(predicate: Predicate, *, types: frozenset[str] | None) -> Document:
    """The same for superseded versions; those that were tombstones have no tokens."""
    return _filter(predicate, _Layout(types=types, by_id=False))


def to_history_filter(predicate: Predicate) -> Document:
    """The filter for versions, current or not; a tombstone is judged by what it deleted."""
    if isinstance(predicate, Everything):
        return {}
    alive = _filter(predicate, _Layout(by_id=False))
    deleted = _filter(predicate, _Layout(index="was.", by_id=False))
    return {
        "$or": [{"was": {"$exists": False}, "$and": [alive]}, {"was": {"$exists": True}, "$and": [deleted]}]
    }


def _filter(predicate: Predicate, layout: _Layout) -> Document:
    match predicate:
        case Everything():
            return {}
        case Nothing():
            return NOTHING
        case AnyToken(values):
            return any_of(f"{layout.index}tok", values)
        case TokenPrefix(prefix):
            return starting_with(f"{layout.index}tok", prefix)
        case TokenBetween(low, below):
            return from_to(f"{layout.index}tok", low, below)
        case TokenContaining(start, text):
            assert not layout.contained, "asked of contained resources it is loosened first"
            return containing(f"{layout.index}tok", start, text)
        case AnyWord(values):
            return any_of(f"{layout.index}wrd", values)
        case WordPrefix(prefixes):
            return starting_with_any(f"{layout.index}wrd", prefixes)
        case InRange():
            return _in_range(predicate, f"{layout.index}rng")
        case RangePrefix(prefix):
            return starting_with(f"{layout.index}rng", prefix, "p")
        case OfPatients() | OnlyOfPatients() | Updated() | WithKey() if layout.contained:
            raise AssertionError("it is asked of what contains the resource")
        case OfPatients(ids):
            return _of_patients(ids, layout.types)
        case OnlyOfPatients(ids):
            return _only_of_patients(ids)
        case WithId(ids):
            return _with_id(ids, layout)
        case WithKey(keys):
            return _with_key(keys, layout)
        case Updated(start, end):
            return between("t", start, end)
        case Near(point, metres):
            around = [coordinates(point), radians_of(metres)]
            return {f"{layout.index}geo": {"$geoWithin": {"$centerSphere": around}}}
        case Containing(of, names):
            return _containing(of, names)
        case And(parts):
            return {"$and": [_filter(part, layout) for part in parts]} if parts else {}
        case Or(parts):
            return {"$or": [_filter(part, layout) for part in parts]} if parts else NOTHING
        case Not(part):
            return {"$nor": [_filter(part, layout)]}
        case Elsewhere():
            raise AssertionError("questions about other resources are settled first")


def _containing(of: Predicate, names: frozenset[str]) -> Document:
    """Said to have contained resources at all, it may be found by the index of what has."""
    meant = _filter(of, _Layout(contained=True))
    wanted = {"$and": [any_of("as", names), meant]} if names else meant
    return {"$and": [{"in": {"$exists": True}}, {"in": {"$elemMatch": wanted}}]}


def any_of(field: str, values: Iterable[str]) -> Document:
    """The field, or one of its elements, is one of these."""
    writable = sorted(filter(_writable, values))
    if not writable:
        return NOTHING
    return {field: writable[0] if len(writable) == 1 else {"$in": writable}}


def starting_with(field: str, prefix: str, member: str | None = None) -> Document:
    """The field has an element, or one whose member, starts so, in the order of code points."""
    if not _writable(prefix):
        return NOTHING
    bounds = _starting(prefix)
    return {field: {"$elemMatch": bounds if member is None else {member: bounds}}}


def _starting(prefix: str) -> Document:
    bounds: Document = {"$gte": prefix}
    if prefix.rstrip("\U0010ffff"):
        bounds["$lt"] = beyond(prefix)
    return bounds


def from_to(field: str, low: str, below: str) -> Document:
    """The field has an element in [low, below), in the order of code points."""
    return {field: {"$elemMatch": {"$gte": _reached(low), "$lt": _reached(below)}}}


def _reached(bound: str) -> str:
    """The first text that can be stored and is not below `bound`: none has half a surrogate pair in it."""
    half = _HALF_A_PAIR.search(bound)
    return bound if half is None else bound[: half.start()] + "\ue000"


def starting_with_any(field: str, prefixes: Iterable[str]) -> Document:
    """The field has an element that starts with one of these."""
    alternatives = [starting_with(field, prefix) for prefix in sorted(prefixes)]
    return {"$or": alternatives} if alternatives else NOTHING


def containing(field: str, start: str, text: str) -> Document:
    """
    The field, an array, has an element that starts with `start` and has `text` after it, aligned.

    An index bounds the scan by `start`; what is found has to be looked at. No regular expression is
    made of what somebody asked for.
    """
    if not (_writable(start) and _writable(text)):
        return NOTHING
    begins = {"$eq": [{"$indexOfCP": ["$$token", {"$literal": start}, 0, len(start)]}, 0]}
    rest: Document = {"$substrCP": ["$$token", len(start), {"$strLenCP": "$$token"}]}
    sought = {"$literal": aligned(text)}
    found: Document = {"$gte": [{"$indexOfCP": [_aligned(rest), sought]}, 0]}
    alike: Document = {
        "input": {"$ifNull": [f"${field}", []]},
        "as": "token",
        "in": {"$and": [begins, found]},
    }
    return {"$and": [starting_with(field, start), {"$expr": {"$anyElementTrue": [{"$map": alike}]}}]}


def _aligned(text: Document) -> Document:
    """As `entry.aligned`, by the database."""
    return {"$replaceAll": {"input": text, "find": "\\\\", "replacement": "\\\0"}}


def between(field: str, start: datetime | None, end: datetime | None) -> Document:
    """A field in milliseconds lies within [start, end)."""
    bounds = {}
    if start is not None:
        bounds["$gte"] = _ceiled(start)
    if end is not None:
        bounds["$lt"] = _ceiled(end)
    return {field: bounds} if bounds else {}


def bounded(low: Bound | None, high: Bound | None) -> Document | None:
    """The operators for low <= value <= high in 64 bits or decimals; None when no value can be."""
    if _is_beyond(low, INT64_MAX, 1) or _is_beyond(high, INT64_MIN, -1):
        return None
    bounds: Document = {}
    if low is not None and (isinstance(low, Decimal) or low > INT64_MIN):
        bounds["$gte"] = bound(low)
    if high is not None and (isinstance(high, Decimal) or high < INT64_MAX):
        bounds["$lte"] = bound(high)
    return bounds


def _is_beyond(value: Bound | None, end: int, direction: int) -> bool:
    return isinstance(value, int) and value * direction > end * direction


def _in_range(wanted: InRange, field: str) -> Document:
    # No range ends before it begins. Saying so keeps an index scan from running to its end.
    lows = bounded(wanted.low_min, _least(wanted.low_max, wanted.high_max))
    highs = bounded(_greatest(wanted.high_min, wanted.low_min), wanted.high_max)
    if lows is None or highs is None or not _writable(wanted.parameter):
        return NOTHING
    element: dict[str, Any] = {"p": _starting(wanted.parameter) if wanted.is_prefix else wanted.parameter}
    if lows:
        element["lo"] = lows
    if highs:
        element["hi"] = highs
    if wanted.unit is not None:
        if not _writable(wanted.unit):
            return NOTHING
        element["u"] = wanted.unit
    return {field: {"$elemMatch": element}}


def _least(*bounds: Bound | None) -> Bound | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _greatest(*bounds: Bound | None) -> Bound | None:
    return max((bound for bound in bounds if bound is not None), default=None)


def _of_patients(ids: frozenset[str], types: frozenset[str] | None) -> Document:
    alone = any_of("pt", ids)
    if types is not None and types <= single_patient_types():
        return alone
    if types is not None:
        # It is asked for elsewhere, too; here it bounds the scan of the patient's index.
        alone = {"$and": [alone, any_of("tok", types)]}
    return {"$or": [alone, any_of("tok", [PATIENT_PREFIX + id for id in ids])]}


def _only_of_patients(ids: frozenset[str]) -> Document:
    writable = sorted(filter(_writable, ids))
    others = {"$elemMatch": {"$nin": writable}}
    return {"$and": [{"pt": {"$in": [None, *writable]}}, {"pts": {"$not": others}}]}


def _with_id(ids: frozenset[str], layout: _Layout) -> Document:
    writable = sorted(filter(_writable, ids))
    if layout.contained:
        return any_of("id", writable)
    if layout.by_id and layout.types is not None:
        return any_of("_id", [f"{type}/{id}" for type in layout.types for id in writable])
    return {"$expr": {"$in": [_part_of_id(1), {"$literal": writable}]}}


def _with_key(keys: frozenset[str], layout: _Layout) -> Document:
    if layout.by_id:
        return any_of("_id", keys)
    key = {"$concat": [_part_of_id(0), "/", _part_of_id(1)]}
    return {"$expr": {"$in": [key, {"$literal": sorted(filter(_writable, keys))}]}}


def _part_of_id(place: int) -> Document:
    """What stands before the first slash, or between it and the next one."""
    return {"$arrayElemAt": [{"$split": ["$_id", "/"]}, place]}


def _writable(value: str) -> bool:
    """Can it be written in UTF-8? Half of a surrogate pair cannot, so it is stored nowhere."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ceiled(moment: datetime) -> int:
    return -((EPOCH - moment) // MILLISECOND)
