"""What a SearchParameter may declare, and what entries are made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.resource import Key
from fhir_server.search.declared.catalogue import Catalogue, Declared, Fixed, in_force_from, no_longer
from fhir_server.search.declared.declaring import (
    DECLARED_MAX,
    EXPRESSION_CHARACTERS_MAX,
    declared_in,
    require_declarable,
)
from fhir_server.search.declared.parameters import own_parameter, parameters_of, r4_parameters_of
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from tests.r4.packages import EXAMPLES
from tests.server.declaring import a_parameter

NOBODY = Catalogue()


def faults(parameter: dict[str, Any], catalogue: Catalogue = NOBODY) -> list[str]:
    """The elements that are refused."""
    try:
        require_declarable(parameter, "new", catalogue)
    except Unprocessable as refusal:
        return [expression for issue in refusal.issues for expression in issue.expression]
    return []


def entry_by(catalogue: Catalogue, resource: dict[str, Any]) -> Entry:
    entered = in_force_from(Fixed(catalogue))
    try:
        return extract(resource, Key(resource["resourceType"], "x"))
    finally:
        no_longer(entered)


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.maritalStatus",
        "Patient.extension('http://a.example/x').value",
        "Patient.extension.where(url = 'http://a.example/x').value.ofType(CodeableConcept)",
        "Patient.contact.where(relationship.coding.exists(code = 'E')).gender",
        "Patient.identifier[0] | Patient.link.other.identifier",
        "(Patient.deceased as boolean)",
        "maritalStatus",
    ],
)
def test_paths_and_filters_can_be_searched_by(expression: str) -> None:
    assert faults(a_parameter("ours", "token", expression)) == []


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("Patient.(", "not an expression of FHIRPath"),
        ("Patient.descendants()", "`descendants()`"),
        ("Patient.repeat(link)", "`repeat()`"),
        ("Patient.children().where(code.exists())", "`children()`"),
        ("Patient.name.where(%resource.name.count() > 1)", "`>` here"),
        ("Patient.identifier.where(Patient.name.exists())", "`Patient` in a criterion"),
        ("Patient.name.where(family.matches('(a+)+$')).use", "`matches()`"),
        ("Patient.name.where(%resource.active).use", "variable"),
        ("Patient.name.select(use)", "`select()`"),
        ("Patient.name.use & 'x'", "`&` here"),
        ("Patient.name[Patient.name.count()]", "no number"),
        ("Patient." + "name." * 400 + "use", "more than 300 steps"),
        ("'" + "x" * EXPRESSION_CHARACTERS_MAX + "'", "characters"),
        ("Patient" + ".where(contact" * 4 + ".exists()" + ")" * 4, "within each other"),
        ("(" * 200 + "Patient.name" + ")" * 200, "Nested deeper"),
        ("Patient.notthere", "selects nothing in Patient"),
        ("Observation.code", "selects nothing in Patient"),
    ],
)
def test_an_expression_that_is_none_or_may_cost_too_much_is_refused(expression: str, told: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        require_declarable(a_parameter("ours", "token", expression), "new", NOBODY)
    [issue] = refused.value.issues
    assert issue.expression == ("SearchParameter.expression",)
    assert told in issue.diagnostics


@pytest.mark.parametrize(
    ("parameter", "element"),
    [
        (a_parameter("name", "string", "Patient.name"), "code"),
        (a_parameter("_mine", "token", "Patient.maritalStatus"), "code"),
        (a_parameter("a:b", "token", "Patient.maritalStatus"), "code"),
        (a_parameter("a.b", "token", "Patient.maritalStatus"), "code"),
        (a_parameter("", "token", "Patient.maritalStatus"), "code"),
        (a_parameter("ours", "special", "Patient.maritalStatus"), "type"),
        (a_parameter("ours", "date", "Patient.maritalStatus"), "type"),
        (a_parameter("ours", "token", "Patient.name"), "type"),
        (a_parameter("ours", "token", "", "Patient"), "expression"),
        (a_parameter("ours", "token", "AuditEvent.action", "AuditEvent"), "base[0]"),
        (a_parameter("ours", "token", "Patient.language", "Patient", target=["Patient"]), "target"),
        (
            a_parameter("ours", "reference", "Patient.contact.organization", target=["Practitioner"]),
            "target",
        ),
        (a_parameter("ours", "composite", "Patient.contact"), "component"),
        (a_parameter("ours", "token", "Patient.language", component=[{"definition": "x", "expression": "y"}]),
         "component"),
        (a_parameter("ours", "token", "Patient.language", url="http://hl7.org/fhir/SearchParameter/individual-family"),
         "url"),
    ],
)  # fmt: skip
def test_the_element_that_is_wrong_is_named(parameter: dict[str, Any], element: str) -> None:
    assert faults(parameter) == [f"SearchParameter.{element}"]


def test_the_parts_of_a_composite_are_judged_as_well() -> None:
    base = "http://hl7.org/fhir/SearchParameter/"

    def composite(*components: tuple[str, str]) -> dict[str, Any]:
        listed = [{"definition": url, "expression": expression} for url, expression in components]
        return a_parameter("ours", "composite", "Observation.component", "Observation", component=listed)

    code = (f"{base}clinical-code", "code")
    assert faults(composite(code, (f"{base}Observation-value-quantity", "value as Quantity"))) == []
    unknown = composite(code, ("http://a.example/none", "value"))
    assert faults(unknown) == ["SearchParameter.component[1].definition"]
    assert faults(composite(code, (f"{base}clinical-code", "value.("))) == [
        "SearchParameter.component[1].expression"
    ]
    assert faults(composite(code, (f"{base}Observation-value-quantity", "none"))) == [
        "SearchParameter.component"
    ]


def test_a_code_belongs_to_one_on_each_type() -> None:
    other = Declared("other", "http://a.example/1", "ours", "token", ("Patient",), "Patient.language")
    catalogue = Catalogue(1, 1, (other,))
    assert faults(a_parameter("ours", "token", "Patient.maritalStatus"), catalogue) == [
        "SearchParameter.code"
    ]
    elsewhere = a_parameter("ours", "token", "Observation.language", "Observation")
    assert faults(elsewhere, catalogue) == []
    of_all = a_parameter("ours", "token", "Resource.language", "Resource")
    assert faults(of_all, catalogue) == ["SearchParameter.code"]


def test_there_is_a_limit_on_how_many_there_are() -> None:
    declared = tuple(
        Declared(f"p{n}", f"http://a.example/{n}", f"p{n}", "token", ("Patient",), "Patient.language")
        for n in range(DECLARED_MAX)
    )
    one_more = a_parameter("ours", "token", "Patient.language")
    assert faults(one_more, Catalogue(1, 1, declared)) == ["SearchParameter.status"]
    assert faults({**one_more, "status": "retired"}, Catalogue(1, 1, declared)) == []


def test_only_what_is_active_and_not_hl7s_takes_effect() -> None:
    ours = a_parameter("ours", "token", "Patient.language")
    assert declared_in(ours, "1") is not None
    for status in ("draft", "retired", "unknown"):
        assert declared_in({**ours, "status": status}, "1") is None
    theirs = {**ours, "url": "http://hl7.org/fhir/SearchParameter/Patient-language"}
    assert declared_in(theirs, "1") is None


@pytest.mark.skipif(not EXAMPLES.exists(), reason="HL7's package is not here")
def test_all_of_r4s_own_definitions_are_stored_as_they_are_and_a_changed_one_is_refused() -> None:
    stored = 0
    for path in EXAMPLES.glob("SearchParameter-*.json"):
        definition = json.loads(path.read_bytes())
        if "base" in definition:
            assert faults(definition) == [], path.name
            assert declared_in(definition, "x") is None
            stored += 1
            if definition["id"] in ("Patient-birthdate", "clinical-code"):
                changed = {**definition, "expression": "Patient.language"}
                assert faults(changed) == ["SearchParameter.url"]
    assert stored > 1_300


RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "name": [{"family": "Ng", "given": ["Ann"]}],
        "birthDate": "1970-05-01",
        "gender": "female",
        "deceasedBoolean": True,
        "identifier": [{"system": "http://a.example", "value": "1", "type": {"text": "MRN"}}],
        "generalPractitioner": [{"reference": "Practitioner/1"}],
    },
    {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic"}]},
        "subject": {"reference": "Patient/1"},
        "effectivePeriod": {"start": "2024-01-01"},
        "valueQuantity": {"value": 120, "unit": "mm[Hg]", "system": "http://u.example", "code": "mm[Hg]"},
        "component": [{"code": {"coding": [{"code": "x"}]}, "valueCodeableConcept": {"text": "high"}}],
    },
]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: str(resource["resourceType"]))
def test_what_r4_says_under_another_name_makes_the_same_entries(resource: dict[str, Any]) -> None:
    type = resource["resourceType"]
    base = extract(resource, Key(type, "x"))
    known = r4_parameters_of(type)
    declared = [
        Declared(f"p-{one.code}", f"http://a.example/{one.code}", f"own-{one.code}", one.type, (type,),
                 one.expression, one.targets, one.components)
        for one in definitions().search_parameters[type].values()
        if one.expression is not None and known[one.code].indexed and not one.code.startswith("_")
        and one.type != "special"
    ]  # fmt: skip
    assert len(declared) > 10
    entry = entry_by(Catalogue(1, 1, tuple(declared)), resource)
    assert entry.tokens[: len(base.tokens)] == base.tokens
    own = {token.replace(f"{type}|own-", f"{type}|") for token in entry.tokens if f"{type}|own-" in token}
    names = {f"{type}|{one.code.removeprefix('own-')}" for one in declared}
    theirs = {token for token in base.tokens if "|".join(token.split("|")[:2]).partition(":")[0] in names}
    assert own == theirs
    own_ranges = {
        (range.parameter.replace("|own-", "|"), range.low, range.high, range.units)
        for range in entry.ranges
        if "|own-" in range.parameter
    }
    assert own_ranges == {(range.parameter, range.low, range.high, range.units) for range in base.ranges}
    assert (entry.patients, entry.clinical_date) == (base.patients, base.clinical_date)


def test_what_selects_several_where_one_is_wanted_selects_nothing() -> None:
    ours = Declared("1", "http://a.example/1", "ours", "token", ("Patient",),
                    "Patient.name.where(given = 'x' and given).use")  # fmt: skip
    resource = {"resourceType": "Patient", "name": [{"given": ["a", "b"], "use": "usual"}]}
    entry = entry_by(Catalogue(1, 1, (ours,)), resource)
    assert [token for token in entry.tokens if "ours" in token] == []


def test_only_values_that_fit_the_type_are_kept() -> None:
    ours = Declared("1", "http://a.example/1", "ours", "date", ("Patient",), "Patient.extension.value")
    values = [{"url": "x", "valueString": "not a date"}, {"url": "x", "valueDate": "2024-05-01"}]
    entry = entry_by(Catalogue(1, 1, (ours,)), {"resourceType": "Patient", "extension": values})
    assert len([range for range in entry.ranges if range.parameter == "Patient|ours"]) == 1


def test_a_search_knows_what_is_complete_and_no_more() -> None:
    ours = Declared("1", "http://a.example/1", "ours", "token", ("Patient",), "Patient.language")
    for complete in (frozenset[str](), frozenset(("1",))):
        entered = in_force_from(Fixed(Catalogue(1, 1, (ours,), complete)))
        try:
            assert ("ours" in parameters_of("Patient")) is bool(complete)
            assert "ours" not in parameters_of("Observation")
        finally:
            no_longer(entered)
    assert "ours" not in parameters_of("Patient")
    assert own_parameter(ours, "Patient").url == "http://a.example/1"
