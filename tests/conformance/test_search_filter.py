"""
`_filter`: its examples and its operations; conformance/search.md is the list.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from fhir_server.r4.resource import Literal
from tests.conformance.shelf import Shelf
from tests.server.running import an_observation
from tests.server.ward import LOINC, coded


def observed(code: str, **stated: Any) -> dict[str, Any]:
    """An Observation of this code of LOINC."""
    return an_observation("1", code=coded(code), **stated)


async def _filtered(shelf: Shelf, type: str, expression: str) -> set[str]:
    return await shelf.finds(f"{type}?_filter={quote(expression)}")


async def _people(shelf: Shelf) -> None:
    def person(given: str, birth: str, **stated: Any) -> dict[str, Any]:
        return {"name": [{"given": [given]}], "birthDate": birth, **stated}

    await shelf.has(
        "Patient",
        peter=person("Peter", "2014-10-10", gender="male"),
        petra=person("Petra", "2014-10-09", gender="female"),
        paul=person("Paul", "2020-01-01"),
    )


async def test_a_name_that_contains(shelf: Shelf) -> None:
    """`name co "pet"`"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", 'name co "pet"') == {"peter", "petra"}


async def test_two_expressions_with_and(shelf: Shelf) -> None:
    """`given eq "peter" and birthdate ge 2014-10-10`"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", 'given eq "peter" and birthdate ge 2014-10-10') == {"peter"}


async def test_a_code_in_its_system(shelf: Shelf) -> None:
    """`code eq http://loinc.org|1234-5`"""
    await shelf.has("Observation", it=observed("1234-5"), other=observed("1234-6"))
    assert await _filtered(shelf, "Observation", f"code eq {LOINC}|1234-5") == {"it"}


async def test_a_chain(shelf: Shelf) -> None:
    """`subject.name co "pet"`; `code eq http://loinc.org|1234-5 and subject.name co "peter"`"""
    await _people(shelf)
    for name in ("peter", "paul"):
        await shelf.has("Observation", **{name: {**observed("1234-5"), "subject": shelf.to(name)}})
    assert await _filtered(shelf, "Observation", 'patient.name co "pet"') == {"peter"}
    both = f'code eq {LOINC}|1234-5 and patient.name co "peter"'
    assert await _filtered(shelf, "Observation", both) == {"peter"}


async def test_equal_and_unequal(shelf: Shelf) -> None:
    """`eq`, `ne`: an item of the set has an equal or an unequal value"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", "gender eq male") == {"peter"}
    assert "petra" in await _filtered(shelf, "Patient", "gender ne male")
    assert "peter" not in await _filtered(shelf, "Patient", "gender ne male")


async def test_the_start_and_the_end_of_a_string(shelf: Shelf) -> None:
    """`sw`, `ew`: an item of the set starts or ends with the value"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", 'given sw "pet"') == {"peter", "petra"}
    assert await _filtered(shelf, "Patient", 'given ew "er"') == {"peter"}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("gt", {"high"}), ("lt", {"low"}), ("ge", {"same", "high"}), ("le", {"low", "same"}), ("ap", {"same"})],
)
async def test_quantities_are_compared(shelf: Shelf, operation: str, expected: set[str]) -> None:
    """`gt`, `lt`, `ge`, `le`, `ap` of a quantity"""
    for name, value in (("low", "1"), ("same", "5"), ("high", "9")):
        quantity = {"value": Literal(value.encode()), "unit": "mg"}
        await shelf.has("Observation", **{name: observed("x", valueQuantity=quantity)})
    assert await _filtered(shelf, "Observation", f"value-quantity {operation} 5") == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("eq", {"same"}),
        ("gt", {"after"}),
        ("lt", {"before"}),
        ("ge", {"same", "after"}),
        ("le", {"before", "same"}),
        ("sa", {"after"}),
        ("eb", {"before"}),
    ],
)
async def test_dates_are_compared(shelf: Shelf, operation: str, expected: set[str]) -> None:
    """`eq`, `gt`, `lt`, `ge`, `le`, `sa`, `eb` of a date"""
    for name, when in (("before", "2013-01-01"), ("same", "2013-03-14"), ("after", "2014-01-01")):
        await shelf.has("Observation", **{name: observed("x", effectiveDateTime=when)})
    assert await _filtered(shelf, "Observation", f"date {operation} 2013-03-14") == expected


async def test_presence(shelf: Shelf) -> None:
    """`pr true`, `pr false`: the set is not empty, or it is"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", "gender pr true") == {"peter", "petra"}
    assert await _filtered(shelf, "Patient", "gender pr false") == {"paul"}


