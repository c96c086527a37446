"""
The text of `_filter`, read into a tree.

    given eq "peter" and birthdate ge 2014-10-10
    not (status eq final or code eq loinc|1234-5)
    subject[gender eq male].name co "pet"

`and` and `or` are of the same rank and are read from left to right; parentheses say otherwise. A value is
a JSON string or a word up to the next space, `)` or `]`.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from fhir_server.r4.errors import Invalid, TooCostly

Operator = Literal[
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb",
    "pr", "po", "ss", "sb", "in", "ni", "re",
]  # fmt: skip

TESTS_MAX: Final = 50
"""Comparisons in one filter."""

NESTING_MAX: Final = 10
"""Parentheses and brackets within each other."""


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path; what it leads to must fulfil `filter`."""

    name: str
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`subject.name co "pet"`."""

    path: tuple[Step, ...]
    operator: Operator
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Both, or either."""

    left: Filter
    word: Literal["and", "or"]
    right: Filter


@dataclass(frozen=True, slots=True)
class Negated:
    """Not so."""

    filter: Filter


Filter = Comparison | Joined | Negated


def parsed(text: str) -> Filter:
    """The filter that `text` says. Raises Invalid where it is none, TooCostly beyond the limits."""
    reading = _Reading(text)
    found = reading.filter(0)
    reading.require_end()
    return found


class _Reading:
    """Reads a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._tests = 0

    def filter(self, depth: int) -> Filter:
        if depth > NESTING_MAX:
            raise TooCostly(f"`_filter` nests deeper than {NESTING_MAX}")
        found = self._operand(depth)
        while (word := self._next(_LOGICAL)) is not None:
            found = Joined(found, "and" if word.strip() == "and" else "or", self._operand(depth))
        return found

    def require_end(self) -> None:
        self._next(_SPACE)
        if self._place < len(self._text):
            raise self._wrong("the end, `and` or `or`")

    def _operand(self, depth: int) -> Filter:
        if self._next(_NOT) is not None:
            return Negated(self._bracketed(")", depth))
        if self._next(_OPENING) is not None:
            return self._bracketed(")", depth)
        return self._test(depth)

    def _bracketed(self, closing: str, depth: int) -> Filter:
        found = self.filter(depth + 1)
        self._next(_SPACE)
        if self._text[self._place : self._place + 1] != closing:
            raise self._wrong(f"`{closing}`")
        self._place += 1
        return found

    def _test(self, depth: int) -> Comparison:
        self._tests += 1
        if self._tests > TESTS_MAX:
            raise TooCostly(f"`_filter` has more than {TESTS_MAX} comparisons")
        path = [self._step(depth)]
        while self._next(_DOT) is not None:
            path.append(self._step(depth))
        if path[-1].filter is not None:
            raise self._wrong("`.` and a name behind a filter in brackets")
        operator = self._next(_OPERATOR)
        if operator is None:
            raise self._wrong(f"one of {', '.join(get_args(Operator))}")
        return Comparison(tuple(path), _OPERATORS[operator.strip()], self._value())

    def _step(self, depth: int) -> Step:
        name = self._next(_NAME)
        if name is None:
            raise self._wrong("the name of a search parameter")
        if self._next(_BRACKET) is None:
            return Step(name.strip())
        return Step(name.strip(), self._bracketed("]", depth))

    def _value(self) -> str:
        quoted = self._next(_STRING)
        if quoted is not None:
            try:
                return str(json.loads(quoted))
            except ValueError as error:
                raise self._wrong("a JSON string") from error
        word = self._next(_WORD)
        if word is None:
            raise self._wrong("a value")
        return word

    def _next(self, pattern: re.Pattern[str]) -> str | None:
        """What stands here, if it is this."""
        match = pattern.match(self._text, self._place)
        if match is None:
            return None
        self._place = match.end()
        return match[0]

    def _wrong(self, expected: str) -> Invalid:
        # What stands there instead may be about a patient.
        return Invalid(f"`_filter`: at character {self._place + 1} {expected} was expected")


_OPERATORS: Final[dict[str, Operator]] = {operator: operator for operator in get_args(Operator)}
_SPACE: Final = re.compile(r"\s*")
_LOGICAL: Final = re.compile(r"\s*\b(?:and|or)\b\s*")
_NOT: Final = re.compile(r"\s*not\s*\(")
_OPENING: Final = re.compile(r"\s*\(")
_BRACKET: Final = re.compile(r"\[")
_DOT: Final = re.compile(r"\.")
_NAME: Final = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_-]*")
_OPERATOR: Final = re.compile(rf"\s+(?:{'|'.join(get_args(Operator))})\s+")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD: Final = re.compile(r'[^\s)\]"][^\s)\]]*')
