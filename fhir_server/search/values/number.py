"""
number: a value against what the digits of the search value mean.

`100` means what would be rounded to it, [99.5, 100.5); `100.00` is more precise and means
[99.995, 100.005). With an exponent, `1.00e2` is as precise as `100`; without a point it counts one digit
more: to the specification `1e2` is [95, 105). That is for `eq` and `ne`; other prefixes compare with exactly
the value that is written. `ap` widens it by a tenth.

A Range is all from its low to its high. What is stored is exact: decimals of up to 34 digits (what the
database's decimals hold); of longer ones the range between the two nearest.

https://hl7.org/fhir/R4/search.html#number, https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any, Final, NamedTuple

import msgspec

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.r4.resource import EXPONENT_MAX, number
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.predicate import InRange, Predicate, any_of
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

DIGITS_MAX: Final = 34
"""Of a decimal in the database (IEEE 754 decimal128)."""

LEAST: Final = Decimal("-Infinity")
GREATEST: Final = Decimal("Infinity")

_NUMBER: Final = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?([+-]?[0-9]{1,100}(?:\.[0-9]{1,100})?)(?:[eE]([+-]?[0-9]{1,3}))?"
)
_TENTH: Final = Decimal("0.1")
_EXACT: Final = Context(prec=400, Emin=MIN_EMIN, Emax=MAX_EMAX)
_DOWN: Final = Context(prec=DIGITS_MAX, rounding=ROUND_FLOOR, Emin=-6143, Emax=6144)
_UP: Final = Context(prec=DIGITS_MAX, rounding=ROUND_CEILING, Emin=-6143, Emax=6144)


class Comparison(NamedTuple):
    """A search value: its prefix, its exact value, and half of the last digit's place."""

    prefix: str
    value: Decimal
    half: Decimal


def ranges(nodes: Collection, _site: Site) -> list[tuple[Decimal, Decimal, tuple[str, ...]]]:
    """The values of numbers, of a Range from its low to its high; what is no number has none."""
    found = [_extent(value) for _, value, _ in nodes]
    return [(*extent, ()) for extent in found if extent is not None]


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """A number of the parameter compares with one of `values` as its prefix says."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return any_of(
        *(in_range(parameter.name, comparison(parameter.code, unescaped(value)), None) for value in values)
    )


def comparison(code: str, text: str) -> Comparison:
    """What a search value says. Raises Invalid when it is no number."""
    match = _NUMBER.fullmatch(text)
    if match is None or abs(int(match[3] or "0")) > EXPONENT_MAX:
        raise Invalid(f"A value of `{code}` is a number, such as `100`, `5.40` or `ge1e-3`")
    prefix, digits, power = match.groups()
    value = Decimal(f"{digits}e{power or '0'}")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "the pattern admits no infinity"
    half = Decimal(5).scaleb(exponent - (1 if power is None or "." in digits else 2), _EXACT)
    return Comparison(prefix or "eq", value, half)


def in_range(
    name: str,
    compared: Comparison,
    unit: str | None,
    converted: Callable[[Decimal], Decimal] | None = None,
) -> Predicate:
    """
    The comparison as a question about the ranges called `name`, in `unit` if one is given.

    What the value means, its digits and a tenth of it, is known before it is `converted` to that unit.
    """
    prefix, value, half = compared
    low, high = _EXACT.subtract(value, half), _EXACT.add(value, half)
    by = _EXACT.multiply(abs(value), _TENTH)
    least, most = _EXACT.subtract(value, by), _EXACT.add(value, by)
    if converted is not None:
        value, low, high, least, most = map(converted, (value, low, high, least, most))
    match prefix:
        case "eq":
            return InRange(name, low_min=_UP.plus(low), high_max=_below(high), unit=unit)
        case "ne":
            return any_of(
                InRange(name, low_max=_below(low), unit=unit),
                InRange(name, high_min=_UP.plus(high), unit=unit),
            )
        case "gt":
            return InRange(name, high_min=_above(value), unit=unit)
        case "lt":
            return InRange(name, low_max=_below(value), unit=unit)
        case "ge":
            return InRange(name, high_min=_UP.plus(value), unit=unit)
        case "le":
            return InRange(name, low_max=_DOWN.plus(value), unit=unit)
        case "sa":
            return InRange(name, low_min=_above(value), unit=unit)
        case "eb":
            return InRange(name, high_max=_below(value), unit=unit)
        case _:
            return InRange(name, low_max=_DOWN.plus(most), high_min=_UP.plus(least), unit=unit)


def decimal_of(value: Any) -> Decimal | None:
    """The value of a JSON number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | msgspec.Raw):
        return None
    return number(value)


def stored(value: Decimal) -> tuple[Decimal, Decimal]:
    """`value` as a range that the database can hold: twice the same, unless it has too many digits."""
    return _DOWN.plus(value), _UP.plus(value)


def between(low: Decimal | None, high: Decimal | None) -> tuple[Decimal, Decimal] | None:
    """A range that may have but one end; None when it has none."""
    if low is None and high is None:
        return None
    start = LEAST if low is None else stored(low)[0]
    end = GREATEST if high is None else stored(high)[1]
    return min(start, end), max(start, end)


def _extent(value: Any) -> tuple[Decimal, Decimal] | None:
    if isinstance(value, dict):
        low, high = value.get("low", {}), value.get("high", {})
        return between(decimal_of(low.get("value")), decimal_of(high.get("value")))
    exact = decimal_of(value)
    return None if exact is None else stored(exact)


def _below(value: Decimal) -> Decimal:
    """The greatest that can be stored and is less."""
    down = _DOWN.plus(value)
    return down if down < value else _DOWN.next_minus(down)


def _above(value: Decimal) -> Decimal:
    """The least that can be stored and is greater."""
    up = _UP.plus(value)
    return up if up > value else _UP.next_plus(up)
