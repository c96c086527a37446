"""The language: what expressions select, and that what they select still knows its type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.fhirpath import EvaluationError, Node, UnsupportedExpression, compiled, evaluate
from fhir_server.r4.fhirpath.outcomes import Outcome, outcomes
from fhir_server.r4.fhirpath.syntax import parse
from fhir_server.r4.resource import from_text

PATIENT = from_text(
    b"""{
  "resourceType": "Patient", "id": "p", "active": true, "birthDate": "1970-03",
  "_birthDate": {"extension": [{"url": "http://a.example/time", "valueDateTime": "1970-03-05"}]},
  "name": [{"family": "Chalmers", "given": ["Peter", null], "_given": [null, {"id": "second"}]},
           {"given": ["Jim"], "period": {"start": "2001-01-01"}}],
  "telecom": [{"system": "phone", "value": "1"},
              {"system": "email", "value": "a@b"}, {"system": "phone", "value": "2"}],
  "multipleBirthInteger": 2,
  "contained": [{"resourceType": "Practitioner", "id": "gp", "active": false}],
  "generalPractitioner": [{"reference": "#gp"}, {"reference": "Organization/7"}, {"display": "somebody"}],
  "contact": [{"gender": "female", "name": {"text": "Mum"}}],
  "extension": [{"url": "http://a.example/weight", "valueQuantity": {"value": 1.50, "unit": "kg"}}]
}"""
)


def values(expression: str, resource: Any = PATIENT) -> list[Any]:
    return [node.value for node in evaluate(expression, resource)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient.name.given", ["Peter", None, "Jim"]),
        ("name.given.first()", ["Peter"]),
        ("Patient.name[1].given", ["Jim"]),
        ("Patient.name[7].given", []),
        ("Observation.code", []),
        ("Resource.id", ["p"]),
        ("DomainResource.contained.id", ["gp"]),
        ("Patient.telecom.where(system='phone').value", ["1", "2"]),
        ("Patient.telecom.where(system = 'phone' and value = '2').value", ["2"]),
        ("Patient.multipleBirth", [2]),
        ("Patient.multipleBirth as integer", [2]),
        ("Patient.multipleBirth.as(boolean)", []),
        ("Patient.multipleBirth.ofType(integer)", [2]),
        ("(Patient.multipleBirth as FHIR.integer)", [2]),
        ("Patient.extension('http://a.example/weight').value.unit", ["kg"]),
        ("Patient.extension.where(url = 'http://a.example/weight').value.unit", ["kg"]),
        ("Patient.birthDate.extension('http://a.example/time').value", ["1970-03-05"]),
        ("Patient.name.given.hasValue()", [False]),
        ("Patient.name.given.where(hasValue())", ["Peter", "Jim"]),
        ("Patient.generalPractitioner.where(resolve() is Organization).reference", ["Organization/7"]),
        ("Patient.generalPractitioner.where(resolve() is Practitioner).reference", ["#gp"]),
        ("Patient.active = true", [True]),
        ("Patient.active != false", [True]),
        ("Patient.deceased != false", []),
        ("Patient.deceased.exists() and Patient.deceased != false", [False]),
        ("Patient.name.exists(given = 'Jim')", [True]),
        ("Patient.name.count() = 2", [True]),
        ("Patient.telecom.value | Patient.telecom.value", ["1", "a@b", "2"]),
        ("Patient.contact.all(name.exists())", [True]),
        ("Patient.photo.empty()", [True]),
        ("Patient.active and {}", []),
        ("Patient.active or {}", [True]),
        ("Patient.active xor false", [True]),
        ("{} implies true", [True]),
        ("Patient.active implies Patient.photo.exists()", [False]),
        ("(Patient.active | Patient.id).count() > 1", [True]),
        ("Patient.multipleBirth + 1 >= 3", [True]),
        ("-Patient.multipleBirth = -2", [True]),
        ("'a' in Patient.telecom.value", [False]),
        ("Patient.telecom.value contains '1'", [True]),
        ("Patient.id & 'x' & {}", ["px"]),
        ("Patient.birthDate < @1970-04", [True]),
        ("Patient.birthDate < @1970-03-15", []),
        ("Patient.birthDate = @1970-03", [True]),
        ("Patient.birthDate.toString().length()", [7]),
        ("Patient.name.family.startsWith('Chal')", [True]),
        ("Patient.name.family.endsWith('ers')", [True]),
        ("Patient.name.family.contains('lm')", [True]),
        ("Patient.name.family.matches('[A-Z]([A-Za-z0-9_]){0,254}')", [True]),
        ("Patient.telecom[1].value.matches('[A-Z]([A-Za-z0-9_]){0,254}')", [False]),
        ("'a.b.c'.replaceMatches('\\\\..*', '')", ["a"]),
        ("Patient.name.family.substring(4)", ["mers"]),
        ("Patient.name.family.substring(1, 3)", ["hal"]),
        ("Patient.name.family.substring(8)", []),
        ("Patient.telecom.value.first().toInteger() + 1", [2]),
        ("Patient.name.family.toInteger()", []),
        ("Patient.birthDate.children().url", ["http://a.example/time"]),
        ("Patient.contact.descendants()", ["female", {"text": "Mum"}, "Mum"]),
        ("Patient.descendants().url", ["http://a.example/weight", "http://a.example/time"]),
        ("Patient.descendants().as(date)", ["1970-03"]),
        ("Patient.contained.where(%resource.id = 'p').id", ["gp"]),
        ("Patient.contact.where(%context.id = 'p').gender", ["female"]),
        ("Patient.id.iif(empty(), 'none', $this & '!')", ["p!"]),
        ("'<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>'.htmlChecks()", [True]),
        ("'<script/>'.htmlChecks()", [False]),
        ("Patient.birthDate <= @1970-03-31T23:00:00-12:00", []),
        ("Patient.name.family ~ 'CHALMERS'", [True]),
        ("Patient.name.family !~ 'Chalmers'", [False]),
        ("iif(Patient.active, 'yes', 'no')", ["yes"]),
        ("Patient.name.select(given.first())", ["Peter", "Jim"]),
        ("Patient.name.given.where($this = 'Jim')", ["Jim"]),
        ("Patient.contact.where(%resource.active).name.text", ["Mum"]),
        ("Patient.telecom.value.distinct().tail()", ["a@b", "2"]),
        ("Patient.telecom.system.isDistinct()", [False]),
        ("Patient.telecom.value.intersect(Patient.telecom.value.last())", ["2"]),
        ("Patient.id.combine(Patient.id)", ["p", "p"]),
        ("Patient.id.union(Patient.id)", ["p"]),
        ("Patient.id.trace('id')", ["p"]),
        ("%loinc & `id`", ["http://loinc.orgp"]),
        ("'it\\'s \\u0041 \\n'", ["it's A \n"]),
        ("Patient.extension.value.value = 1.5 // by value, not by digits", [True]),
        ("Patient.extension.value = Patient.extension.value", [True]),
    ],
)
def test_an_expression_selects(expression: str, expected: list[Any]) -> None:
    assert values(expression) == expected


@pytest.mark.parametrize(
    ("expression", "types"),
    [
        ("Patient", ["Patient"]),
        ("Patient.name", ["HumanName", "HumanName"]),
        ("Patient.birthDate", ["date"]),
        ("Patient.multipleBirth", ["integer"]),
        ("Patient.contact", ["Patient.contact"]),
        ("Patient.contact.gender", ["code"]),
        ("Patient.contained", ["Practitioner"]),
        ("Patient.extension.value", ["Quantity"]),
        ("Patient.extension.value.value", ["decimal"]),
        ("Patient.generalPractitioner.first()", ["Reference"]),
        ("Patient.active.exists()", ["boolean"]),
    ],
)
def test_what_is_selected_keeps_its_type(expression: str, types: list[str]) -> None:
    assert [node.type for node in evaluate(expression, PATIENT)] == types


def test_a_number_is_the_literal_that_was_written() -> None:
    (node,) = evaluate("Patient.extension.value.value", PATIENT)
    assert bytes(node.value) == b"1.50"


def test_elements_that_repeat_another_structure_have_its_type() -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "part": [{"name": "b", "part": [{"name": "c", "valueCode": "x"}]}]}],
    }
    (node,) = evaluate("Parameters.parameter.part.part.value", parameters)
    assert node == Node("code", "x")


def test_a_nested_resource_is_one_by_definition_not_by_its_key() -> None:
    scenario = {"resourceType": "ExampleScenario", "instance": [{"resourceType": "Patient"}]}
    assert evaluate("ExampleScenario.instance.resourceType", scenario) == [Node("code", "Patient")]
    assert evaluate("ExampleScenario.instance.active", scenario) == []


def test_a_type_that_r4_does_not_have_is_only_a_resource() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Nonsense", "id": "1"}}]}
    assert [node.type for node in evaluate("Bundle.entry[0].resource", bundle)] == ["Resource"]


def test_as_means_of_type_even_on_a_collection() -> None:
    observation = {
        "resourceType": "Observation",
        "component": [{"valueString": "a"}, {"valueCodeableConcept": {"text": "b"}}, {"valueString": "c"}],
    }
    assert values("(Observation.component.value as string)", observation) == ["a", "c"]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "Patient.",
        "Patient.name[",
        "Patient..name",
        "Patient name",
        "'open",
        "Patient.where()",
        "Patient.name.where(a, b)",
        "Patient.name.repeat(given)",
        "Patient.name.family.matches('(a+)+b')",
        "Patient.name.family.matches(Patient.name.text)",
        "Patient.name.family.replaceMatches('\\\\..*', Patient.name.text)",
        "Patient.name.hasExtension('x')",
        "Patient.name as Nonsense",
        "Patient.ofType('string')",
        "Nonsense.name",
        "%nonsense",
        "$index",
        "1 div 2",
        "Patient.generalPractitioner.resolve().name",
        "Patient.generalPractitioner.resolve().ofType(Practitioner).name",
        "(Patient.generalPractitioner.resolve() as Practitioner).name",
        "(" * 200 + "id" + ")" * 200,
        "id" * 10_000,
        "a" + ".a" * 4_000,
        "\x00",
    ],
)
def test_what_is_beyond_is_refused_when_it_is_compiled(expression: str) -> None:
    with pytest.raises(UnsupportedExpression):
        compiled(expression)


def test_a_condition_over_several_items_has_no_answer() -> None:
    with pytest.raises(EvaluationError):
        evaluate("Patient.telecom.where(%resource.name.given)", PATIENT)
    with pytest.raises(EvaluationError):
        evaluate("Patient.telecom.value < '3'", PATIENT)


@given(st.text(max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        compiled(text)
    except UnsupportedExpression:
        return


def test_what_an_expression_can_select_is_known_without_a_resource() -> None:
    found = outcomes(
        parse("(Observation.value as Quantity) | Observation.code | Observation.nonsense"), "Observation"
    )
    assert [outcome.type for outcome in found] == ["Quantity", "CodeableConcept"]
    assert outcomes(parse("Patient.deceased.exists()"), "Patient") == (Outcome("boolean"),)
    assert outcomes(parse("Patient.name"), "Observation") == ()
    (of_the_resource,) = outcomes(parse("%resource.gender"), "Patient.contact", "Patient")
    assert of_the_resource.type == "code"
