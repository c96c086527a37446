"""Numbers and quantities: what a search value means, against plain arithmetic."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.resource import Key, from_text
from fhir_server.search.entry import Entry, Range
from fhir_server.search.extraction import extract
from fhir_server.search.matching import matches
from fhir_server.search.values.number import comparison, in_range, stored
from tests.search.versions import a_version, query

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")

plain = st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=4
) | st.sampled_from([Decimal(0), Decimal("-0"), Decimal("1e-20"), Decimal("123456789012345678.123456789")])


def found(parameter: str, asked: str, resource: str) -> bool:
    """Does the search find the resource of this text?"""
    parsed = from_text(resource.encode())
    type = parsed["resourceType"]
    entry = extract(parsed, Key(type, "1"))
    return matches(query(type, (parameter, asked)).predicate, a_version(entry, type=type))


def observed(value: str, **more: Any) -> str:
    members = "".join(f',"{name}":"{text}"' for name, text in more.items())
    return (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        f'"valueQuantity":{{"value":{value}{members}}}}}'
    )


@pytest.mark.parametrize(
    ("asked", "inside", "outside"),
    [
        ("100", ["99.5", "100", "100.49999999999999999999"], ["99.49999999", "100.5"]),
        ("100.00", ["99.995", "100.0049999"], ["99.994", "100.005"]),
        ("1e2", ["95", "104.9"], ["94.9", "105"]),
        ("-5", ["-5.5", "-4.51"], ["-4.5", "-5.51"]),
        ("0", ["0", "-0", "0.49"], ["0.5", "-0.51"]),
        ("1.00", ["1", "1.0", "1.00", "0.995"], ["1.005"]),
        ("123456789012345678", ["123456789012345678", "123456789012345677.5"], ["123456789012345679"]),
        ("0.1e-7", ["0.1e-7", "1E-8"], ["2E-8"]),
        ("gt5", ["5.0000000000000000001"], ["5", "5.0", "4"]),
        ("lt5", ["4.999999999999999999999"], ["5", "6"]),
        ("ge5", ["5", "5.000", "6"], ["4.99"]),
        ("le5", ["5", "4"], ["5.01"]),
        ("ne5", ["5.5", "4.49", "7"], ["5", "5.49", "4.5"]),
        ("ap100", ["90", "110", "100"], ["89.9", "110.1"]),
        ("sa5", ["5.1"], ["5"]),
        ("eb5", ["4.9"], ["5"]),
    ],
)
def test_a_value_means_what_its_digits_say(asked: str, inside: list[str], outside: list[str]) -> None:
    assert [value for value in inside if not found("value-quantity", asked, observed(value))] == []
    assert [value for value in outside if found("value-quantity", asked, observed(value))] == []


@given(st.sampled_from(PREFIXES), plain, plain)
def test_each_prefix_compares_as_arithmetic_does(prefix: str, value: Decimal, searched: Decimal) -> None:
    text = f"{searched:f}"
    half = Fraction(1, 2) * Fraction(10) ** int(searched.as_tuple().exponent)
    within = Fraction(searched) - half <= Fraction(value) < Fraction(searched) + half
    expected = {
        "eq": within,
        "ne": not within,
        "gt": value > searched,
        "sa": value > searched,
        "lt": value < searched,
        "eb": value < searched,
        "ge": value >= searched,
        "le": value <= searched,
    }[prefix]
    asked = in_range("Basic|number", comparison("number", prefix + text), None)
    entry = Entry(ranges=(Range("Basic|number", *stored(value)),))
    assert matches(asked, a_version(entry)) == expected


def test_a_quantity_is_found_by_its_unit() -> None:
    dose = observed("5.4", unit="milligram", system="http://unitsofmeasure.org", code="mg")
    for asked in ("5.4", "5.4|http://unitsofmeasure.org|mg", "5.4||mg", "5.4||milligram", "gt5||mg"):
        assert found("value-quantity", asked, dose), asked
    for asked in ("5.4|http://unitsofmeasure.org|g", "5.4||g", "5.4|http://other.example|mg", "5.5||mg"):
        assert not found("value-quantity", asked, dose), asked


def test_a_comparator_leaves_a_value_open() -> None:
    below = observed("5", comparator="<")
    assert found("value-quantity", "lt3", below)
    assert found("value-quantity", "le5", below)
    assert not found("value-quantity", "gt5", below)
    assert not found("value-quantity", "5", below)


def test_a_number_is_found() -> None:
    risk = (
        '{"resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"},'
        '"prediction":[{"probabilityDecimal":0.25},{"probabilityDecimal":0.75}]}'
    )
    assert found("probability", "0.25", risk)
    assert found("probability", "gt0.7", risk)
    assert not found("probability", "0.5", risk)
    assert found("probability:missing", "false", risk)


def test_a_range_where_a_number_is_searched_is_all_from_its_low_to_its_high() -> None:
    risk = (
        '{"resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"},'
        '"prediction":[{"probabilityRange":{"low":{"value":5.6},"high":{"value":6.4}}}]}'
    )
    for asked in ("6", "gt6", "lt6", "ge6.4", "le5.6", "sa5", "eb7", "ap6"):
        assert found("probability", asked, risk), asked
    for asked in ("6.0", "5", "gt6.4", "lt5.6", "sa6", "eb6", "ne6"):
        assert not found("probability", asked, risk), asked
