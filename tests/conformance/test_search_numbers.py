"""
Numbers and prefixes; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#prefix, https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

from typing import Any

import httpx

from fhir_server.r4.resource import Literal
from tests.conformance.shelf import Shelf

NUMBERS = ("94", "95", "99.4", "99.5", "99.994", "99.995", "100", "100.004", "100.005", "100.5", "105")


def charged(factor: str) -> dict[str, Any]:
    """A ChargeItem whose parameter `factor-override` is this number."""
    return {
        "status": "billable",
        "code": {"text": "text"},
        "subject": {"reference": "Patient/1"},
        "factorOverride": Literal(factor.encode()),
    }


def likely(low: str, high: str) -> dict[str, Any]:
    """A RiskAssessment whose parameter `probability` is this range."""
    unit = {"system": "http://unitsofmeasure.org", "code": "%"}
    ends = {name: {"value": Literal(end.encode()), **unit} for name, end in (("low", low), ("high", high))}
    return {
        "status": "final",
        "subject": {"reference": "Patient/1"},
        "prediction": [{"probabilityRange": ends}],
    }


async def _numbers(shelf: Shelf) -> None:
    await shelf.has("ChargeItem", **{number: charged(number) for number in NUMBERS})


async def _ranges(shelf: Shelf) -> None:
    """Before, across the low end of, within, across the high end of, after and around the range of 20."""
    ends = {
        "before": ("10", "19"),
        "low": ("19", "19.9"),
        "within": ("19.6", "20.4"),
        "high": ("20.1", "21"),
        "after": ("21", "30"),
        "around": ("10", "30"),
    }
    await shelf.has("RiskAssessment", **{name: likely(*both) for name, both in ends.items()})


async def _found(shelf: Shelf, value: str) -> set[str]:
    return await shelf.finds(f"ChargeItem?factor-override={value}")


async def _overlapping(shelf: Shelf, value: str) -> set[str]:
    await _ranges(shelf)
    return await shelf.finds(f"RiskAssessment?probability={value}")


async def test_100_finds_what_rounds_to_it(shelf: Shelf) -> None:
    """`100`: [99.5, 100.5)"""
    await _numbers(shelf)
    assert await _found(shelf, "100") == {"99.5", "99.994", "99.995", "100", "100.004", "100.005"}


async def test_more_digits_find_less(shelf: Shelf) -> None:
    """`100.00`: [99.995, 100.005)"""
    await _numbers(shelf)
    assert await _found(shelf, "100.00") == {"99.995", "100", "100.004"}


async def test_an_exponent_says_how_many_digits_count(shelf: Shelf) -> None:
    """`1e2`: [95, 105); `1.00e2` is as precise as `100`"""
    await _numbers(shelf)
    assert await _found(shelf, "1e2") == set(NUMBERS) - {"94", "105"}
    assert await _found(shelf, "1.00e2") == await _found(shelf, "100")


async def test_lt_finds_what_is_less_than_exactly_the_number(shelf: Shelf) -> None:
    """`lt100`: less than exactly 100"""
    await _numbers(shelf)
    assert await _found(shelf, "lt100") == {"94", "95", "99.4", "99.5", "99.994", "99.995"}


async def test_le_finds_the_number_and_what_is_less(shelf: Shelf) -> None:
    """`le100`: less than or equal to exactly 100"""
    await _numbers(shelf)
    assert await _found(shelf, "le100") == {"94", "95", "99.4", "99.5", "99.994", "99.995", "100"}


async def test_gt_finds_what_is_greater_than_exactly_the_number(shelf: Shelf) -> None:
    """`gt100`: greater than exactly 100"""
    await _numbers(shelf)
    assert await _found(shelf, "gt100") == {"100.004", "100.005", "100.5", "105"}


async def test_ge_finds_the_number_and_what_is_greater(shelf: Shelf) -> None:
    """`ge100`: greater than or equal to exactly 100, whatever the precision of the number"""
    await _numbers(shelf)
    assert await _found(shelf, "ge100") == {"100", "100.004", "100.005", "100.5", "105"}


async def test_ne_finds_what_does_not_round_to_the_number(shelf: Shelf) -> None:
    """`ne100`: outside [99.5, 100.5)"""
    await _numbers(shelf)
    assert await _found(shelf, "ne100") == set(NUMBERS) - await _found(shelf, "100")


async def test_sa_and_eb_ignore_the_precision_of_the_number(shelf: Shelf) -> None:
    """`sa100`, `eb100`: with gt, lt, ge, le, sa and eb the number is exact"""
    await _numbers(shelf)
    assert await _found(shelf, "sa100") == await _found(shelf, "gt100")
    assert await _found(shelf, "eb100") == await _found(shelf, "lt100")


async def test_ap_finds_what_is_within_a_tenth(shelf: Shelf) -> None:
    """`ap100`: within 10% of the stated value"""
    numbers = ("89", "90", "110", "111")
    await shelf.has("ChargeItem", **{number: charged(number) for number in numbers})
    assert await _found(shelf, "ap100") == {"90", "110"}


async def test_a_number_without_a_prefix_is_equal(shelf: Shelf) -> None:
    """No prefix is `eq`"""
    await _numbers(shelf)
    assert await _found(shelf, "eq100") == await _found(shelf, "100")


async def test_an_integer_is_found_exactly(shelf: Shelf) -> None:
    """An integer is found by itself, and never by a number with other digits than 0 after its point"""
    sequence = {
        "coordinateSystem": 0,
        "referenceSeq": {"genomeBuild": "GRCh 37", "chromosome": {"text": "1"}, "windowStart": 2},
    }
    await shelf.has("MolecularSequence", two=sequence)
    for value in ("2", "eq2", "2.0", "ge2", "le2", "ne3"):
        assert await shelf.finds(f"MolecularSequence?window-start={value}") == {"two"}, value
    for value in ("1", "3", "2.5", "1.9", "gt2", "lt2"):
        assert await shelf.finds(f"MolecularSequence?window-start={value}") == set(), value


async def test_a_probability_is_found_by_either_notation(shelf: Shelf) -> None:
    """`RiskAssessment?probability=gt0.8` is `gt8e-1`"""
    risk = {"status": "final", "subject": {"reference": "Patient/1"}}
    for name, value in (("more", "0.81"), ("same", "0.8"), ("less", "0.79")):
        prediction = [{"probabilityDecimal": Literal(value.encode())}]
        await shelf.has("RiskAssessment", **{name: {**risk, "prediction": prediction}})
    assert await shelf.finds("RiskAssessment?probability=gt0.8") == {"more"}
    assert await shelf.finds("RiskAssessment?probability=gt8e-1") == {"more"}


async def test_eq_finds_a_range_that_the_value_contains(shelf: Shelf) -> None:
    """`eq` of a range: the range of the search value fully contains it"""
    assert await _overlapping(shelf, "eq20") == {"within"}


async def test_ne_finds_a_range_that_the_value_does_not_contain(shelf: Shelf) -> None:
    """`ne` of a range: the range of the search value does not fully contain it"""
    assert await _overlapping(shelf, "ne20") == {"before", "low", "high", "after", "around"}


async def test_gt_finds_a_range_that_reaches_above(shelf: Shelf) -> None:
    """`gt` of a range: the range above the search value overlaps with it"""
    assert await _overlapping(shelf, "gt20") == {"within", "high", "after", "around"}


async def test_lt_finds_a_range_that_reaches_below(shelf: Shelf) -> None:
    """`lt` of a range: the range below the search value overlaps with it"""
    assert await _overlapping(shelf, "lt20") == {"before", "low", "within", "around"}


async def test_ge_finds_a_range_that_reaches_above_or_is_contained(shelf: Shelf) -> None:
    """`ge` of a range: the range above overlaps with it, or the search value's own contains it"""
    assert await _overlapping(shelf, "ge20") == {"within", "high", "after", "around"}


