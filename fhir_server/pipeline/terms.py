"""
What a search asks about codes, answered: from value sets and hierarchies to tokens.

It comes before chains are settled, and at each of their steps, since codes mean the same for every
resource. What is found is of the moment when it is asked, on each page anew.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fhir_server.r4.errors import Forbidden, Invalid, TooCostly, Unsupported
from fhir_server.search.predicates.predicate import (
    Coded,
    Elsewhere,
    Predicate,
    ReferredTo,
    Refers,
)
from fhir_server.search.predicates.rewriting import asks_elsewhere, questions_in, rewritten
from fhir_server.search.values.token import having
from fhir_server.store.explaining import stage
from terminology.codes import Codes
from terminology.service import Terminology


class Terms:
    """Asks `terminology` for one search, for `codes_max` codes together."""

    def __init__(self, terminology: Terminology, *, codes_max: int) -> None:
        self._terminology = terminology
        self._codes_max = codes_max
        self._codes_left = codes_max

    async def meant(self, predicate: Predicate) -> Predicate:
        """
        `predicate` without questions about codes.

        Raises what the terminology refuses with, naming the parameter.
        """
        if not asks_elsewhere(predicate):
            return predicate
        with stage("terms"):
            return _answered(predicate, {each: await self._having(each) for each in _coded_in(predicate)})

    async def _having(self, question: Coded) -> Predicate:
        try:
            codes = self._counted(await self._codes(question))
        except (Invalid, Forbidden, Unsupported, TooCostly) as refusal:
            raise type(refusal)(f"`{question.asked_as}`: {refusal}") from refusal
        return having(
            question,
            {system: None if some.others else some.listed for system, some in codes.of.items()},
        )

    def _counted(self, codes: Codes) -> Codes:
        self._codes_left -= len(codes)
        if self._codes_left < 0:
            raise TooCostly(f"the search asks for more than {self._codes_max} codes")
        return codes

    async def _codes(self, question: Coded) -> Codes:
        match question.relation, question.of:
            case "below", (system, code):
                return await self._terminology.below(system, code)
            case "above", (system, code):
                return await self._terminology.above(system, code)
            case "in", str() as value_set:
                return await self._terminology.expansion(value_set)
        raise AssertionError("a value set is named by a text, a code by its system and itself")


def _coded_in(predicate: Predicate) -> Iterator[Coded]:
    """What it asks about codes, at each of its steps, in order."""
    for question in questions_in(predicate):
        if isinstance(question, Coded):
            yield question
        elif isinstance(question, Refers | ReferredTo):
            yield from _coded_in(question.of)


def _answered(predicate: Predicate, having: Mapping[Coded, Predicate]) -> Predicate:
    """`predicate` with what each question about codes comes to."""

    def answer(part: Predicate) -> Predicate | None:
        match part:
            case Elsewhere(question=Coded() as question):
                return having[question]
            case Elsewhere(question=(Refers() | ReferredTo()) as question):
                return Elsewhere(replace(question, of=_answered(question.of, having)))
            case _:
                return None

    return rewritten(predicate, answer)
