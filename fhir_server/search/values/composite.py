r"""
composite: a code and a value of one element, `code$value`.

It is kept under names of its own that carry the code, so that parts of two elements never meet:
with a token, string or reference for a value `|code|value` and `|system\|code|value`, found as any such
value of a parameter of that name; with a quantity or date a range named by the code, whose units say the
code's system too: `system`, and `system|unit` beside each `unit`. An index asks both parts at once.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.entry import escape
from fhir_server.search.escaping import split
from fhir_server.search.parameters import Parameter
from fhir_server.search.predicate import AnyToken, InRange, Nothing, Or, Predicate, any_of
from fhir_server.search.site import Site
from fhir_server.search.unions import union
from fhir_server.search.values import date, quantity, reference, string, token
from fhir_server.search.values.modifiers import refuse_modifier

Criterion = Callable[[Parameter, str | None, Sequence[str], Site], Predicate]

_CRITERIA: Final[Mapping[str, Criterion]] = {
    "date": date.criterion,
    "quantity": quantity.criterion,
    "reference": reference.criterion,
    "string": string.criterion,
    "token": token.criterion,
}
_RANGED: Final = frozenset(("date", "quantity"))


def codes(nodes: Collection, site: Site) -> list[str]:
    """The code, by itself and with its system, escaped: `c`, `s|c`; without a system `c`, `|c`."""
    found = [suffix[1:] for suffix in token.suffixes(nodes, site) if suffix.startswith("|")]
    return [form for form in dict.fromkeys(found) if split(form, "|")[-1]]


def systems_by_code(forms: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The same, by code alone."""
    found: dict[str, tuple[str, ...]] = {}
    for form in forms:
        *system, code = split(form, "|")
        found[code] = (*found.get(code, ()), *system)
    return found


def units_in(systems: Sequence[str], units: Sequence[str]) -> tuple[str, ...]:
    """All that the range of a code in `systems` goes by."""
    together = [f"{system}|{unit}" for system in systems for unit in units]
    return (*units, *systems, *together)


def is_ranged(parameter: Parameter) -> bool:
    """Its values are kept as ranges."""
    return parameter.components[-1].type in _RANGED


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], site: Site) -> Predicate:
    """One element has both parts of one of `values`."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return union(_asked(parameter, value, site) for value in values)


def _asked(parameter: Parameter, text: str, site: Site) -> Predicate:
    parts = split(text, "$")
    if len(parts) != 2 or not all(parts):
        raise Invalid(f"A value of `{parameter.code}` is two values with `$` between them")
    first, second = parameter.components
    match token.criterion(replace(first, name=""), None, parts[:1], site):
        case AnyToken(values=values):
            forms = [value.removeprefix("|") for value in sorted(values)]
        case Nothing():
            forms = []
        case _:
            raise Invalid(f"The first part of a value of `{parameter.code}` names a code, not a system alone")
    ask = _CRITERIA[second.type]
    if is_ranged(parameter):
        return any_of(*(_ranged(parameter, second, ask, form, parts[1], site) for form in forms))
    named = [replace(second, name=f"{parameter.name}|{escape(form)}") for form in forms]
    return union(ask(each, None, parts[1:], site) for each in named)


def _ranged(
    parameter: Parameter, second: Parameter, ask: Criterion, form: str, text: str, site: Site
) -> Predicate:
    *system, code = split(form, "|")
    found = ask(replace(second, name=f"{parameter.name}|{code}"), None, [text], site)
    return _in_system(found, system[0]) if system else found


def _in_system(predicate: Predicate, system: str) -> Predicate:
    match predicate:
        case InRange(unit=unit):
            return replace(predicate, unit=system if unit is None else f"{system}|{unit}")
        case Or(parts=parts):
            return any_of(*(_in_system(part, system) for part in parts))
        case Nothing():
            return predicate
    raise AssertionError("a range is asked for by ranges")
