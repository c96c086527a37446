"""
What a search asks, asked of contained resources.

A contained resource is a part of another: who may see it, and when it was changed, is said of what it is in.
Nothing outside refers to it, and it contains nothing.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from fhir_server.search.predicates.predicate import (
    And,
    Containing,
    Elsewhere,
    Everything,
    Not,
    Nothing,
    Predicate,
    ReferredTo,
    TokenContaining,
    TokenPrefix,
    Updated,
    all_of,
)
from fhir_server.search.predicates.rewriting import leaves_of, rewritten


def of_contained(predicate: Predicate) -> Predicate:
    """`predicate` as it can be settled for contained resources: nothing refers to one."""

    def never(part: Predicate) -> Predicate | None:
        return Nothing() if isinstance(part, Elsewhere) and isinstance(part.question, ReferredTo) else None

    return rewritten(predicate, never)


def containing(predicate: Predicate, names: frozenset[str] = frozenset()) -> Predicate:
    """
    True of what contains a resource for which `predicate` is true, which asks nothing of other resources.

    With `names` it refers to this resource under one of them. Times are asked of what contains it.
    """
    parts = predicate.parts if isinstance(predicate, And) else (predicate,)
    times = [part for part in parts if _is_of_time(part)]
    others = rewritten(all_of(*(part for part in parts if part not in times)), _instead)
    return Nothing() if others == Nothing() else all_of(*times, Containing(others, names))


def loosened(predicate: Predicate) -> Predicate:
    """True wherever `predicate` is, and what a database can ask of an element of an array."""

    def in_contained(part: Predicate) -> Predicate | None:
        return Containing(rewritten(part.of, _loose), part.names) if isinstance(part, Containing) else None

    return rewritten(predicate, in_contained)


def is_exact(predicate: Predicate) -> bool:
    """Does `loosened` ask as much as it does?"""
    return not any(isinstance(part, Containing) and _looks_into(part.of) for part in leaves_of(predicate))


def _loose(part: Predicate) -> Predicate | None:
    match part:
        case TokenContaining(start=start):
            return TokenPrefix(start)
        case Not() if _looks_into(part):
            return Everything()
        case _:
            return None


def _instead(part: Predicate) -> Predicate | None:
    return Nothing() if isinstance(part, Containing | Updated) else None


def _looks_into(predicate: Predicate) -> bool:
    return any(isinstance(part, TokenContaining) for part in leaves_of(predicate))


def _is_of_time(predicate: Predicate) -> bool:
    return all(isinstance(part, Updated) for part in leaves_of(predicate))
