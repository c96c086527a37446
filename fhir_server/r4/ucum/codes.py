"""
A UCUM code becomes a measure: so many of a product of base units.

The grammar is UCUM's; beyond it an annotation may follow anything (`100{cells}`), as UCUM's own list of
examples has it. A word is an atom if there is one (`cd` is the candela), else a metric atom
with a prefix. Arbitrary units (`[iU]`) are dimensions of their own. Special units stand alone
(`Cel`, `dB`): temperatures have an offset, logarithms and the rest are dimensions of their own, so that
dB and B compare and B and W do not.

Whoever writes a resource chooses its codes: length, components, nesting, exponents and the size of every
number on the way are limited, and what is beyond or no code at all raises NotUcum.

https://ucum.org/ucum#section-Syntax-Rules, https://ucum.org/ucum#section-Special-Units
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final

from fhir_server.r4.ucum.table import Atom, Table, read_table

CODE_CHARACTERS_MAX: Final = 100
NESTING_MAX: Final = 8
"""Parentheses within each other."""
COMPONENTS_MAX: Final = 16
"""Of a product, parentheses or not."""
FACTOR_BITS_MAX: Final = 2_000
"""Of a factor's numerator and of its denominator: some 600 digits."""
WORDS_CACHED_MAX: Final = 1_024

_COMPONENT: Final = re.compile(
    r"(?P<word>10[*^]|(?:[A-Za-z%'_]|\[[!-Z^-~]*\])+)(?P<exponent>[+-]?[1-9][0-9]?)?"
    r"|(?P<number>[1-9][0-9]{0,9})"
)
_ANNOTATION: Final = re.compile(r"\{[!-z|~]*\}")


class NotUcum(Exception):
    """The code is none of UCUM's, or beyond the limits."""


@dataclass(frozen=True, slots=True)
class Measure:
    """
    `x` of it are `x * numerator / denominator + offset` of the product of the base units of `dimension`.

    The fraction is not in lowest terms: that is left to the end.
    """

    numerator: int
    denominator: int
    dimension: Mapping[str, int]
    offset: Fraction = Fraction(0)

    def times(self, other: Measure, sign: int) -> Measure:
        """The product, or with -1 the quotient."""
        above, below = other.numerator, other.denominator
        if sign < 0:
            above, below = below, above
        powers = dict(self.dimension)
        for base, power in other.dimension.items():
            powers[base] = powers.get(base, 0) + sign * power
        return _bounded(Measure(self.numerator * above, self.denominator * below, powers))

    def to_the(self, power: int) -> Measure:
        """The power, which is not 0."""
        if max(self.numerator.bit_length(), self.denominator.bit_length()) * abs(power) > FACTOR_BITS_MAX:
            raise NotUcum
        above, below = self.numerator ** abs(power), self.denominator ** abs(power)
        if power < 0:
            above, below = below, above
        return Measure(above, below, {base: own * power for base, own in self.dimension.items()})


def measure(code: str) -> Measure:
    """What the code means. Raises NotUcum."""
    if len(code) > CODE_CHARACTERS_MAX:
        raise NotUcum
    alone = _special(code)
    return alone if alone is not None else _Reading(code).whole()


class _Reading:
    """One code, from left to right."""

    __slots__ = ("_at", "_code", "_components")

    def __init__(self, code: str) -> None:
        self._code = code
        self._at = 0
        self._components = 0

    def whole(self) -> Measure:
        found = self._term(NESTING_MAX)
        if self._at < len(self._code):
            raise NotUcum
        return found

    def _term(self, nesting: int) -> Measure:
        found = ONE
        sign = -1 if self._passed("/") else 1
        while True:
            found = found.times(self._component(nesting), sign)
            if self._passed("."):
                sign = 1
            elif self._passed("/"):
                sign = -1
            else:
                return found

    def _component(self, nesting: int) -> Measure:
        self._components += 1
        if self._components > COMPONENTS_MAX:
            raise NotUcum
        if self._annotated():
            return ONE
        if self._passed("("):
            if not nesting:
                raise NotUcum
            found = self._term(nesting - 1)
            if not self._passed(")"):
                raise NotUcum
        else:
            found = self._simple()
        self._annotated()
        return found

    def _simple(self) -> Measure:
        match = _COMPONENT.match(self._code, self._at)
        if match is None:
            raise NotUcum
        self._at = match.end()
        if match["number"] is not None:
            return Measure(int(match["number"]), 1, _NO_DIMENSION)
        found = _word(match["word"])
        return found if match["exponent"] is None else found.to_the(int(match["exponent"]))

    def _passed(self, character: str) -> bool:
        is_there = self._code.startswith(character, self._at)
        self._at += is_there
        return is_there

    def _annotated(self) -> bool:
        match = _ANNOTATION.match(self._code, self._at)
        if match is not None:
            self._at = match.end()
        return match is not None


def _special(code: str) -> Measure | None:
    """A special unit with its prefix and annotation; None for any other code."""
    word = _ANNOTATION.sub("", code, count=1) if code.endswith("}") else code
    found = _resolved(word)
    if found is None or found[2].function is None:
        return None
    scale, name, atom = found
    zero = _ZEROS.get(atom.function or "")
    if zero is None or atom.unit is None:
        return _scaled(scale, Measure(1, 1, {name: 1}))
    degree = _scaled(atom.value, measure(atom.unit))
    return replace(_scaled(scale, degree), offset=zero)


@lru_cache(WORDS_CACHED_MAX)
def _word(word: str) -> Measure:
    found = _resolved(word)
    if found is None or found[2].function is not None:
        raise NotUcum
    scale, name, _ = found
    return _scaled(scale, _atom(name))


@cache
def _atom(name: str) -> Measure:
    """One of the table's atoms on a ratio scale."""
    atom = _table().atoms[name]
    if atom.unit is None or (atom.is_arbitrary and atom.unit == "1"):
        return Measure(1, 1, {name: 1})
    return _scaled(atom.value, measure(atom.unit))


def _resolved(word: str) -> tuple[Fraction, str, Atom] | None:
    """What its prefix multiplies with, and the atom that it is of."""
    table = _table()
    if (whole := table.atoms.get(word)) is not None:
        return _UNPREFIXED, word, whole
    for length in (1, 2):
        scale, atom = table.prefixes.get(word[:length]), table.atoms.get(word[length:])
        if scale is not None and atom is not None and atom.is_metric:
            return scale, word[length:], atom
    return None


@cache
def _table() -> Table:
    return read_table()


def _scaled(scale: Fraction, one: Measure) -> Measure:
    if scale == 1:
        return one
    above, below = one.numerator * scale.numerator, one.denominator * scale.denominator
    return _bounded(replace(one, numerator=above, denominator=below))


def _bounded(found: Measure) -> Measure:
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > FACTOR_BITS_MAX:
        raise NotUcum
    return found


_UNPREFIXED: Final = Fraction(1)
_NO_DIMENSION: Final[Mapping[str, int]] = MappingProxyType({})
ONE: Final = Measure(1, 1, _NO_DIMENSION)

_ICE_POINT: Final = Fraction("273.15")
_ZEROS: Final[Mapping[str, Fraction]] = {
    "Cel": _ICE_POINT,
    "degF": Fraction("459.67") * Fraction(5, 9),
    "degRe": _ICE_POINT,
}
"""In kelvin, where the scale of a temperature has its zero; by the table's name of its function."""
