"""
What a search asks about codes, answered: from value sets and hierarchies to tokens.

It comes before chains are settled, and at each of their steps, since codes mean the same for every
resource. What is found is of the moment when it is asked, on each page anew.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.r4.errors import Forbidden, Invalid, TooCostly, Unsupported
from fhir_server.search.predicates.predicate import (
    And,
    Coded,
    Elsewhere,
    Not,
    Or,
    Predicate,
    ReferredTo,
    Refers,
    all_of,
    any_of,
    asks_elsewhere,
    none_of,
)
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
            return await self._meant(predicate)

    async def _meant(self, predicate: Predicate) -> Predicate:
        match predicate:
            case Elsewhere(question=Coded() as question):
                return await self._having(question)
            case Elsewhere(question=(Refers() | ReferredTo()) as question):
                return Elsewhere(replace(question, of=await self._meant(question.of)))
            case And(parts=parts):
                return all_of(*[await self._meant(part) for part in parts])
            case Or(parts=parts):
                return any_of(*[await self._meant(part) for part in parts])
            case Not(part=part):
                return none_of(await self._meant(part))
            case _:
                return predicate

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
