"""
quantity: a number with a unit.

A stored Quantity is a number (number.py), or with a comparator all that it may be (`<5` is
everything up to 5). Money is a quantity of its currency, a Range goes from its low to its high.

It is compared in two ways. As it is written: by the number alone (`5.4`), or by it and a unit, which is its
code (`5.4||mg`), its text or a code of a system that is not UCUM's. And where its system and code are
UCUM's, in the unit that all commensurable ones are converted to (r4/ucum): `5|http://unitsofmeasure.org|mg`
finds 0.005 g. So a range is in several units: what it is written with, with `AS_WRITTEN`, and the name
of the unit it is converted to. One that is written in that unit is one range, others are two.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.r4.ucum import SYSTEM as UCUM
from fhir_server.r4.ucum import Unit
from fhir_server.r4.ucum import unit as ucum_unit
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import Predicate, any_of
from fhir_server.search.values.escaping import split, unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.number import (
    GREATEST,
    LEAST,
    between,
    comparison,
    decimal_of,
    in_range,
    stored,
)
from fhir_server.search.values.site import Site

_CURRENCIES: Final = "urn:iso:std:iso:4217"

# In escaped text (entry.py) a backslash stands before `|` or another: nobody can write either of these.
AS_WRITTEN: Final = "\\~"
"""The unit of each range that is not converted."""
_CONVERTED: Final = "\\="

_NAMINGS_CACHED_MAX: Final = 4_096
_NAMING_CHARACTERS_MAX: Final = 200
"""Of a unit's system, code and text together, to be kept in memory."""


def converted_to(unit: Unit) -> str:
    """The unit of the ranges in `unit`, as `Range.units` has it."""
    return f"{_CONVERTED}{unit.name}"


def is_converted(units: Sequence[str]) -> bool:
    """Is a range of these units comparable with those of commensurable units?"""
    return any(unit.startswith(_CONVERTED) for unit in units)


Extent = tuple[Decimal, Decimal, tuple[str, ...]]


def ranges(nodes: Collection, _site: Site) -> list[Extent]:
    """The extents of quantities, each with its units; what has no number has none."""
    found: list[Extent] = []
    for type, value, _ in nodes:
        if isinstance(value, dict):
            found += _extents(type, value)
    return found


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """A quantity of the parameter compares with one of `values`, in its unit."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return any_of(*(_asked(parameter, value) for value in values))


def _asked(parameter: Parameter, text: str) -> Predicate:
    parts = [unescaped(part) for part in split(text, "|")]
    compared = comparison(parameter.code, parts[0])
    match parts:
        case [_]:
            return in_range(parameter.name, compared, AS_WRITTEN)
        case [_, system, code] if code:
            unit = _ucum(system, code)
            if unit is not None:
                return in_range(parameter.name, compared, converted_to(unit), unit.converted)
            return in_range(parameter.name, compared, f"{escape(system)}|{escape(code)}")
    raise Invalid(f"A value of `{parameter.code}` is `number`, `number|system|code` or `number||code`")


def _extents(type: str, value: Mapping[str, Any]) -> list[Extent]:
    match type:
        case "Money":
            return _of_value(value, _naming({"system": _CURRENCIES, "code": value.get("currency")}))
        case "Range":
            return _between(value.get("low", {}), value.get("high", {}))
        case _:
            return _of_value(value, _naming(value))


def _of_value(value: Mapping[str, Any], naming: _Naming) -> list[Extent]:
    exact = decimal_of(value.get("value"))
    if exact is None:
        return []
    written, converted = stored(exact), None
    if naming.unit is not None:
        point = naming.unit.converted(exact)
        converted = point, point
    comparator = value.get("comparator")
    if comparator is not None:
        written = _opened(*written, comparator)
        converted = converted and _opened(*converted, comparator)
    return _both_ways(written, converted, naming)


def _opened(low: Decimal, high: Decimal, comparator: object) -> tuple[Decimal, Decimal]:
    match comparator:
        case "<" | "<=":
            return LEAST, high
        case ">" | ">=":
            return low, GREATEST
        case _:
            return low, high


def _between(low: Mapping[str, Any], high: Mapping[str, Any]) -> list[Extent]:
    least, most = decimal_of(low.get("value")), decimal_of(high.get("value"))
    written = between(least, most)
    if written is None:
        return []
    # An end that is not there is in the other's unit.
    first, last = _naming(low or high), _naming(high or low)
    converted = None
    if first.unit is not None and last.unit is not None and first.unit.name == last.unit.name:
        # 0 is a number like others: with an offset it is converted to another.
        converted = between(
            None if least is None else first.unit.converted(least),
            None if most is None else last.unit.converted(most),
        )
    return _both_ways(written, converted, first)


def _both_ways(
    written: tuple[Decimal, Decimal], converted: tuple[Decimal, Decimal] | None, naming: _Naming
) -> list[Extent]:
    """What is written, and what it is in the unit it is converted to: one extent when they are the same."""
    if converted is None:
        return [(*written, naming.written)]
    if written == converted:
        return [(*written, naming.both)]
    return [(*written, naming.written), (*converted, naming.converted)]


class _Naming(NamedTuple):
    """
    What a quantity's ranges go by: as written, converted, and both where these are the same.

    `unit` converts it, None where its unit is none of UCUM's.
    """

    unit: Unit | None
    written: tuple[str, ...]
    converted: tuple[str, ...]
    both: tuple[str, ...]


def _naming(value: Mapping[str, Any]) -> _Naming:
    system, code, unit = _text(value, "system"), _text(value, "code"), _text(value, "unit")
    if len(system) + len(code) + len(unit) > _NAMING_CHARACTERS_MAX:
        return _named(system, code, unit)
    return _named_once(system, code, unit)


def _text(value: Mapping[str, Any], member: str) -> str:
    found = value.get(member)
    return found if isinstance(found, str) else ""


def _named(system: str, code: str, unit: str) -> _Naming:
    """`system|code`, `|code`, `|unit`: each way in which a search may name what is written."""
    found = [AS_WRITTEN]
    if code:
        found += [f"{escape(system)}|{escape(code)}"] if system else []
        found.append(f"|{escape(code)}")
    if unit:
        found.append(f"|{escape(unit)}")
    written = tuple(dict.fromkeys(found))
    known = _ucum(system, code)
    converted = () if known is None else (converted_to(known),)
    return _Naming(known, written, converted, written + converted)


_named_once: Final = lru_cache(_NAMINGS_CACHED_MAX)(_named)


def _ucum(system: str, code: str) -> Unit | None:
    return ucum_unit(code) if system == UCUM else None
