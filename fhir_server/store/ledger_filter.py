"""
A predicate about AuditEvents as a MongoDB filter over ledger records.

A record over several patients is several events, found by the tokens of all of them together.
So the filter may find a record none of whose events match, and never misses one that has: what
is denied of one event is denied of its record only where all its events are alike.
"""

from __future__ import annotations

from typing import Final

from audit.index import ENTITY, INDEXED, PATIENT, found_by
from audit.projection import place_of
from fhir_server.search.predicates.entry import Bound, escape
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
)
from fhir_server.store.documents import Document, milliseconds, moment
from fhir_server.store.filters import NOTHING, any_of, between, bounded, containing, from_to, starting_with
from fhir_server.store.shards import link_id

TYPE: Final = "AuditEvent"
DATE: Final = "AuditEvent|date"

# A date is the millisecond [t, t + 999 us].
_MICROSECONDS: Final = 1000
_LAST_MICROSECOND: Final = 999
# The parameters in which the events of one record differ.
_DIFFERING: Final = frozenset({"patient", "entity"})


def to_ledger_filter(predicate: Predicate) -> Document:
    """The filter for the records that may have an event for which `predicate` is true."""
    return _filter(predicate)[0]


def _filter(predicate: Predicate) -> tuple[Document, bool]:
    """The filter, and whether it is true of a record exactly when it is of each of its events."""
    match predicate:
        case Everything():
            return {}, True
        case Nothing():
            return NOTHING, True
        case AnyToken(values):
            return _any_token(values)
        case TokenPrefix(prefix):
            found = [starting_with("tok", prefix), starting_with("attr", prefix)]
            if prefix.startswith(ENTITY):
                # An entity that is a Patient has the token of `patient` alone.
                found.append(starting_with("tok", PATIENT + prefix.removeprefix(ENTITY)))
            return {"$or": found}, False
        case TokenBetween(low, below):
            return {"$or": [from_to("tok", low, below), from_to("attr", low, below)]}, False
        case TokenContaining(start, text):
            return {"$or": [containing("tok", start, text), containing("attr", start, text)]}, False
        case InRange():
            return _in_range(predicate), True
        case RangePrefix() | Near() | AnyWord() | WordPrefix() | Containing():
            return NOTHING, True
        case OfPatients(ids):
            return any_of("tok", [f"AuditEvent|patient|{escape(f'Patient/{id}')}" for id in ids]), False
        case OnlyOfPatients():
            return {}, False
        case WithId(ids):
            places = [place for place in map(place_of, ids) if place is not None]
            return any_of("_id", [link_id(place.shard, place.position) for place in places]), False
        case WithKey(keys):
            types_and_ids = (key.split("/", 1) for key in keys)
            return _filter(WithId(frozenset(id for type, id in types_and_ids if type == TYPE)))
        case Updated():
            return _updated(predicate)
        case And(parts):
            return _joined("$and", parts) if parts else ({}, True)
        case Or(parts):
            return _joined("$or", parts) if parts else (NOTHING, True)
        case Not(part):
            where, exact = _filter(part)
            return ({"$nor": [where]}, True) if exact else ({}, False)
        case Elsewhere():
            raise AssertionError("questions about other resources are settled first")


def _joined(operator: str, parts: tuple[Predicate, ...]) -> tuple[Document, bool]:
    filters = [_filter(part) for part in parts]
    return {operator: [where for where, _ in filters]}, all(exact for _, exact in filters)


def _any_token(values: frozenset[str]) -> tuple[Document, bool]:
    if TYPE in values:
        return {}, True
    values = frozenset(map(found_by, values))
    indexed = [value for value in values if _parameter(value) in INDEXED]
    plain = [value for value in values if _parameter(value) not in INDEXED]
    exact = not any(_parameter(value) in _DIFFERING for value in indexed)
    if not plain:
        return any_of("tok", indexed), exact
    if not indexed:
        return any_of("attr", plain), exact
    return {"$or": [any_of("tok", indexed), any_of("attr", plain)]}, exact


def _parameter(token: str) -> str:
    return token.split("|", 2)[1] if "|" in token else ""


def _updated(wanted: Updated) -> tuple[Document, bool]:
    """A record is kept by the millisecond: within one, it may have happened before or after."""
    bounds = [bound for bound in (wanted.start, wanted.end) if bound is not None]
    start = moment(milliseconds(wanted.start)) if wanted.start is not None else None
    return between("t", start, wanted.end), all(moment(milliseconds(bound)) == bound for bound in bounds)


def _in_range(wanted: InRange) -> Document:
    if wanted.parameter != DATE:
        return NOTHING
    lows = (_ceiled(wanted.low_min), _floored(wanted.low_max))
    highs = (
        _ceiled(None if wanted.high_min is None else wanted.high_min - _LAST_MICROSECOND),
        _floored(None if wanted.high_max is None else wanted.high_max - _LAST_MICROSECOND),
    )
    low, high = bounded(*lows), bounded(*highs)
    if low is None or high is None:
        return NOTHING
    return {"$and": [{"t": low} if low else {}, {"t": high} if high else {}]}


def _ceiled(microseconds: Bound | None) -> int | None:
    return None if microseconds is None else -(-int(microseconds) // _MICROSECONDS)


def _floored(microseconds: Bound | None) -> int | None:
    return None if microseconds is None else int(microseconds) // _MICROSECONDS
