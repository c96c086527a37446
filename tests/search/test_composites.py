"""
Composites: both parts of one element, never of two.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import evaluate
from fhir_server.r4.resource import Key, from_text
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.values.escaping import written
from tests.search.versions import finds, query

UCUM = "http://unitsofmeasure.org"


def concept(*codings: tuple[str | None, str]) -> dict[str, Any]:
    return {"coding": [{"code": code, **({"system": system} if system else {})} for system, code in codings]}


def mmhg(value: int) -> dict[str, Any]:
    return {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}


PRESSURE: dict[str, Any] = {
    "resourceType": "Observation",
    "code": concept(("l", "85354-9")),
    "component": [
        {"code": concept(("l", "8480-6"), (None, "sys")), "valueQuantity": mmhg(120)},
        {"code": concept(("l", "8462-4")), "valueQuantity": mmhg(80)},
        {"code": concept(("l", "x$y")), "valueCodeableConcept": concept(("v", "a|b"))},
        {"code": {"text": "no code"}, "valueCodeableConcept": concept(("v", "z"))},
    ],
}
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "code": concept(("l", "w")),
    "valueQuantity": {"value": 70, "system": UCUM, "code": "kg", "unit": "Kilo"},
}


@pytest.mark.parametrize(
    ("resource", "name", "value", "is_found"),
    [
        (PRESSURE, "component-code-value-quantity", "8480-6$120", True),
        (PRESSURE, "component-code-value-quantity", "8480-6$80", False),
        (PRESSURE, "component-code-value-quantity", "l|8480-6$ge100", True),
        (PRESSURE, "component-code-value-quantity", "m|8480-6$ge100", False),
        (PRESSURE, "component-code-value-quantity", "|8480-6$ge100", False),
        (PRESSURE, "component-code-value-quantity", "l|$ge110", True),
        (PRESSURE, "component-code-value-quantity", "l|$120||mmHg", True),
        (PRESSURE, "component-code-value-quantity", f"l|$80|{UCUM}|mm[Hg]", True),
        (PRESSURE, "component-code-value-quantity", f"l|$80|{UCUM}|kg", False),
        (PRESSURE, "component-code-value-quantity", "l|$ge121", False),
        (PRESSURE, "component-code-value-quantity", "m|$ge1", False),
        (PRESSURE, "code-value-quantity", "l|$ge1", False),
        (PRESSURE, "component-code-value-concept", "l|$v|a\\|b", True),
        (PRESSURE, "component-code-value-concept", "l|$a\\|b", True),
        (PRESSURE, "component-code-value-concept", "l|$v|", True),
        (PRESSURE, "component-code-value-concept", "l|$z", False),
        (PRESSURE, "component-code-value-concept", "m|$a\\|b", False),
        (PRESSURE, "component-code-value-quantity", "|sys$ge100", True),
        (PRESSURE, "component-code-value-quantity", "l|8462-4$ge100", False),
        (PRESSURE, "component-code-value-quantity", "l|8462-4$ge100,8462-4$lt100", True),
        (PRESSURE, "component-code-value-quantity", f"l|8480-6$120|{UCUM}|mm[Hg]", True),
        (PRESSURE, "component-code-value-quantity", "l|8480-6$120||mmHg", True),
        (PRESSURE, "component-code-value-quantity", f"8480-6$120|{UCUM}|kg", False),
        (PRESSURE, "component-code-value-quantity", f"m|8480-6$120|{UCUM}|mm[Hg]", False),
        (PRESSURE, "component-code-value-quantity", "l|8480-6$ne120", False),
        (PRESSURE, "component-code-value-quantity", "l|8480-6$ne80", True),
        (PRESSURE, "component-code-value-quantity:missing", "false", True),
        (PRESSURE, "combo-code-value-quantity", "l|8480-6$120", True),
        (PRESSURE, "combo-code-value-quantity", "l|85354-9$120", False),
        (PRESSURE, "code-value-quantity", "l|8480-6$120", False),
        (PRESSURE, "code-value-quantity:missing", "true", True),
        (PRESSURE, "component-code-value-concept", "x\\$y$v|a\\|b", True),
        (PRESSURE, "component-code-value-concept", "l|x\\$y$a\\|b", True),
        (PRESSURE, "component-code-value-concept", "l|x\\$y$v|", True),
        (PRESSURE, "component-code-value-concept", "l|x\\$y$z", False),
        (PRESSURE, "component-code-value-concept", "8480-6$v|a\\|b", False),
        (WEIGHT, "code-value-quantity", "l|w$70||kg", True),
        (WEIGHT, "code-value-quantity", "w$70||Kilo", True),
        (WEIGHT, "code-value-quantity", "w$gt70", False),
        (WEIGHT, "combo-code-value-quantity", "w$70", True),
        (WEIGHT, "combo-code-value-quantity:missing", "true", False),
        (WEIGHT, "component-code-value-quantity:missing", "true", True),
        ({**WEIGHT, "code": {"text": "weight"}}, "code-value-quantity:missing", "false", True),
        ({**WEIGHT, "valueQuantity": {"unit": "kg"}}, "code-value-quantity:missing", "false", True),
    ],
)
def test_an_observation_is_found_by_a_code_and_its_own_value(
    resource: dict[str, Any], name: str, value: str, is_found: bool
) -> None:
    assert finds(resource, name, value) == is_found


@pytest.mark.parametrize(
    ("value", "name", "asked", "is_found"),
    [
        ({"valueString": "Größe 5"}, "code-value-string", "l|c$GROSSE", True),
        ({"valueString": "Größe 5"}, "code-value-string", "d$grosse", False),
        ({"valueString": "Größe 5"}, "code-value-string", "l|$grosse", True),
        ({"valueString": "Größe 5"}, "code-value-string", "c|$grosse", False),
        ({"valueDateTime": "2024-05-06"}, "code-value-date", "l|$2024", True),
        ({"valueDateTime": "2024-05-06"}, "code-value-date", "m|$2024", False),
        ({"valueDateTime": "2024-05-06"}, "code-value-date", "l|c$2024", True),
        ({"valueDateTime": "2024-05-06"}, "code-value-date", "c$ge2024-05-06", True),
        ({"valueDateTime": "2024-05-06"}, "code-value-date", "m|c$ge2024-05-06", False),
        ({"valueDateTime": "2024-05-06"}, "code-value-date:missing", "false", True),
        ({"valuePeriod": {"start": "2024"}}, "code-value-date", "l|c$gt2030", True),
        ({"valueCodeableConcept": concept(("v", "a"))}, "code-value-concept", "c$a", True),
        ({"valueCodeableConcept": concept(("v", "a"))}, "code-value-concept", "c$|a", False),
        ({"valueCodeableConcept": {"text": "a"}}, "code-value-concept", "c$a", False),
        ({"valueCodeableConcept": {"text": "a"}}, "code-value-concept:missing", "false", True),
    ],
)
def test_each_kind_of_value(value: dict[str, Any], name: str, asked: str, is_found: bool) -> None:
    observation = {"resourceType": "Observation", "code": concept(("l", "c")), **value}
    assert finds(observation, name, asked) == is_found


def test_other_types_have_composites_too() -> None:
    document = {
        "resourceType": "DocumentReference",
        "relatesTo": [
            {"code": "appends", "target": {"reference": "DocumentReference/1"}},
            {"code": "replaces", "target": {"reference": "DocumentReference/2"}},
        ],
    }
    system = "http://hl7.org/fhir/document-relationship-type"
    assert finds(document, "relationship", "appends$DocumentReference/1")
    assert finds(document, "relationship", f"{system}|appends$1")
    assert finds(document, "relationship", f"{system}|$2")
    assert not finds(document, "relationship", f"{system}|$3")
    assert not finds(document, "relationship", "http://a.example|$1")
    assert not finds(document, "relationship", "appends$DocumentReference/2")
    assert not finds(document, "relationship", "http://a.example|appends$1")
    group = {
        "resourceType": "Group",
        "characteristic": [
            {"code": concept(("s", "a")), "valueBoolean": True},
            {"code": concept(("s", "b")), "valueBoolean": False},
        ],
    }
    assert finds(group, "characteristic-value", "s|a$true")
    assert not finds(group, "characteristic-value", "s|b$true")
    used = {
        "resourceType": "ValueSet",
        "useContext": [
            {"code": {"code": "age"}, "valueRange": {"low": {"value": 18}, "high": {"value": 65}}},
            {"code": {"code": "focus"}, "valueCodeableConcept": concept(("v", "x"))},
        ],
    }
    assert finds(used, "context-type-quantity", "age$gt60")
    assert not finds(used, "context-type-quantity", "focus$gt60")
    assert finds(used, "context-type-value", "focus$v|x")
    assert not finds(used, "context-type-value", "age$v|x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code-value-quantity", "5"),
        ("code-value-quantity", "a$"),
        ("code-value-quantity", "$5"),
        ("code-value-quantity", "a$5$6"),
        ("code-value-quantity", "a\\$5"),
        ("code-value-quantity", "l|$"),
        ("code-value-quantity", "|$5"),
        ("code-value-quantity", "a$many"),
        ("code-value-date", "a$5 May"),
        ("code-value-quantity:not", "a$5"),
        ("code-value-quantity:missing", "a$5"),
        ("code-value-concept:text", "a$b"),
    ],
)
def test_what_is_no_composite_is_refused_by_the_name_of_the_parameter(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=name.partition(":")[0]):
        query("Observation", (name, value))


def test_every_composite_of_r4_is_answered() -> None:
    composites = [
        parameter
        for type in definitions().resource_types
        for parameter in parameters_of(type).values()
        if parameter.type == "composite"
    ]
    assert len(composites) > 40
    assert [parameter.name for parameter in composites if not parameter.supported] == []


SEQUENCE: dict[str, Any] = {
    "resourceType": "MolecularSequence",
    "coordinateSystem": 1,
    "referenceSeq": {
        "chromosome": concept(("l", "1"), ("m", "I")),
        "referenceSeqId": concept(("ncbi", "NC_000001.11")),
        "windowStart": 1000,
        "windowEnd": 2000,
    },
    "variant": [
        {"start": 1100, "end": 1150},
        {"start": 1300, "end": 1310},
        {"start": 1500},
        {"start": 9, "end": 5},
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "is_found"),
    [
        ("chromosome-window-coordinate", "1$1000$2000", True),
        ("chromosome-window-coordinate", "l|1$ge900$le2000", True),
        ("chromosome-window-coordinate", "m|I$ge900$le2000", True),
        ("chromosome-window-coordinate", "m|1$ge900$le2000", False),
        ("chromosome-window-coordinate", "m|$1000$2000", True),
        ("chromosome-window-coordinate", "n|$1000$2000", False),
        ("chromosome-window-coordinate", "2$1000$2000", False),
        ("chromosome-window-coordinate", "1$gt1000$2000", False),
        ("chromosome-window-coordinate", "1$ne1000$2000", False),
        ("chromosome-window-coordinate", "1$ne999$ne2001", True),
        ("chromosome-window-coordinate", "1$1000$ap2100", True),
        ("chromosome-window-coordinate", "1$5$6,1$1000$2000", True),
        ("referenceseqid-window-coordinate", "NC_000001.11$lt1500$gt1500", True),
        ("referenceseqid-window-coordinate", "1$lt1500$gt1500", False),
        ("chromosome-variant-coordinate", "1$1100$1150", True),
        # The beginning of one variant is not joined to the end of another.
        ("chromosome-variant-coordinate", "1$1100$1310", False),
        ("chromosome-variant-coordinate", "1$ge1200$le1200", False),
        ("chromosome-variant-coordinate", "l|1$ge1200$le1400", True),
        ("chromosome-variant-coordinate", "l|$ge1200$le1400", True),
        ("chromosome-variant-coordinate", "1$1500$ge0", False),
        # One that ends before it begins is what it says.
        ("chromosome-variant-coordinate", "1$9$5", True),
        ("chromosome-variant-coordinate", "m|I$gt8$lt6", True),
        ("chromosome-variant-coordinate", "m|$gt8$lt6", True),
        ("chromosome-variant-coordinate", "1$5$9", False),
        ("chromosome-variant-coordinate", "1$lt8$lt8", False),
        ("referenceseqid-variant-coordinate", "ncbi|NC_000001.11$sa1200$eb1400", True),
        ("referenceseqid-variant-coordinate:missing", "false", True),
    ],
)
def test_a_code_with_a_beginning_and_an_end(name: str, value: str, is_found: bool) -> None:
    assert finds(SEQUENCE, name, value) is is_found


def test_a_sequence_without_all_three_has_no_coordinates() -> None:
    without = {**SEQUENCE, "referenceSeq": {"windowStart": 1, "windowEnd": 2}}
    assert finds(without, "chromosome-variant-coordinate:missing", "true")
    assert finds(without, "chromosome-window-coordinate:missing", "true")
    only = {**SEQUENCE, "variant": [{"start": 9, "end": 5}]}
    assert finds(only, "chromosome-variant-coordinate:missing", "false")
    assert finds({**SEQUENCE, "variant": [{"start": 9}]}, "chromosome-variant-coordinate:missing", "true")


@pytest.mark.parametrize("value", ["1$2", "1$2$3$4", "$2$3", "1$$3", "1$a$3", "1$2$le"])
def test_what_is_no_code_with_a_beginning_and_an_end_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match="chromosome-variant-coordinate"):
        query("MolecularSequence", ("chromosome-variant-coordinate", value))


prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
COMPARED = {
    "": operator.eq,
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "sa": operator.gt,
    "lt": operator.lt,
    "eb": operator.lt,
    "ge": operator.ge,
    "le": operator.le,
}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
    prefixes,
    st.integers(0, 4),
    prefixes,
    st.integers(0, 4),
)
def test_plain_python_agrees_about_coordinates(
    variants: list[tuple[int, int]], of_start: str, start: int, of_end: str, end: int
) -> None:
    sequence = {**SEQUENCE, "variant": [{"start": low, "end": high} for low, high in variants]}
    expected = any(COMPARED[of_start](low, start) and COMPARED[of_end](high, end) for low, high in variants)
    value = f"l|1${of_start}{start}${of_end}{end}"
    assert finds(sequence, "chromosome-variant-coordinate", value) == expected


def test_a_quantity_costs_one_range_more_however_many_systems_its_code_has() -> None:
    entry = extract(WEIGHT, Key("Observation", "1"))
    assert [found.parameter for found in entry.ranges] == [
        "Observation|value-quantity",
        "Observation|code-value-quantity|w",
    ]
    assert not any(token.startswith("Observation|code-value-") for token in entry.tokens)


systems = st.sampled_from([None, "s", "t|u"])
codings = st.tuples(systems, st.sampled_from(["a", "b", "c|\\"]))
units = st.sampled_from([None, "a", "kg"])
components = st.lists(
    st.tuples(st.lists(codings, max_size=2), st.integers(0, 3), units, systems), min_size=1, max_size=3
)


@settings(max_examples=150, deadline=None)
@given(components, systems | st.just("any"), st.sampled_from(["a", "b", "c|\\"]), st.integers(0, 3), units)
def test_plain_python_over_fhirpath_agrees(
    listed: list[tuple[list[tuple[str | None, str]], int, str | None, str | None]],
    system: str | None,
    code: str,
    number: int,
    unit: str | None,
) -> None:
    resource = {
        "resourceType": "Observation",
        "component": [
            {
                "code": concept(*codes),
                "valueQuantity": {
                    "value": value,
                    **({"code": unit} if unit else {}),
                    **({"system": of} if of else {}),
                },
            }
            for codes, value, unit, of in listed
        ],
    }
    expected = any(
        item.value["valueQuantity"]["value"] >= number
        and (unit is None or item.value["valueQuantity"].get("code") == unit)
        and any(
            coding["code"] == code and (system == "any" or coding.get("system") == system)
            for coding in item.value["code"]["coding"]
        )
        for item in evaluate("Observation.component", resource)
    )
    asked = written(code) if system == "any" else f"{written(system or '')}|{written(code)}"
    value = f"$ge{number}" + (f"||{unit}" if unit else "")
    assert finds(resource, "component-code-value-quantity", asked + value) == expected
    if system not in ("any", None):
        of_any_code = any(
            with_a_number >= number
            and (unit is None or found_unit == unit)
            and any(found_system == system for found_system, _ in codes)
            for codes, with_a_number, found_unit, _ in listed
        )
        asked = f"{written(str(system))}|"
        assert finds(resource, "component-code-value-quantity", asked + value) == of_any_code


def test_a_literal_of_many_digits_is_compared_exactly() -> None:
    text = b'{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":0.1e-7}}'
    assert finds(from_text(text), "code-value-quantity", "c$eq1e-8")
