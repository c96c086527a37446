"""Alternatives as one predicate, as an index wants them."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.search.predicate import AnyToken, Predicate, any_of


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
