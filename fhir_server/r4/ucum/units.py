"""
In which unit quantities of a code are compared, and what a number is in it: decimals, converted exactly.

For each dimension there is one such unit: where `NORMAL` names one, that one, else the product of
UCUM's base units. Which one is of no consequence to what compares, only to what is stored: a
quantity already in it needs no second index entry (docs/search.md).

What was converted has 34 digits, as many as the database holds. Where the exact value has more (1 kPa in
mm[Hg], 1 [degF] in Cel) it is rounded, to the nearest; what is equal stays equal and what is
less never becomes more, so both sides of a comparison are to be converted.

https://ucum.org/ucum#section-Semantics
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from math import gcd, lcm
from typing import Final

import msgspec

from fhir_server.r4.ucum.codes import CODE_CHARACTERS_MAX, ONE, Measure, NotUcum, measure

SYSTEM: Final = "http://unitsofmeasure.org"

# Stored entries are in these, and by UCUM's table: with a change of either, raise SCHEMA_VERSION.
NORMAL: Final = (
    *("kg", "cm", "a", "Cel", "fL", "kg/m2", "mm[Hg]"),
    *("mg/dL", "mmol/L", "U/L", "mL/min", "/min", "mmol/kg"),
)
"""The units most written in records, one for its dimension."""

CACHED_CODES_MAX: Final = 4_096

_EXACT: Final = Context(prec=4_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
_ROUNDED: Final = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-6143, Emax=6144)
_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)


class Unit(msgspec.Struct, frozen=True):
    """
    What a code's quantities are compared in: two are commensurable when the names are the same.

    `x` of the code are `(x * factor + shift) / divisor` of it.
    """

    name: str
    factor: Decimal
    shift: Decimal
    divisor: Decimal

    def converted(self, value: Decimal) -> Decimal:
        """`value` of the code, in this unit; finite."""
        if self.divisor is _ONE:
            return _ROUNDED.multiply(value, self.factor)
        return _ROUNDED.divide(_EXACT.fma(value, self.factor, self.shift), self.divisor)


def unit(code: str) -> Unit | None:
    """The unit of a UCUM code; None for what is no such code."""
    return _unit(code) if len(code) <= CODE_CHARACTERS_MAX else None


@lru_cache(CACHED_CODES_MAX)
def _unit(code: str) -> Unit | None:
    try:
        found = measure(code)
    except NotUcum:
        return None
    product = _product(found.dimension)
    name, target = _normal().get(product, (product, ONE))
    above, below = found.numerator * target.denominator, found.denominator * target.numerator
    if found.offset == target.offset:
        return _proportional(name, above, below)
    shift = (found.offset - target.offset) * Fraction(target.denominator, target.numerator)
    return _linear(name, Fraction(above, below), shift)


@cache
def _normal() -> Mapping[str, tuple[str, Measure]]:
    measures = {code: measure(code) for code in NORMAL}
    return {_product(found.dimension): (code, found) for code, found in measures.items()}


def _product(dimension: Mapping[str, int]) -> str:
    """As a code: `g.m-3`, and `1` for a mere number."""
    powers = sorted((base, power) for base, power in dimension.items() if power)
    return ".".join(base if power == 1 else f"{base}{power}" for base, power in powers) or "1"


def _proportional(name: str, above: int, below: int) -> Unit:
    shared = gcd(above, below)
    above, below = above // shared, below // shared
    rest, places = _without_tens(below)
    factor = Decimal(above * 10**places // (below // rest)).scaleb(-places, _EXACT)
    return Unit(name, factor, _ZERO, _ONE if rest == 1 else Decimal(rest))


def _linear(name: str, factor: Fraction, shift: Fraction) -> Unit:
    """`x * factor + shift`, over the denominator of both."""
    divisor = lcm(factor.denominator, shift.denominator)
    above, plus = factor * divisor, shift * divisor
    return Unit(name, Decimal(above.numerator), Decimal(plus.numerator), Decimal(divisor))


def _without_tens(denominator: int) -> tuple[int, int]:
    """What is left of it without the primes of ten, and how many decimal places they make."""
    places = []
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator //= prime
            count += 1
        places.append(count)
    return denominator, max(places)
