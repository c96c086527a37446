"""Numbers and quantities: what a search value means, against plain arithmetic."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.resource import Key, from_text
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry, Range
from fhir_server.search.predicates.matching import matches
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
        ("1.00e2", ["99.5", "100.4"], ["99.4", "100.5"]),
        ("5.40e-3", ["0.005395", "0.0054049"], ["0.0053949", "0.005405"]),
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


UCUM = "http://unitsofmeasure.org"

PER_GRAM = {
    "g": Fraction(1),
    "mg": Fraction(1, 1000),
    "ug": Fraction(1, 10**6),
    "[dr_av]": Fraction("1.7718451953125"),
}
"""How many grams they are: of a dram, UCUM has 453.59237 / 256."""


@given(
    st.sampled_from(PREFIXES), st.sampled_from(sorted(PER_GRAM)), st.sampled_from(sorted(PER_GRAM)), st.data()
)
def test_each_prefix_compares_across_units_as_arithmetic_does(
    prefix: str, code: str, asked_code: str, data: st.DataObject
) -> None:
    searched = data.draw(st.decimals(-(10**6), 10**6, places=3, allow_nan=False, allow_infinity=False))
    same = Fraction(searched) * PER_GRAM[asked_code] / PER_GRAM[code]
    nearby = [same, same * 1000, same / 1000]
    exact = [Decimal(one.numerator) / Decimal(one.denominator) for one in nearby]
    value = data.draw(st.sampled_from(exact) | st.decimals(-100, 100, places=2))
    half = Fraction(1, 2000)
    left, right = Fraction(value) * PER_GRAM[code], Fraction(searched) * PER_GRAM[asked_code]
    within = right - half * PER_GRAM[asked_code] <= left < right + half * PER_GRAM[asked_code]
    expected = {
        "eq": within,
        "ne": not within,
        "gt": left > right,
        "sa": left > right,
        "lt": left < right,
        "eb": left < right,
        "ge": left >= right,
        "le": left <= right,
    }[prefix]
    dose = observed(f"{value:f}", system=UCUM, code=code)
    assert found("value-quantity", f"{prefix}{searched:f}|{UCUM}|{asked_code}", dose) == expected
    assert found("value-quantity", f"{value:f}", dose), "as it is written, whatever the unit"


@given(st.decimals(-(10**9), 10**9, places=2, allow_nan=False, allow_infinity=False))
def test_what_cannot_be_converted_exactly_equals_itself_in_each_unit(value: Decimal) -> None:
    pressure = observed(f"{value:f}", system=UCUM, code="kPa")
    for asked in (f"{value:f}|{UCUM}|kPa", f"{value * 1000:f}|{UCUM}|Pa", f"{value * 10:f}|{UCUM}|mbar"):
        for prefix in ("eq", "ge", "le", "ap"):
            assert found("value-quantity", prefix + asked, pressure), (prefix, asked)
        for prefix in ("ne", "gt", "lt", "sa", "eb"):
            assert not found("value-quantity", prefix + asked, pressure), (prefix, asked)


@pytest.mark.parametrize(
    ("asked", "inside", "outside"),
    [
        ("5|UCUM|mg", [("0.005", "g"), ("5000", "ug"), ("0.0045", "g")], [("0.0055", "g"), ("5", "g")]),
        ("5.00|UCUM|mg", [("0.005", "g"), ("5004", "ug")], [("5006", "ug")]),
        ("5e0|UCUM|mg", [("5", "mg"), ("0.00495", "g")], [("0.00505", "g")]),
        (
            "37|UCUM|Cel",
            [("98.6", "[degF]"), ("310.15", "K"), ("36.5", "Cel")],
            [("37", "K"), ("99.5", "[degF]")],
        ),
        ("ap100|UCUM|Cel", [("90", "Cel"), ("383", "K")], [("89.9", "Cel"), ("384", "K")]),
        ("140|UCUM|mm[Hg]", [("18.665", "kPa"), ("140", "mm[Hg]")], [("18.59", "kPa")]),
        ("gt16|UCUM|kPa", [("121", "mm[Hg]")], [("120", "mm[Hg]")]),
        ("1|UCUM|B", [("10", "dB")], [("1", "dB"), ("10", "dB[W]")]),
        ("72|UCUM|/min", [("72", "{beats}/min"), ("1.2", "Hz")], [("72", "/h")]),
        ("5|UCUM|mgg", [("5", "mgg")], [("5", "mg"), ("5000", "ugg")]),
        ("0|UCUM|mg", [("0", "g"), ("0.0004", "g")], [("0", "L"), ("0", "mgg"), ("0.0005", "g")]),
        ("5||mg", [("5", "mg")], [("0.005", "g")]),
        ("5", [("5", "mg"), ("5", "g"), ("5", "mgg")], [("0.005", "g"), ("5000", "ug")]),
        ("5|http://other.example|mg", [], [("5", "mg"), ("0.005", "g")]),
        ("5|UCUM|" + "m" * 1000, [], [("5", "m")]),
    ],
)
def test_a_quantity_of_a_ucum_code_is_found_in_each_commensurable_unit(
    asked: str, inside: list[tuple[str, str]], outside: list[tuple[str, str]]
) -> None:
    def is_found(value: str, code: str) -> bool:
        return found("value-quantity", asked.replace("UCUM", UCUM), observed(value, system=UCUM, code=code))

    assert [pair for pair in inside if not is_found(*pair)] == []
    assert [pair for pair in outside if is_found(*pair)] == []


def test_a_unit_of_another_system_is_not_converted_whatever_it_is_called() -> None:
    for system in ("http://other.example", "\\\\=kg", "\\\\~", "|"):
        dose = observed("5", system=system, code="kg")
        assert not found("value-quantity", f"5|{UCUM}|kg", dose)
        assert found("value-quantity", "5", dose)
    assert not found("value-quantity", f"5|{UCUM}|kg", observed("5", unit="kg"))


def test_a_comparator_leaves_a_value_open_in_each_unit() -> None:
    below = observed("5", comparator="<", system=UCUM, code="mg")
    assert found("value-quantity", f"lt0.003|{UCUM}|g", below)
    assert not found("value-quantity", f"gt0.005|{UCUM}|g", below)
    above = observed("5", comparator=">=", system=UCUM, code="mg")
    assert found("value-quantity", f"gt1|{UCUM}|kg", above)
    assert not found("value-quantity", f"lt0.005|{UCUM}|g", above)


@pytest.mark.parametrize(
    ("low", "high", "asked", "is_found"),
    [
        (("500", "mg"), ("1", "g"), "ge1|UCUM|g", True),
        (("500", "mg"), ("1", "g"), "gt1|UCUM|g", False),
        (("500", "mg"), ("1", "g"), "sa499999|UCUM|ug", True),
        (("500", "mg"), None, "gt1|UCUM|kg", True),
        (None, ("1", "g"), "lt1|UCUM|mg", True),
        (None, ("1", "g"), "gt1000|UCUM|mg", False),
        (("500", "mg"), ("1", "L"), "gt1|UCUM|mg", False),
        (("500", "mg"), ("1", "L"), "lt600", True),
        (("0", "[degF]"), ("0", "Cel"), "lt-17|UCUM|Cel", True),
        (("0", "[degF]"), ("0", "Cel"), "lt-18|UCUM|Cel", False),
    ],
)
def test_a_range_goes_from_its_low_to_its_high_each_in_its_unit(
    low: tuple[str, str] | None, high: tuple[str, str] | None, asked: str, is_found: bool
) -> None:
    def end(name: str, pair: tuple[str, str] | None) -> list[str]:
        return [f'"{name}":{{"value":{pair[0]},"system":"{UCUM}","code":"{pair[1]}"}}'] if pair else []

    context = (
        '{"resourceType":"ValueSet","status":"draft","useContext":[{"code":{"code":"x"},'
        f'"valueRange":{{{",".join(end("low", low) + end("high", high))}}}}}]}}'
    )
    assert found("context-quantity", asked.replace("UCUM", UCUM), context) == is_found


def test_what_is_written_in_the_unit_that_others_are_converted_to_is_one_range() -> None:
    def ranges(value: str, code: str) -> int:
        parsed = from_text(observed(value, system=UCUM, code=code).encode())
        return len(extract(parsed, Key("Observation", "1")).ranges)

    assert [ranges("5.4", code) for code in ("kg", "mg/dL", "mm[Hg]", "{score}", "mgg")] == [1] * 5
    assert [ranges("5.4", code) for code in ("mg", "g/L", "kPa", "%")] == [2] * 4
    assert ranges("0", "mg") == 1
    assert ranges("0." + "123456789" * 5, "kg") == 2, "as written it has more digits than are kept"