async def test_periods_that_overlap(shelf: Shelf) -> None:
    """`po`: a period of the set overlaps with that of the value"""
    period = {"start": "2013-01-01", "end": "2013-06-30"}
    await shelf.has("Observation", it=observed("x", effectivePeriod=period), other=observed("x"))
    assert await _filtered(shelf, "Observation", "date po 2013-03") == {"it"}
    assert await _filtered(shelf, "Observation", "date po 2014") == set()


async def test_a_reference_to(shelf: Shelf) -> None:
    """`re`: an item of the set refers to the value"""
    await _people(shelf)
    await shelf.has("Observation", it={**observed("x"), "subject": shelf.to("peter")}, other=observed("x"))
    assert await _filtered(shelf, "Observation", f"subject re {shelf.at('peter')}") == {"it"}


async def _hierarchy(shelf: Shelf) -> str:
    url = f"http://acme.example/{shelf.id}"
    concept = [{"code": "tumour", "concept": [{"code": "liver"}]}]
    system = {"status": "active", "content": "complete", "hierarchyMeaning": "is-a", "url": url}
    await shelf.has("CodeSystem", system={**system, "concept": concept})
    compose = {"include": [{"system": url, "concept": [{"code": "liver"}]}]}
    await shelf.has("ValueSet", set={"status": "active", "url": f"{url}/set", "compose": compose})
    for code in ("tumour", "liver"):
        condition = {
            "subject": {"reference": "Patient/1"},
            "code": {"coding": [{"system": url, "code": code}]},
        }
        await shelf.has("Condition", **{code: condition})
    return url


async def test_subsumption(shelf: Shelf) -> None:
    """`ss`, `sb`: the value subsumes a concept of the set, or is subsumed by one"""
    url = await _hierarchy(shelf)
    assert await _filtered(shelf, "Condition", f"code ss {url}|tumour") == {"tumour", "liver"}
    assert await _filtered(shelf, "Condition", f"code sb {url}|liver") == {"tumour", "liver"}


async def test_value_sets(shelf: Shelf) -> None:
    """`in`, `ni`: a concept of the set is, or none is, in the value set"""
    url = await _hierarchy(shelf)
    assert await _filtered(shelf, "Condition", f"code in {url}/set") == {"liver"}
    assert await _filtered(shelf, "Condition", f"code ni {url}/set") == {"tumour"}


async def test_or_and_not_and_brackets(shelf: Shelf) -> None:
    """`or`, `not (...)`, `(...)`"""
    await _people(shelf)
    assert await _filtered(shelf, "Patient", 'given eq "paul" or gender eq female') == {"paul", "petra"}
    assert await _filtered(shelf, "Patient", "not (gender eq male)") == {"petra", "paul"}
    both = '(given eq "paul" or given eq "peter") and birthdate lt 2020'
    assert await _filtered(shelf, "Patient", both) == {"peter"}


async def test_brackets_hold_conditions_of_one_target(shelf: Shelf) -> None:
    """`paramName[filter].path`: the conditions of one resource that is referred to"""
    practitioner = "Practitioner"
    await shelf.has(
        practitioner,
        joe={"name": [{"given": ["Joe"]}], "address": [{"state": "CA"}]},
        jane={"name": [{"given": ["Jane"]}], "address": [{"state": "MN"}]},
    )
    joe, jane = (shelf.to(name, practitioner) for name in ("joe", "jane"))
    await shelf.has("Patient", both={"generalPractitioner": [joe, jane]}, one={"generalPractitioner": [joe]})
    expression = 'general-practitioner[given eq "Joe"].address-state eq "CA"'
    assert await _filtered(shelf, "Patient", expression) == {"both", "one"}
    assert await _filtered(shelf, "Patient", expression.replace("CA", "MN")) == set()


async def test_a_filter_goes_together_with_other_criteria(shelf: Shelf) -> None:
    """`_filter` beside other parameters: and"""
    await _people(shelf)
    expression = quote('name co "pet"')
    assert await shelf.finds(f"Patient?gender=female&_filter={expression}") == {"petra"}
