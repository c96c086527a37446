"""
string: case, accents and spacing do not matter, and the beginning is enough.

Extracted from a string or markdown as a whole, from the parts of a HumanName or Address each:
`|muller|Müller`, folded for the default search, then as written for `:exact`.

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
from fhir_server.search.predicate import Predicate, TokenPrefix, any_of, token
from fhir_server.search.site import Site
from fhir_server.search.unions import union
from fhir_server.search.values.folding import STRING_CHARACTERS_MAX, folded
from fhir_server.search.values.modifiers import refuse_modifier

_PARTS: Final = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}


def suffixes(nodes: Collection, _site: Site) -> list[str]:
    """What follows the parameter's name in each token."""
    found: list[str] = []
    for type, value, _ in nodes:
        if isinstance(value, str):
            found.append(_suffix(value))
        elif isinstance(value, dict):
            for part in _PARTS.get(type, ()):
                found += _part(value.get(part))
    return found


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """One of `values` is how a string of the parameter starts; `:exact`: what it is."""
    if modifier is None:
        return any_of(*(_starts_with(parameter, value) for value in values))
    if modifier == "exact":
        return union(_is(parameter, value) for value in values)
    raise refuse_modifier(parameter.code, modifier, "exact", "missing")


def _part(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value if isinstance(value, list) else [value]
    return [_suffix(part) for part in parts if isinstance(part, str)]


def _suffix(text: str) -> str:
    if len(text) > STRING_CHARACTERS_MAX:
        # Nothing after it: `:exact` must not find a text by a part of it.
        return f"|{escape(folded(text)[:STRING_CHARACTERS_MAX])}"
    return f"|{escape(folded(text))}|{escape(text)}"


def _starts_with(parameter: Parameter, value: str) -> Predicate:
    start = folded(unescaped(value))
    if not start:
        raise Invalid(f"The value of `{parameter.code}` is blank")
    _refuse_long(parameter, start)
    return TokenPrefix(f"{parameter.name}|{escape(start)}")


def _is(parameter: Parameter, value: str) -> Predicate:
    text = unescaped(value)
    _refuse_long(parameter, text)
    return token(f"{parameter.name}|{escape(folded(text))}|{escape(text)}")


def _refuse_long(parameter: Parameter, text: str) -> None:
    if len(text) > STRING_CHARACTERS_MAX:
        raise Invalid(f"`{parameter.code}` can be searched by the first {STRING_CHARACTERS_MAX} characters")