async def test_le_finds_a_range_that_reaches_below_or_is_contained(shelf: Shelf) -> None:
    """`le` of a range: the range below overlaps with it, or the search value's own contains it"""
    assert await _overlapping(shelf, "le20") == {"before", "low", "within", "around"}


async def test_sa_finds_a_range_that_starts_after(shelf: Shelf) -> None:
    """`sa` of a range: it is all in the range above the search value"""
    assert await _overlapping(shelf, "sa20") == {"high", "after"}


async def test_eb_finds_a_range_that_ends_before(shelf: Shelf) -> None:
    """`eb` of a range: it is all in the range below the search value"""
    assert await _overlapping(shelf, "eb20") == {"before", "low"}


async def test_ap_finds_a_range_that_overlaps(shelf: Shelf) -> None:
    """`ap` of a range: it overlaps with what is approximately the search value"""
    assert await _overlapping(shelf, "ap20") == {"before", "low", "within", "high", "after", "around"}
    assert await shelf.finds("RiskAssessment?probability=ap25") == {"after", "around"}


async def test_what_is_no_number_is_refused(shelf: Shelf) -> None:
    """A value that is syntactically wrong is an error"""
    for value in ("many", "1,x", "0x10", "xx5"):
        told = await shelf.refuses(f"ChargeItem?factor-override={value}", status=httpx.codes.BAD_REQUEST)
        assert "factor-override" in told
