r"""
composite: a code and a value of one element, `code$value`, or where in it something begins and ends,
`code$start$end`.

It is kept under names of its own that carry the code, so that parts of two elements never meet:
with a token, string or reference for a value `|code|value`, `|system\|code|value` and `|system\||value`,
found as any such value of a parameter of that name; with a quantity, number or date a range named by the
code, whose units say the code's system too: a quantity's have `system|unit` beside each `unit`, others have
`system`. An index asks both parts at once. A beginning and an end are one range; should the beginning lie
behind the end, the name says that they are reversed.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.entry import Bound, escape
from fhir_server.search.predicates.predicate import (
    AnyToken,
    InRange,
    Nothing,
    Or,
    Predicate,
    RangePrefix,
    TokenPrefix,
    any_of,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values import number, token
from fhir_server.search.values.by_type import AS_RANGES, CRITERIA
from fhir_server.search.values.escaping import split, unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

_REVERSED: Final = ":reversed"


def codes(nodes: Collection, site: Site) -> list[str]:
    """The code, by itself and with its system, escaped: `c`, `s|c`; without a system `c`, `|c`; `s|`."""
    found = [suffix[1:] for suffix in token.suffixes(nodes, site) if suffix.startswith("|")]
    return list(dict.fromkeys(found))


def asked_for(forms: Iterable[str]) -> list[str]:
    """What a search may say of the code: these, and each system alone, `s|`."""
    said = [split(form, "|") for form in forms]
    written = ["|".join(parts) for parts in said if parts[-1]]
    return list(
        dict.fromkeys([*written, *(f"{parts[0]}|" for parts in said if len(parts) == 2 and parts[0])])
    )


def systems_by_code(forms: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The same, by code alone."""
    found: dict[str, tuple[str, ...]] = {}
    for form in forms:
        *system, code = split(form, "|")
        found[code] = (*found.get(code, ()), *system)
    return found


def units_in(systems: Sequence[str], units: Sequence[str]) -> tuple[str, ...]:
    """All that the range of a code in `systems` goes by; `units` are a quantity's."""
    if not units:
        return tuple(systems)
    return (*units, *[f"{system}|{unit}" for system in systems for unit in units])


def spans(name: str, starts: Collection, ends: Collection) -> list[tuple[str, tuple[Decimal, Decimal]]]:
    """From each beginning to each end, with the name that it goes by."""
    return [
        (name, (start, end)) if start <= end else (name + _REVERSED, (end, start))
        for start in _numbers(starts)
        for end in _numbers(ends)
    ]


def is_ranged(parameter: Parameter) -> bool:
    """Its values are kept as ranges."""
    return parameter.components[-1].type in AS_RANGES


def has_range(parameter: Parameter) -> Predicate:
    """There is a value, of a parameter whose values are kept as ranges."""
    names = (parameter.name, parameter.name + _REVERSED) if _is_span(parameter) else (parameter.name,)
    return any_of(*(RangePrefix(f"{name}|") for name in names))


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], site: Site) -> Predicate:
    """One element has all parts of one of `values`."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return union(_asked(parameter, value, site) for value in values)


def _asked(parameter: Parameter, text: str, site: Site) -> Predicate:
    first, *others = split(text, "$")
    if len(others) + 1 != len(parameter.components) or not first or not all(others):
        wanted = "three" if _is_span(parameter) else "two"
        raise Invalid(f"A value of `{parameter.code}` is {wanted} values with `$` between them")
    forms = _forms(parameter, first, site)
    if is_ranged(parameter):
        return any_of(*(_ranged(parameter, form, others, site) for form in forms))
    second = parameter.components[1]
    named = [replace(second, name=f"{parameter.name}|{escape(form)}") for form in forms]
    return union(CRITERIA[second.type](each, None, others, site) for each in named)


def _forms(parameter: Parameter, text: str, site: Site) -> list[str]:
    """The forms of a code that one search value means."""
    first = parameter.components[0]
    match token.criterion(replace(first, name=""), None, [text], site):
        case AnyToken(values=values):
            return [value.removeprefix("|") for value in sorted(values)]
        case TokenPrefix(prefix="|"):
            # The system that all codes of the element have: whichever they are.
            return sorted(escape(code) for codes in (first.systems or {}).values() for code in codes)
        case TokenPrefix(prefix=prefix):
            return [prefix.removeprefix("|")]
    return []


def _ranged(parameter: Parameter, form: str, others: Sequence[str], site: Site) -> Predicate:
    *system, code = split(form, "|")
    if _is_span(parameter):
        found = _spanning(parameter, code, *others)
    else:
        second = parameter.components[1]
        found = CRITERIA[second.type](replace(second, name=f"{parameter.name}|{code}"), None, others, site)
    return _in_system(found, system[0], any_code=not code) if system else found


def _in_system(predicate: Predicate, system: str, *, any_code: bool) -> Predicate:
    match predicate:
        case InRange(unit=unit):
            within = system if unit is None else f"{system}|{unit}"
            return replace(predicate, unit=within, is_prefix=any_code)
        case Or(parts=parts):
            return any_of(*(_in_system(part, system, any_code=any_code) for part in parts))
        case Nothing():
            return predicate
    raise AssertionError("a range is asked for by ranges")


def _is_span(parameter: Parameter) -> bool:
    return len(parameter.components) > 2


def _spanning(parameter: Parameter, code: str, start: str, end: str) -> Predicate:
    """The beginning compares as one says, the end as the other."""
    straight, reversed = f"{parameter.name}|{code}", f"{parameter.name}{_REVERSED}|{code}"
    return any_of(
        *(
            InRange(name, *low, *high)
            for begins in _bounds(parameter, start)
            for ends in _bounds(parameter, end)
            for name, low, high in ((straight, begins, ends), (reversed, ends, begins))
        )
    )


def _bounds(parameter: Parameter, text: str) -> Iterator[tuple[Bound | None, Bound | None]]:
    """Between what a number must lie, one of these: it is a range whose ends are one."""
    asked = number.in_range("", number.comparison(parameter.code, unescaped(text)), None)
    for each in asked.parts if isinstance(asked, Or) else (asked,):
        assert isinstance(each, InRange), "a number is asked for by ranges"
        lows = [bound for bound in (each.low_min, each.high_min) if bound is not None]
        highs = [bound for bound in (each.low_max, each.high_max) if bound is not None]
        yield max(lows, default=None), min(highs, default=None)


def _numbers(nodes: Collection) -> Iterator[Decimal]:
    for _, value, _ in nodes:
        found = number.decimal_of(value)
        if found is not None:
            yield number.stored(found)[0]
