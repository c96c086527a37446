"""
string: case, accents, punctuation and spacing do not matter, and the beginning is enough.

Extracted from a string or markdown as a whole, from the parts of a HumanName or Address each:
`|muller|Müller`, folded for the default search, then as written for `:exact`.

Of a longer text than STRING_CHARACTERS_MAX that token has the beginning alone. For `:contains` all of
it is kept in `:whole|...`, parts of twice that length, each beginning in the middle of the one before:
whatever may be asked for lies in one of them as a whole. The last part has a `|` behind it.

Names of people are found by the beginning of each of their words, as R4 recommends: what follows the first
word of a part is kept beside it, from each word on, `:word|quinones` of Carreno Quinones. What something else
begins with anyway is left out: of a name as a text, the family and given names that stand beside it.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import (
    Predicate,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    any_of,
    beyond,
    token,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.folding import STRING_CHARACTERS_MAX, folded
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

_WHOLE: Final = "whole"
_WORD: Final = "word"

NAME_WORDS_MAX: Final = 8
"""Of one part of a name: words behind the first one by which it is found."""

_PARTS: Final = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}


def suffixes(nodes: Collection, _site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    return [suffix for text in _texts(nodes) for suffix in _suffixes(text, folded(text))]


def suffixes_of_names(nodes: Collection, _site: Site) -> list[str]:
    """The same of names of people, with what they are found by beside their beginnings."""
    texts = [(text, folded(text)) for text in _texts(nodes)]
    found = [suffix for text, plain in texts for suffix in _suffixes(text, plain)]
    beginnings = {plain[:STRING_CHARACTERS_MAX] for _, plain in texts}
    words = {rest for text in beginnings for rest in _later_words(text)}
    return [*found, *(f":{_WORD}|{escape(each)}" for each in _not_begun_by_others(words, beginnings))]


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """One of `values` is how a string of the parameter starts; `:exact`: what it is; `:contains`: in it."""
    if modifier is None:
        words = (f"{parameter.name}:{_WORD}",) if parameter.of_names else ()
        return any_of(
            *(_starting(name, parameter, value) for value in values for name in (parameter.name, *words))
        )
    if modifier == "exact":
        return union(_is(parameter, value) for value in values)
    if modifier == "contains":
        return any_of(*(part for value in values for part in _containing(parameter, value)))
    raise refuse_modifier(parameter.code, modifier, "exact", "contains", "missing")


def starting(parameter: Parameter, value: str) -> Predicate:
    """A string of the parameter starts so, folded: no later word of it."""
    return _starting(parameter.name, parameter, value)


def equal(parameter: Parameter, value: str) -> Predicate:
    """All of a string of the parameter, folded, is this."""
    return TokenPrefix(f"{parameter.name}|{escape(asked(parameter, value))}|")


def ending(parameter: Parameter, value: str) -> Predicate:
    """A string of the parameter ends so, folded."""
    text = f"{_refusing_nul(parameter, escape(asked(parameter, value)))}|"
    return any_of(*(TokenContaining(f"{name}|", text) for name in _names(parameter)))


def greater(parameter: Parameter, value: str) -> Predicate:
    """A string of the parameter comes after this one, folded, in the order of code points."""
    start, same = _starts(parameter, value)
    behind = TokenBetween(beyond(same), beyond(f"{parameter.name}|"))
    return any_of(TokenBetween(start, same), behind)


def less(parameter: Parameter, value: str) -> Predicate:
    """A string of the parameter comes before this one, folded, in the order of code points."""
    start, _ = _starts(parameter, value)
    text = asked(parameter, value)
    # A beginning of the value is less than it; in a token `|` stands behind it, which is more than a letter.
    beginnings = (TokenPrefix(f"{parameter.name}|{escape(text[:end])}|") for end in range(1, len(text)))
    return any_of(TokenBetween(f"{parameter.name}|\0", start), *beginnings)


def unequal(parameter: Parameter, value: str) -> Predicate:
    """Some string of the parameter is another one, folded."""
    _, same = _starts(parameter, value)
    name = f"{parameter.name}|"
    return any_of(TokenBetween(f"{name}\0", same), TokenBetween(beyond(same), beyond(name)))


def _starts(parameter: Parameter, value: str) -> tuple[str, str]:
    """What tokens of the texts begin with that begin so, and of those that are no longer."""
    start = f"{parameter.name}|{escape(asked(parameter, value))}"
    return start, f"{start}|"


def _texts(nodes: Collection) -> Iterator[str]:
    """The strings, and those that are parts of others."""
    for type, value, _ in nodes:
        parts = [value]
        if isinstance(value, dict):
            parts = [part for name in _PARTS.get(type, ()) for part in _listed(value.get(name))]
        yield from (part for part in parts if isinstance(part, str))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _later_words(text: str) -> Iterator[str]:
    """What follows the first word, from each word on."""
    for _ in range(NAME_WORDS_MAX):
        _, _, text = text.partition(" ")
        if not text:
            return
        yield text


def _not_begun_by_others(words: set[str], texts: set[str]) -> list[str]:
    """Those of `words` that nothing else begins with."""
    # What begins with a text follows it, in the order of texts.
    together = [*sorted(words | texts), ""]
    return [
        one
        for one, following in pairwise(together)
        if one in words and one not in texts and not following.startswith(one)
    ]


def _suffixes(text: str, plain: str) -> list[str]:
    if len(text) <= STRING_CHARACTERS_MAX:
        return [f"|{escape(plain)}|{escape(text)}"]
    # Nothing after it: `:exact` must not find a text by a part of it.
    beginning = f"|{escape(plain[:STRING_CHARACTERS_MAX])}"
    if len(plain) <= STRING_CHARACTERS_MAX:
        beginning += "|"
    starts = range(0, max(1, len(plain) - STRING_CHARACTERS_MAX), STRING_CHARACTERS_MAX)
    parts = [plain[start : start + 2 * STRING_CHARACTERS_MAX] for start in starts]
    # The last part ends as a shorter text does, so that its end can be looked for.
    return [
        beginning,
        *(f":{_WHOLE}|{escape(part)}" for part in parts[:-1]),
        f":{_WHOLE}|{escape(parts[-1])}|",
    ]


def _starting(name: str, parameter: Parameter, value: str) -> Predicate:
    return TokenPrefix(f"{name}|{escape(asked(parameter, value))}")


def _containing(parameter: Parameter, value: str) -> tuple[Predicate, ...]:
    text = _refusing_nul(parameter, escape(asked(parameter, value)))
    return tuple(TokenContaining(f"{name}|", text) for name in _names(parameter))


def _names(parameter: Parameter) -> tuple[str, str]:
    """Under which texts are kept, and those that are long."""
    return parameter.name, f"{parameter.name}:{_WHOLE}"


def _refusing_nul(parameter: Parameter, text: str) -> str:
    if "\0" in text:
        raise Invalid(f"A value of `{parameter.code}` has a character that no string of FHIR has")
    return text


def asked(parameter: Parameter, value: str) -> str:
    """A search value as strings are compared. Raises Invalid when nothing is left of it, or too much."""
    text = folded(unescaped(value))
    if not text:
        raise Invalid(
            f"The value of `{parameter.code}` has nothing that is searched: it is blank or punctuation"
        )
    _refuse_long(parameter, text)
    return text


def _is(parameter: Parameter, value: str) -> Predicate:
    text = unescaped(value)
    _refuse_long(parameter, text)
    return token(f"{parameter.name}|{escape(folded(text))}|{escape(text)}")


def _refuse_long(parameter: Parameter, text: str) -> None:
    if len(text) > STRING_CHARACTERS_MAX:
        raise Invalid(f"`{parameter.code}` can be searched by the first {STRING_CHARACTERS_MAX} characters")
