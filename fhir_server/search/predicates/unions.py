"""Alternatives as one predicate, as an index wants them; and what a predicate says of types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    AnyWord,
    InRange,
    Or,
    Predicate,
    TokenBetween,
    TokenPrefix,
    WordPrefix,
    any_of,
    beyond,
)


def union(parts: Iterable[Predicate]) -> Predicate:
    """Or, with all tokens in one set: an index is asked once for them."""
    tokens: set[str] = set()
    others: list[Predicate] = []
    for part in parts:
        if isinstance(part, AnyToken):
            tokens |= part.values
        else:
            others.append(part)
    return any_of(*([AnyToken(frozenset(tokens))] if tokens else []), *others)


def implies_type(predicate: Predicate, types: Sequence[str]) -> bool:
    """What it is true of is of one of the types, as their names start its tokens and ranges."""
    starts = tuple(f"{type}|" for type in types)
    match predicate:
        case AnyToken(values=values) | AnyWord(values=values) | WordPrefix(prefixes=values):
            return all(value.startswith(starts) for value in values)
        case TokenPrefix(prefix=text) | InRange(parameter=text):
            return f"{text}|".startswith(starts)
        case TokenBetween(low=low, below=below):
            return any(start <= low and below <= beyond(start) for start in starts)
        case Or(parts=parts):
            return all(implies_type(part, types) for part in parts)
        case And(parts=parts):
            return any(implies_type(part, types) for part in parts)
        case _:
            return False
