"""How much a search may ask for. Beyond it is refused, never cut in silence; only `_count` is lowered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.r4.errors import TooCostly, TooLarge
from fhir_server.r4.interaction import Parameters
from fhir_server.search.predicates.predicate import Coded, Predicate, Question, Unqualified
from fhir_server.search.predicates.rewriting import questions_in


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """
    `values_max` counts the alternatives between commas of all parameters together;
    `name_characters_max` is of a parameter's name with its modifier, which refusals quote.

    `chain_links_max` is of the references in one chain or nested `_has`, `chains_max` of such criteria.

    `total_estimated_max` is where an estimated total ends: there are so many, or more.

    `include_parameters_max` is of `_include`s and `_revinclude`s in a request, not of what they find;
    `include_tokens_max` of the references that are looked for backwards, at each step.
    """

    page_size_default: int = 50
    page_size_max: int = 1_000
    parameters_max: int = 100
    values_max: int = 1_000
    name_characters_max: int = 200
    value_characters_max: int = 2_000
    value_characters_total_max: int = 200_000
    sort_keys_max: int = 4
    chain_links_max: int = 5
    chains_max: int = 10
    total_estimated_max: int = 10_000
    include_parameters_max: int = 20
    include_tokens_max: int = 20_000

    def refuse_excess(self, parameters: Parameters) -> None:
        """Raises TooCostly for too many parameters, TooLarge for too long ones."""
        if len(parameters) > self.parameters_max:
            raise TooCostly(f"The search has more than {self.parameters_max} parameters")
        if any(len(name) > self.name_characters_max for name, _ in parameters):
            raise TooLarge(f"A parameter's name has more than {self.name_characters_max} characters")
        lengths = [len(name) + len(value) for name, value in parameters]
        if sum(lengths) > self.value_characters_total_max:
            raise TooLarge(f"The search has more than {self.value_characters_total_max} characters")

    def refuse_values(self, name: str, values: Iterable[str]) -> None:
        """Raises TooLarge when one of the values between commas is too long."""
        if any(len(value) > self.value_characters_max for value in values):
            raise TooLarge(f"A value of `{name}` has more than {self.value_characters_max} characters")

    def refuse_links(self, path: str) -> None:
        """Raises TooCostly for a parameter's name that is too long a chain, before it is looked into."""
        self._refuse_links(path.count(".") + re.split(r"[.:]", path).count("_has"))

    def refuse_questions(self, predicate: Predicate) -> None:
        """Raises TooCostly for chains that are too long, or too many."""
        questions = [question for question in questions_in(predicate) if not isinstance(question, Coded)]
        if len(questions) > self.chains_max:
            raise TooCostly(f"The search has more than {self.chains_max} chains")
        self._refuse_links(max(map(_links, questions), default=0))

    def _refuse_links(self, count: int) -> None:
        if count > self.chain_links_max:
            raise TooCostly(f"A chain follows more than {self.chain_links_max} references")


def _links(question: Question) -> int:
    """How many references it is from a match to what is asked about."""
    if isinstance(question, Coded | Unqualified):
        return 0
    return 1 + max(map(_links, questions_in(question.of)), default=0)
