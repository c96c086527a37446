"""
Every element of every resource type, once right and then wrong in each way it can be.

The instances are made from the definitions, so this holds for all 146 types and what is
reported is exactly the element that was spoilt. This is about structure: what a spoilt element
makes of the invariants around it is left aside; test_invariants.py is about those.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Literal
from fhir_server.r4.validation import ISSUES_MAX, validate
from fhir_server.r4.validation.invariants import IN_THE_WALK
from fhir_server.r4.validation.plan import plans
from tests.r4.instances import PRIMITIVE_VALUES, Place, around, instance_at, minimal, places, put

TYPES: Final = sorted(definitions().resource_types)

BAD_FORMATS: Final[dict[str, Any]] = {
    "base64Binary": "a===",
    "canonical": "not a url",
    "code": " code",
    "date": "2023-02-29",
    "dateTime": "2024-02-29T13:28:17",
    "id": "a_1",
    "instant": "2024-02-29",
    "integer": Literal(b"1.0"),
    "markdown": "\x00",
    "oid": "urn:oid:1.2.",
    "positiveInt": 0,
    "string": "",
    "time": "24:00:00",
    "unsignedInt": -1,
    "uri": "not a uri",
    "url": "not a url",
    "uuid": "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
}


@pytest.mark.parametrize("type", TYPES)
def test_a_minimal_instance_is_valid(type: str) -> None:
    assert validate(minimal(type)) == ()
    assert validate(minimal(type), expected_type=type) == ()


@pytest.mark.parametrize("type", TYPES)
def test_each_element_is_valid_in_each_of_its_types(type: str) -> None:
    for place in places(type):
        assert structural(instance_at(place)) == [], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_a_missing_required_element_is_named(type: str) -> None:
    for place in places(type):
        if place.element.min > 0:
            resource = instance_at(place)
            left = around(resource, place)
            del left[place.json_name]
            # When nothing else was said, it is the empty object around it that breaks a rule.
            parent = place.expression.rpartition(".")[0]
            expected = place.expression.removesuffix("[0]") if left else parent
            assert _reported(resource) == [expected], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_an_unknown_element_is_named_wherever_it_stands(type: str) -> None:
    for place in places(type):
        resource = instance_at(place)
        around(resource, place)["nobodyKnowsThis"] = 1
        parent = place.expression.rpartition(".")[0]
        assert _reported(resource) == [f"{parent}.nobodyKnowsThis"], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_a_wrong_json_type_is_named(type: str) -> None:
    for place in places(type):
        good = PRIMITIVE_VALUES.get(place.declared.code)
        wrong: Any = 1 if isinstance(good, str) else "wrong"
        assert _reported(put(place, wrong)) == [place.expression], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_nulls_and_empty_things_are_named(type: str) -> None:
    for place in places(type):
        nothings: tuple[Any, ...] = (None, {}, "")
        for nothing in nothings:
            assert _reported(put(place, nothing))[:1] in (
                [place.expression],
                [f"{place.expression}.resourceType"],
            ), str(place)


@pytest.mark.parametrize("type", TYPES)
def test_an_array_stands_where_an_element_repeats_and_only_there(type: str) -> None:
    for place in places(type):
        resource = instance_at(place)
        target = around(resource, place)
        without_index = place.expression.removesuffix("[0]")
        one = target[place.json_name]
        if place.element.max == 1:
            target[place.json_name] = [one]
            assert _reported(resource)[:1] == [without_index], str(place)
        else:
            target[place.json_name] = one[0]
            assert without_index in _reported(resource), str(place)
            target[place.json_name] = []
            assert without_index in _reported(resource), str(place)


@pytest.mark.parametrize("type", TYPES)
def test_a_bad_format_is_named(type: str) -> None:
    for place in places(type):
        if place.declared.code in BAD_FORMATS:
            assert _reported(put(place, BAD_FORMATS[place.declared.code])) == [place.expression], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_a_code_outside_a_required_value_set_is_named(type: str) -> None:
    for place in _bound(type):
        if place.declared.code == "code":
            wrong: Any = "nobody-knows-this"
        else:
            wrong = {"coding": [{"system": "http://example.org", "code": "x"}], "text": "x"}
        issues = structural(put(place, wrong))
        assert [(issue.code, issue.expression) for issue in issues] == [
            ("code-invalid", (place.expression,))
        ], str(place)


@pytest.mark.parametrize("type", TYPES)
def test_two_types_of_one_choice_are_refused(type: str) -> None:
    for place in places(type):
        if place.element.is_choice:
            resource = instance_at(place)
            target = around(resource, place)
            for other in place.element.types:
                name = place.element.json_name(other.code)
                if name != place.json_name:
                    twice = copy.deepcopy(resource)
                    around(twice, place)[name] = instance_of(place, other.code)
                    assert _reported(twice) == [place.expression], name
            target[f"{place.element.name}Nonsense"] = "x"
            assert len(_reported(resource)) == 1


@pytest.mark.parametrize("type", TYPES)
def test_a_reference_to_a_type_that_is_not_allowed_is_named(type: str) -> None:
    for place in places(type):
        if place.declared.code == "Reference" and place.declared.targets:
            wrong = min(definitions().resource_types - set(place.declared.targets))
            for reference in (f"{wrong}/1", f"http://example.org/fhir/{wrong}/1/_history/2"):
                assert _reported(put(place, {"reference": reference})) == [f"{place.expression}.reference"]
            assert _reported(put(place, {"type": wrong, "display": "x"})) == [f"{place.expression}.type"]


def instance_of(place: Place, code: str) -> Any:
    """A good value of another of the place's types."""
    declared = next(declared for declared in place.element.types if declared.code == code)
    other = Place(place.type, place.around, place.element, declared)
    return around(instance_at(other), other)[other.json_name]


