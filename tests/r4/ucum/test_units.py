"""Exactly how much a number of a unit is: https://ucum.org/ucum#section-Semantics"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.ucum import unit
from fhir_server.r4.ucum.table import read_table
from fhir_server.r4.ucum.units import NORMAL


def converted(value: str, code: str) -> tuple[Decimal, str]:
    found = unit(code)
    assert found is not None
    return found.converted(Decimal(value)), found.name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("5", "mg"), ("0.005", "g")),
        (("5", "mg"), ("5000", "ug")),
        (("1", "[lb_av]"), ("453.59237", "g")),
        (("1", "[in_i]"), ("2.54", "cm")),
        (("1", "mm[Hg]"), ("0.133322", "kPa")),
        (("16", "kPa"), ("160", "hPa")),
        (("37", "Cel"), ("310.15", "K")),
        (("98.6", "[degF]"), ("37", "Cel")),
        (("1", "[degF]"), ("460.67", "[degR]")),
        (("80", "[degRe]"), ("100", "Cel")),
        (("1000", "mCel"), ("1", "Cel")),
        (("100", "%"), ("1", "{score}")),
        (("60", "{beats}/min"), ("1", "/s")),
        (("60", "/min"), ("1", "Hz")),
        (("5", "10*3/uL"), ("5", "10*9/L")),
        (("1", "meq/L"), ("1", "mmol/L")),
        (("90", "mL/min/{1.73_m2}"), ("0.09", "L/min")),
        (("1", "U"), ("1", "umol/min")),
        (("1", "k[IU]/L"), ("1", "[iU]/mL")),
        (("10", "dB[SPL]"), ("1", "B[SPL]")),
        (("7.4", "[pH]"), ("7.4", "[pH]")),
        (("1", "g%"), ("10", "g/L")),
        (("10", "dar"), ("1", "ar")),
        (("1", "m/s2"), ("1", "(m/s)/s")),
        (("1", "/m.s"), ("1", "s/m")),
        (("1", "wk"), ("7", "d")),
    ],
)
def test_two_ways_to_say_the_same_are_the_same(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert converted(*one) == converted(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mg", "mL"),
        ("mg/dL", "mmol/L"),
        ("[iU]", "[arb'U]"),
        ("[iU]/L", "U/L"),
        ("B[SPL]", "B[W]"),
        ("[pH]", "mol/L"),
        ("Cel", "kPa"),
        ("mm[Hg]", "mm"),
        ("cd", "d"),
    ],
)
def test_what_has_another_dimension_is_not_commensurable(one: str, other: str) -> None:
    assert converted("1", one)[1] != converted("1", other)[1]


def test_a_finite_factor_loses_no_digit() -> None:
    digits = "1234567890123456789012345678901234"
    assert converted(f"1.{digits[1:]}", "mg") == (Decimal(f"1.{digits[1:]}e-6"), "kg")
    assert converted("1234567890123456789.0123456", "[lb_av]")[0] == Decimal(
        "559990575206998357.520699799963072"
    )


def test_the_units_most_written_are_those_that_others_are_converted_to() -> None:
    assert {code: converted("5.4", code) for code in NORMAL} == {
        code: (Decimal("5.4"), code) for code in NORMAL
    }


# Written down a second time, by hand: how many of the first a unit is, or where its scale begins.
SCALES = {
    "g": (Fraction(1), Fraction(0)),
    "mg": (Fraction(1, 1000), Fraction(0)),
    "[lb_av]": (Fraction("453.59237"), Fraction(0)),
    "[dr_av]": (Fraction("453.59237") / 256, Fraction(0)),
    "t": (Fraction(10**6), Fraction(0)),
    "Cel": (Fraction(1), Fraction("273.15")),
    "K": (Fraction(1), Fraction(0)),
    "[degF]": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "[degR]": (Fraction(5, 9), Fraction(0)),
}
values = st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=3)


@given(st.sampled_from(sorted(SCALES)), values, st.sampled_from(sorted(SCALES)), values)
def test_what_is_converted_compares_as_what_is_meant(
    code: str, value: Decimal, other_code: str, other: Decimal
) -> None:
    one_unit, other_unit = unit(code), unit(other_code)
    assert one_unit is not None
    assert other_unit is not None
    if one_unit.name != other_unit.name:
        return
    left, right = one_unit.converted(value), other_unit.converted(other)
    scale, zero = SCALES[code]
    other_scale, other_zero = SCALES[other_code]
    meant, other_meant = Fraction(value) * scale + zero, Fraction(other) * other_scale + other_zero
    assert (left < right, left == right) == (meant < other_meant, meant == other_meant)
    assert len(left.as_tuple().digits) <= 34


def test_stored_entries_are_by_this_table() -> None:
    codes = sorted(read_table().atoms)
    assert len(codes) == 312
    digest = hashlib.sha256("\n".join(map(conversion, codes)).encode()).hexdigest()[:16]
    assert digest == "4b763d8da242b058", (
        "what is stored was converted otherwise: raise SCHEMA_VERSION, then write this down"
    )


def conversion(code: str) -> str:
    found = unit(code)
    assert found is not None
    divisor = Fraction(found.divisor)
    return f"{code} {found.name} {Fraction(found.factor) / divisor} {Fraction(found.shift) / divisor}"


def test_the_library_that_carries_the_table_is_not_imported() -> None:
    script = (
        "import sys; from fhir_server.r4.ucum import unit; assert unit('mg') is not None; "
        "assert not {'ucumvert', 'pint', 'lark'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
