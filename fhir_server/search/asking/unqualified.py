"""
References that are asked for by an id alone, where the parameter may lead to several types.

`Observation?subject=23` is about whatever has the id 23. R4 wants a server to fail it when several
resources have: whether they do is asked for beside the search, within what the caller may see
(pipeline/unqualified.py). What it finds does not depend on that, so it is a question of tokens.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fhir_server.search.predicates.predicate import (
    AnyToken,
    Coded,
    Elsewhere,
    Or,
    Predicate,
    ReferredTo,
    Refers,
    Unqualified,
)
from fhir_server.search.predicates.rewriting import questions_in, rewritten
from fhir_server.search.predicates.unions import union


def unqualified_in(predicate: Predicate) -> Iterator[Unqualified]:
    """Those that it asks about, at each of its steps."""
    for question in questions_in(predicate):
        match question:
            case Unqualified():
                yield question
            case Refers() | ReferredTo():
                yield from unqualified_in(question.of)
            case Coded():
                continue


def of_any_type(predicate: Predicate) -> Predicate:
    """The same, where an id without a type is of each type that it may be."""
    return rewritten(predicate, _of_any_type)


def _of_any_type(part: Predicate) -> Predicate | None:
    match part:
        case Elsewhere(question=Unqualified(tokens=tokens)):
            return AnyToken(tokens)
        case Elsewhere(question=(Refers() | ReferredTo()) as question):
            return Elsewhere(replace(question, of=of_any_type(question.of)))
        case Or(parts=parts):
            return union(map(of_any_type, parts))
        case _:
            return None