any_place = st.sampled_from(TYPES).flatmap(lambda name: st.sampled_from(list(places(name))))
names = st.sampled_from(
    sorted({name for plan in plans().values() for name in plan.properties} | {"fhir_comments", "a b"})
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(Literal(b"1e3")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(any_place, json_values)
def test_whatever_stands_somewhere_is_judged_without_a_fault(place: Place, anything: Any) -> None:
    resource = instance_at(place)
    around(resource, place)[place.json_name] = anything
    _judge(resource)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["Reference", "CodeableConcept", "Extension", "Narrative", "Quantity", "contained"]),
    st.data(),
)
def test_whatever_stands_in_what_has_rules_of_its_own_is_judged_without_a_fault(
    kind: str, data: st.DataObject
) -> None:
    properties = st.sampled_from(sorted(plans()["Patient" if kind == "contained" else kind].properties))
    content = data.draw(st.dictionaries(properties, json_values, max_size=4))
    if kind == "contained":
        _judge({"resourceType": "Patient", "contained": [{"resourceType": "Patient"} | content] * 2})
        return
    type = data.draw(st.sampled_from(TYPES))
    for place in places(type):
        if place.declared.code == kind:
            _judge(put(place, content))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(TYPES), st.data())
def test_all_errors_are_reported_at_once(type: str, data: st.DataObject) -> None:
    top = [place for place in places(type) if not place.around and place.element.name != "contained"]
    by_element = {place.element.name: place for place in top}
    chosen = data.draw(st.lists(st.sampled_from(sorted(by_element)), unique=True, max_size=6))
    resource = minimal(type)
    for name in chosen:
        place = by_element[name]
        for declared in place.element.types:
            resource.pop(place.element.json_name(declared.code), None)
        good = PRIMITIVE_VALUES.get(place.declared.code)
        wrong: Any = 1 if isinstance(good, str) else "wrong"
        resource[place.json_name] = wrong if place.element.max == 1 else [wrong]
    assert sorted(_reported(resource)) == sorted(by_element[name].expression for name in chosen)


def test_reports_are_bounded() -> None:
    issues = validate({"resourceType": "Patient", "name": [{"nothing": 1}] * (ISSUES_MAX * 2)})
    assert len(issues) == ISSUES_MAX + 1
    assert issues[-1].expression == ()


def _judge(resource: dict[str, Any]) -> None:
    for issue in validate(resource):
        assert issue.severity in ("error", "warning")
        assert len(issue.expression) == 1


def _reported(resource: dict[str, Any]) -> list[str]:
    return [expression for issue in structural(resource) for expression in issue.expression]


def structural(resource: dict[str, Any]) -> list[Issue]:
    """The issues that are no invariant in FHIRPath."""
    keys = tuple(f"({key})" for key in definitions().invariants if key not in IN_THE_WALK)
    return [issue for issue in validate(resource) if not issue.diagnostics.endswith(keys)]


def _bound(type: str) -> Iterator[Place]:
    """The places of a type whose codes are bound as required to a list of codes."""
    for place in places(type):
        binding = place.element.binding
        if binding and binding.strength == "required" and place.declared.code in ("code", "CodeableConcept"):
            systems = definitions().value_sets.get(binding.value_set or "", {})
            if any(systems.values()):
                yield place
