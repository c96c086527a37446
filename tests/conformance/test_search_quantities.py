"""
Quantities; conformance/search.md is the list.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from typing import Any

from fhir_server.r4.resource import Literal
from tests.conformance.shelf import Shelf
from tests.server.running import an_observation

UCUM = "http://unitsofmeasure.org"


def measured(value: str, unit: str = "mg", **stated: Any) -> dict[str, Any]:
    """An Observation of a quantity in a unit of UCUM."""
    quantity = {"value": Literal(value.encode()), "system": UCUM, "code": unit, **stated}
    return an_observation("1", valueQuantity=quantity)


async def _doses(shelf: Shelf) -> None:
    await shelf.has(
        "Observation",
        exact=measured("5.4"),
        rounds=measured("5.44"),
        more=measured("5.45"),
        less=measured("5.34"),
        kilo=measured("5.4", "kg"),
        other=measured("5.4", system="http://example.org/units"),
        text=an_observation("1", valueQuantity={"value": Literal(b"5.4"), "unit": "mg"}),
    )


async def _found(shelf: Shelf, value: str) -> set[str]:
    return await shelf.finds(f"Observation?value-quantity={value}")


async def test_a_number_with_system_and_code(shelf: Shelf) -> None:
    """`5.4|http://unitsofmeasure.org|mg`: 5.4 (+/-0.05) mg"""
    await _doses(shelf)
    assert await _found(shelf, f"5.4|{UCUM}|mg") == {"exact", "rounds"}


async def test_an_exponent_in_another_unit(shelf: Shelf) -> None:
    """`5.40e-3|http://unitsofmeasure.org|g`: 0.0054 (+/-0.000005) g"""
    await shelf.has(
        "Observation",
        same=measured("0.0054", "g"),
        near=measured("0.005404", "g"),
        off=measured("0.00541", "g"),
    )
    assert await _found(shelf, f"5.40e-3|{UCUM}|g") == {"same", "near"}


async def test_a_unit_that_is_the_same_amount(shelf: Shelf) -> None:
    """Canonical units: what can be converted is found as well"""
    await _doses(shelf)
    assert await _found(shelf, f"5.4e-3|{UCUM}|g") == {"exact", "rounds"}
    assert await _found(shelf, f"lt1|{UCUM}|kg") == {"exact", "rounds", "more", "less"}


async def test_a_number_with_a_code_or_a_human_unit(shelf: Shelf) -> None:
    """`5.4||mg`: the code or the stated unit is mg"""
    await _doses(shelf)
    assert await _found(shelf, "5.4||mg") == {"exact", "rounds", "other", "text"}


async def test_a_number_alone(shelf: Shelf) -> None:
    """`5.4`: whatever the unit"""
    await _doses(shelf)
    assert await _found(shelf, "5.4") == {"exact", "rounds", "kilo", "other", "text"}


async def test_le_is_exact(shelf: Shelf) -> None:
    """`le5.4|http://unitsofmeasure.org|mg`: up to 5.4 mg exactly"""
    await _doses(shelf)
    assert await _found(shelf, f"le5.4|{UCUM}|mg") == {"exact", "less"}


async def test_ap_is_within_a_tenth(shelf: Shelf) -> None:
    """`ap5.4|http://unitsofmeasure.org|mg`: about 5.4 mg"""
    await shelf.has("Observation", about=measured("5.9"), far=measured("6.0"), below=measured("4.9"))
    assert await _found(shelf, f"ap5.4|{UCUM}|mg") == {"about", "below"}


async def test_each_other_prefix_compares_within_the_unit(shelf: Shelf) -> None:
    """The prefixes are those of numbers, within the unit"""
    await shelf.has(
        "Observation", four=measured("4"), five=measured("5"), six=measured("6"), g=measured("5", "g")
    )
    expected = {
        "gt": {"six"},
        "ge": {"five", "six"},
        "lt": {"four"},
        "le": {"four", "five"},
        "ne": {"four", "six"},
        "sa": {"six"},
        "eb": {"four"},
        "eq": {"five"},
    }
    for prefix, names in expected.items():
        assert await _found(shelf, f"{prefix}5||mg") - {"g"} == names, prefix


async def test_a_comparator_of_the_resource_counts(shelf: Shelf) -> None:
    """A Quantity with a comparator is all that it may be"""
    await shelf.has("Observation", below=measured("5", comparator="<"), above=measured("5", comparator=">"))
    assert await _found(shelf, "lt3||mg") == {"below"}
    assert await _found(shelf, "gt9||mg") == {"above"}
    assert await _found(shelf, "5||mg") == set()
