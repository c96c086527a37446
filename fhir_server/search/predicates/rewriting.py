"""Trees of conditions, walked and rewritten: the one place that knows how they branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fhir_server.search.predicates.predicate import (
    And,
    Elsewhere,
    Not,
    Or,
    Predicate,
    Question,
    all_of,
    any_of,
    none_of,
)


def leaves_of(predicate: Predicate) -> Iterator[Predicate]:
    """What it is put together from: its parts that are no And, Or or Not."""
    match predicate:
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from leaves_of(part)
        case Not(part=part):
            yield from leaves_of(part)
        case _:
            yield predicate


def rewritten(predicate: Predicate, instead: Callable[[Predicate], Predicate | None]) -> Predicate:
    """
    `predicate` with what `instead` gives in place of a part, from the whole down to its leaves.

    Where it gives None the part stays, as far as nothing is given instead of its own parts.
    """
    replaced = instead(predicate)
    if replaced is not None:
        return replaced
    match predicate:
        case And(parts=parts):
            return all_of(*(rewritten(part, instead) for part in parts))
        case Or(parts=parts):
            return any_of(*(rewritten(part, instead) for part in parts))
        case Not(part=part):
            return none_of(rewritten(part, instead))
        case _:
            return predicate


def questions_in(predicate: Predicate) -> Iterator[Question]:
    """The questions about other resources that it asks, not those within these."""
    return (leaf.question for leaf in leaves_of(predicate) if isinstance(leaf, Elsewhere))


def asks_elsewhere(predicate: Predicate) -> bool:
    """Is any part of it about other resources?"""
    return any(True for _ in questions_in(predicate))
