"""
Does a version answer a predicate? In plain Python, from its index entry alone.

The reference for what store/filters.py gives to the database, and the second look at what is
about to leave the server. Questions about other resources are for `elsewhere` to answer: by itself
an entry cannot (elsewhere.py).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from fhir_server.search.predicates.entry import Contained, Range, aligned
from fhir_server.search.predicates.great_circle import is_within
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
    Question,
    RangePrefix,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    Updated,
    WithId,
    WithKey,
    WordPrefix,
)
from fhir_server.search.predicates.version import Version

Answer = Callable[[Question, Version], bool]
"""Is what a question asks of other resources true for this version?"""


def matches(predicate: Predicate, version: Version, elsewhere: Answer | None = None) -> bool:
    """The predicate holds of this version; without `elsewhere` it asks nothing of other resources."""
    # The kinds that restrictions are made of come first: each page is judged by them.
    match predicate:
        case AnyToken(values=values):
            return not values.isdisjoint(version.entry.tokens)
        case And(parts=parts):
            return all(matches(part, version, elsewhere) for part in parts)
        case OfPatients(ids=ids):
            return not ids.isdisjoint(version.entry.patients)
        case Or(parts=parts):
            return any(matches(part, version, elsewhere) for part in parts)
        case Not(part=part):
            return not matches(part, version, elsewhere)
        case Everything():
            return True
        case Nothing():
            return False
        case TokenPrefix(prefix=prefix):
            return any(token.startswith(prefix) for token in version.entry.tokens)
        case TokenBetween(low=low, below=below):
            return any(low <= token < below for token in version.entry.tokens)
        case TokenContaining():
            return any(_contains(predicate, token) for token in version.entry.tokens)
        case AnyWord(values=values):
            return not values.isdisjoint(version.entry.words)
        case WordPrefix(prefixes=prefixes):
            return any(word.startswith(tuple(prefixes)) for word in version.entry.words)
        case InRange():
            return any(_within(predicate, found) for found in version.entry.ranges)
        case RangePrefix(prefix=prefix):
            return any(found.parameter.startswith(prefix) for found in version.entry.ranges)
        case OnlyOfPatients(ids=ids):
            return ids.issuperset(version.entry.patients)
        case WithId(ids=ids):
            return version.key.id in ids
        case WithKey(keys=keys):
            return str(version.key) in keys
        case Updated(start=start, end=end):
            return (start is None or start <= version.last_updated) and (
                end is None or version.last_updated < end
            )
        case Near(point=centre, metres=metres):
            point = version.entry.point
            return point is not None and is_within(metres, centre, point)
        case Containing():
            return any(is_meant(predicate, version, inner) for inner in version.entry.contained)
        case Elsewhere(question=question):
            assert elsewhere is not None, "questions about other resources are settled first"
            return elsewhere(question, version)


def is_meant(wanted: Containing, version: Version, inner: Contained) -> bool:
    """Is `inner`, which is contained in `version`, one that is asked for?"""
    if wanted.names and wanted.names.isdisjoint(inner.referred_to_as):
        return False
    return matches(wanted.of, structs.replace(version, key=inner.key, entry=inner.entry))


def _contains(wanted: TokenContaining, token: str) -> bool:
    return token.startswith(wanted.start) and aligned(wanted.text) in aligned(token[len(wanted.start) :])


def _within(bounds: InRange, found: Range) -> bool:
    return (
        _is_named(bounds, found.parameter)
        and (bounds.low_min is None or bounds.low_min <= found.low)
        and (bounds.low_max is None or found.low <= bounds.low_max)
        and (bounds.high_min is None or bounds.high_min <= found.high)
        and (bounds.high_max is None or found.high <= bounds.high_max)
        and (bounds.unit is None or bounds.unit in found.units)
    )


def _is_named(bounds: InRange, parameter: str) -> bool:
    return parameter.startswith(bounds.parameter) if bounds.is_prefix else parameter == bounds.parameter
