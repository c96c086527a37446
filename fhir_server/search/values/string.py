"""
string: case, accents and spacing do not matter, and the beginning is enough.

Extracted from a string or markdown as a whole, from the parts of a HumanName or Address each:
`|muller|Müller`, folded for the default search, then as written for `:exact`.

Of a longer text than STRING_CHARACTERS_MAX that token has the beginning alone. For `:contains` all of
it is kept in `:whole|...`, parts of twice that length, each beginning in the middle of the one before:
whatever may be asked for lies in one of them as a whole.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.entry import escape
from fhir_server.search.escaping import unescaped
from fhir_server.search.parameters import Parameter
from fhir_server.search.predicate import Predicate, TokenContaining, TokenPrefix, any_of, token
from fhir_server.search.site import Site
from fhir_server.search.unions import union
from fhir_server.search.values.folding import STRING_CHARACTERS_MAX, folded
from fhir_server.search.values.modifiers import refuse_modifier

_WHOLE: Final = "whole"

_PARTS: Final = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}


def suffixes(nodes: Collection, _site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    found: list[str] = []
    for type, value, _ in nodes:
        if isinstance(value, str):
            found += _suffixes(value)
        elif isinstance(value, dict):
            for part in _PARTS.get(type, ()):
                found += _part(value.get(part))
    return found


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """One of `values` is how a string of the parameter starts; `:exact`: what it is; `:contains`: in it."""
    if modifier is None:
        return any_of(*(_starts_with(parameter, value) for value in values))
    if modifier == "exact":
        return union(_is(parameter, value) for value in values)
    if modifier == "contains":
        return any_of(*(part for value in values for part in _containing(parameter, value)))
    raise refuse_modifier(parameter.code, modifier, "exact", "contains", "missing")


def _part(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value if isinstance(value, list) else [value]
    return [suffix for part in parts if isinstance(part, str) for suffix in _suffixes(part)]


def _suffixes(text: str) -> list[str]:
    plain = folded(text)
    if len(text) <= STRING_CHARACTERS_MAX:
        return [f"|{escape(plain)}|{escape(text)}"]
    # Nothing after it: `:exact` must not find a text by a part of it.
    beginning = f"|{escape(plain[:STRING_CHARACTERS_MAX])}"
    starts = range(0, max(1, len(plain) - STRING_CHARACTERS_MAX), STRING_CHARACTERS_MAX)
    parts = [plain[start : start + 2 * STRING_CHARACTERS_MAX] for start in starts]
    return [beginning, *(f":{_WHOLE}|{escape(part)}" for part in parts)]


def _starts_with(parameter: Parameter, value: str) -> Predicate:
    return TokenPrefix(f"{parameter.name}|{escape(asked(parameter, value))}")


def _containing(parameter: Parameter, value: str) -> tuple[Predicate, ...]:
    text = escape(asked(parameter, value))
    if "\0" in text:
        raise Invalid(f"A value of `{parameter.code}` has a character that no string of FHIR has")
    names = (parameter.name, f"{parameter.name}:{_WHOLE}")
    return tuple(TokenContaining(f"{name}|", text) for name in names)


def asked(parameter: Parameter, value: str) -> str:
    """A search value as strings are compared. Raises Invalid when it is blank or too long."""
    text = folded(unescaped(value))
    if not text:
        raise Invalid(f"The value of `{parameter.code}` is blank")
    _refuse_long(parameter, text)
    return text


def _is(parameter: Parameter, value: str) -> Predicate:
    text = unescaped(value)
    _refuse_long(parameter, text)
    return token(f"{parameter.name}|{escape(folded(text))}|{escape(text)}")


def _refuse_long(parameter: Parameter, text: str) -> None:
    if len(text) > STRING_CHARACTERS_MAX:
        raise Invalid(f"`{parameter.code}` can be searched by the first {STRING_CHARACTERS_MAX} characters")
