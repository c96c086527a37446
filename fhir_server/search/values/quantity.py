"""
quantity: a number with a unit.

A stored Quantity is a number (number.py), or with a comparator all that it may be (`<5` is
everything up to 5), with the units that it goes by: system and code, the code, the unit's text.
Money is a quantity of its currency, a Range goes from its low to its high. A search value with a
system and a code asks for that code of that system, `5.4||mg` for a code or a text, `5.4` for any
unit. Units are compared as they are written.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.search.entry import escape
from fhir_server.search.escaping import split, unescaped
from fhir_server.search.parameters import Parameter
from fhir_server.search.predicate import Predicate, any_of
from fhir_server.search.site import Site
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

_CURRENCIES: Final = "urn:iso:std:iso:4217"

Extent = tuple[Decimal, Decimal, tuple[str, ...]]


def ranges(nodes: Collection, _site: Site) -> list[Extent]:
    """The extents of quantities, each with its units; what has no number has none."""
    found = []
    for type, value, _ in nodes:
        extent = _extent(type, value) if isinstance(value, dict) else None
        if extent is not None:
            found.append(extent)
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
            return in_range(parameter.name, compared, None)
        case [_, system, code] if code:
            return in_range(parameter.name, compared, f"{escape(system)}|{escape(code)}")
    raise Invalid(f"A value of `{parameter.code}` is `number`, `number|system|code` or `number||code`")


def _extent(type: str, value: Mapping[str, Any]) -> Extent | None:
    match type:
        case "Money":
            return _with_units(value, _units(_CURRENCIES, value.get("currency"), None))
        case "Range":
            return _between(value.get("low", {}), value.get("high", {}))
        case _:
            units = _units(value.get("system"), value.get("code"), value.get("unit"))
            return _with_units(value, units)


def _with_units(value: Mapping[str, Any], units: tuple[str, ...]) -> Extent | None:
    exact = decimal_of(value.get("value"))
    if exact is None:
        return None
    low, high = stored(exact)
    match value.get("comparator"):
        case "<" | "<=":
            low = LEAST
        case ">" | ">=":
            high = GREATEST
    return low, high, units


def _between(low: Mapping[str, Any], high: Mapping[str, Any]) -> Extent | None:
    extent = between(decimal_of(low.get("value")), decimal_of(high.get("value")))
    if extent is None:
        return None
    said = low or high
    return *extent, _units(said.get("system"), said.get("code"), said.get("unit"))


def _units(system: object, code: object, unit: object) -> tuple[str, ...]:
    """`system|code`, `|code`, `|unit`: each way in which a search may name it."""
    found = []
    if isinstance(code, str):
        if isinstance(system, str):
            found.append(f"{escape(system)}|{escape(code)}")
        found.append(f"|{escape(code)}")
    if isinstance(unit, str):
        found.append(f"|{escape(unit)}")
    return tuple(dict.fromkeys(found))
