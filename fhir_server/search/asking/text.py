"""
`_text` and `_content`: which words a resource has, in its narrative or anywhere.

R4 leaves the language of a value to the server. Here `bone marrow` asks for both words in any order,
`(bone OR liver) and metastases` is R4's own example, `NOT` what must not be there, `metas*` the
beginning of a word. AND, OR and NOT may be written small; in quotes they are words. NOT binds closer than
AND, AND than OR; a comma is an OR of whole values, as everywhere. Where words stand is not kept, so a phrase
is refused.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from fhir_server.r4.errors import Invalid, TooCostly, Unsupported
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.predicate import AnyWord, Predicate, WordPrefix, all_of, any_of, none_of
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.folding import unaccented
from fhir_server.search.values.indexed_words import NEEDS
from fhir_server.search.values.words import WORD_CHARACTERS_MAX, words_in

DEPTH_MAX: Final = 10
"""Parentheses and NOTs in each other."""

STARTS_MAX: Final = 300
"""Ranges of the index that the words with `*` of one criterion may ask for: each takes one per type."""

STAR_WEIGHT: Final = 50
"""A word with `*` counts as so many values of the search."""

_KEPT_AS: Final[Mapping[str, tuple[str, ...]]] = {"_text": ("_text",), "_content": ("_text", "_content")}

PARAMETERS: Final = frozenset(NEEDS)

_TERM: Final = re.compile(r'\s*(?:(?P<mark>[()])|"(?P<quoted>[^"]*)"|(?P<plain>[^\s()"]+))')
_OPERATORS: Final = frozenset(("AND", "OR", "NOT"))


def asks_for_words(name: str) -> bool:
    """A criterion of this name, or what its chain ends in, is one of these parameters."""
    return not PARAMETERS.isdisjoint(name.replace(":", ".").split("."))


def has_parameter(types: Iterable[str], code: str) -> bool:
    """`code` is one of these parameters, and one of the types has it: a Binary has no narrative."""
    return code in PARAMETERS and any(code in parameters_of(type) for type in types)


def weight_of(values: Sequence[str]) -> int:
    """How many values of a search these count as: each word is one, and a star is STAR_WEIGHT more."""
    return sum(max(1, len(words_in(value))) + STAR_WEIGHT * value.count("*") for value in values)


def criterion(types: Sequence[str], code: str, values: Sequence[str]) -> Predicate:
    """A resource of `types` has the words that one of `values` asks for."""
    names = tuple(
        f"{type}|{name}|" for type in types if code in parameters_of(type) for name in _KEPT_AS[code]
    )
    stars = sum(value.count("*") for value in values)
    if stars and stars * len(names) > STARTS_MAX:
        raise TooCostly(f"`{code}` has too many words with `*` for so many types: name the types")
    return any_of(*(_Reader(code, names, unescaped(value)).read() for value in values))


class _Term(NamedTuple):
    """An operator, a parenthesis, or what is left: words."""

    operator: str | None
    words: str = ""


class _Reader:
    """Reads one value, from its first term to its last."""

    def __init__(self, code: str, names: tuple[str, ...], text: str) -> None:
        self._code = code
        self._names = names
        self._terms = _terms(code, text)
        self._place = 0
        self._depth = 0

    def read(self) -> Predicate:
        found = self._either()
        if self._place < len(self._terms):
            raise self._refused("a parenthesis that nothing opens")
        return found

    def _either(self) -> Predicate:
        parts = [self._all()]
        while self._takes("OR"):
            parts.append(self._all())
        return any_of(*parts)

    def _all(self) -> Predicate:
        parts = [self._one()]
        while self._takes("AND") or self._next() not in ("OR", ")", ""):
            parts.append(self._one())
        return all_of(*parts)

    def _one(self) -> Predicate:
        if self._takes("NOT"):
            return none_of(self._inside())
        if self._takes("("):
            found = self._inside(grouped=True)
            if not self._takes(")"):
                raise self._refused("a parenthesis that nothing closes")
            return found
        if self._next() != "word":
            raise self._refused("nothing where a word is expected")
        self._place += 1
        return self._words(self._terms[self._place - 1].words)

    def _inside(self, *, grouped: bool = False) -> Predicate:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise TooCostly(f"A value of `{self._code}` is nested deeper than {DEPTH_MAX} levels")
        found = self._either() if grouped else self._one()
        self._depth -= 1
        return found

    def _next(self) -> str:
        """What comes: an operator, a parenthesis, `word`, or nothing."""
        if self._place == len(self._terms):
            return ""
        return self._terms[self._place].operator or "word"

    def _takes(self, wanted: str) -> bool:
        taken = self._next() == wanted
        self._place += taken
        return taken

    def _words(self, text: str) -> Predicate:
        """Each word of a term: `8480-6` is two. A star behind it leaves the last one open."""
        closed, star = text.removesuffix("*"), text.endswith("*")
        words = words_in(closed)
        if not words or "*" in closed or (star and not unaccented(closed).endswith(words[-1])):
            raise self._refused("a term without a word, or a `*` elsewhere than behind one")
        if any(len(word) > WORD_CHARACTERS_MAX for word in words):
            raise Invalid(f"A word of `{self._code}` has at most {WORD_CHARACTERS_MAX} characters")
        opened = [words.pop()] if star else []
        return all_of(
            *(AnyWord(frozenset(name + word for name in self._names)) for word in words),
            *(WordPrefix(frozenset(name + word for name in self._names)) for word in opened),
        )

    def _refused(self, what: str) -> Invalid:
        return Invalid(f"A value of `{self._code}` has {what}")


def _terms(code: str, text: str) -> list[_Term]:
    terms: list[_Term] = []
    place, text = 0, text.rstrip()
    while place < len(text):
        found = _TERM.match(text, place)
        if found is None:
            raise Invalid(f"A value of `{code}` has a quotation mark that nothing closes")
        place = found.end()
        terms.append(_term(code, found))
    return terms


def _term(code: str, found: re.Match[str]) -> _Term:
    if found["quoted"] is not None:
        if len(found["quoted"].split()) > 1:
            raise Unsupported(f"A value of `{code}` has a phrase: which words stand side by side is not kept")
        return _Term(None, found["quoted"].replace("*", " "))
    term = found["mark"] or found["plain"].upper()
    return _Term(term) if found["mark"] or term in _OPERATORS else _Term(None, found["plain"])
