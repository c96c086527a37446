"""R4's invariants: each one holds of something and is broken by something, where it is judged."""

from __future__ import annotations

from typing import Any, Final

import pytest

from fhir_server.r4.definitions import Invariant, definitions
from fhir_server.r4.fhirpath import compiled
from fhir_server.r4.resource import Literal
from fhir_server.r4.validation import ISSUES_MAX, validate
from fhir_server.r4.validation.invariants import CORRECTED, IN_THE_WALK, meaning
from fhir_server.r4.validation.plan import plans
from tests.r4.instances import minimal
from tests.r4.invariants import ATTEMPTS, DECLARED, attempts, verdict

ALWAYS: Final = {
    "cid-0": "a ChargeItemDefinition has no name",
    "eld-11": "R4 asks whether a list of answers is empty, not whether one of them is yes",
}
"""Rules whose expression, as R4 publishes it, nothing breaks."""


@pytest.mark.parametrize(
    ("path", "invariant"), DECLARED, ids=[f"{invariant.key}-{path}" for path, invariant in DECLARED]
)
def test_each_invariant_is_kept_by_something_and_broken_by_something(path: str, invariant: Invariant) -> None:
    expected = {True} if invariant.key in ALWAYS else {True, False}
    found: set[bool] = set()
    for resource, focus in attempts(path, invariant.expression):
        found.add(verdict(invariant, resource, focus))
        if found == {True, False}:
            break
    assert found == expected, f"in {ATTEMPTS} attempts"


def test_each_rule_is_judged_once() -> None:
    for name, plan in plans().items():
        keys = [(rule.invariant.key, rule.element) for rule in (*plan.rules, *plan.best_practice)]
        assert len(keys) == len(set(keys)), name
        assert not IN_THE_WALK & {key for key, _ in keys}, name


def test_each_rule_is_judged_somewhere() -> None:
    judged = {rule.invariant.key for plan in plans().values() for rule in (*plan.rules, *plan.best_practice)}
    assert judged | IN_THE_WALK == definitions().invariants.keys()


def test_what_is_corrected_is_an_expression_of_r4_and_its_meaning_compiles() -> None:
    published = {one.expression for meanings in definitions().invariants.values() for one in meanings}
    assert published >= CORRECTED.keys()
    for expression in published:
        compiled(meaning(expression))


def resource(type: str, /, **stated: Any) -> dict[str, Any]:
    """A valid resource of the type, with something said."""
    return minimal(type) | stated


QUANTITY = {"value": 1, "code": "mg", "system": "http://unitsofmeasure.org"}
SYSTOLIC = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}
ERROR_VERIFIED = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
            "code": "entered-in-error",
        }
    ]
}
PROBLEM = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item"}
    ]
}
OTHER_CATEGORY = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "encounter-diagnosis"}
    ]
}
ITEM = {"linkId": "1", "type": "string"}
ENABLED = {"question": "2", "operator": "exists", "answerBoolean": True}


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (
            resource("Patient", contact=[{"name": {"text": "Mum"}}, {"gender": "male"}]),
            ["Patient.contact[1] pat-1"],
        ),
        (
            resource("Observation", dataAbsentReason={"text": "x"}, valueString="x"),
            ["Observation obs-6"],
        ),
        (
            resource("Observation", code=SYSTOLIC, valueString="x", component=[{"code": SYSTOLIC}]),
            ["Observation obs-7"],
        ),
        # In a contained resource `%resource` is the contained one.
        (
            resource(
                "Basic",
                subject={"reference": "#o"},
                contained=[
                    resource(
                        "Observation", id="o", code=SYSTOLIC, valueString="x", component=[{"code": SYSTOLIC}]
                    )
                ],
            ),
            ["Basic.contained[0] obs-7"],
        ),
        (
            resource("Observation", valueQuantity={"value": 1, "code": "mg"}),
            ["Observation.value qty-3"],
        ),
        (resource("Patient", telecom=[{"value": "1"}]), ["Patient.telecom[0] cpt-2"]),
        (resource("Patient", photo=[{"data": "aGk="}]), ["Patient.photo[0] att-1"]),
        (
            resource("Encounter", period={"start": "2024-03-02", "end": "2024-03-01"}),
            ["Encounter.period per-1"],
        ),
        (
            resource("Encounter", period={"start": "2024-04", "end": "2024-03-31"}),
            ["Encounter.period per-1"],
        ),
        (
            resource("Organization", address=[{"use": "work"}, {"use": "home"}]),
            ["Organization.address[1] org-2"],
        ),
        (
            resource("Observation", referenceRange=[{"low": QUANTITY, "high": QUANTITY | {"value": 0}}]),
            [],
        ),
        (
            resource(
                "Observation", valueRange={"low": QUANTITY, "high": QUANTITY | {"value": Literal(b"0.5")}}
            ),
            ["Observation.value rng-2"],
        ),
        (
            resource("Questionnaire", item=[ITEM | {"enableWhen": [ENABLED, ENABLED]}]),
            ["Questionnaire.item[0] que-12"],
        ),
        (
            resource("Questionnaire", item=[ITEM | {"type": "group", "item": [ITEM]}]),
            ["Questionnaire que-2"],
        ),
        # What repeats the structure of another element keeps its rules.
        (
            resource("Parameters", parameter=[{"name": "a", "part": [{"name": "b"}]}]),
            ["Parameters.parameter[0].part[0] inv-1"],
        ),
        # ... or its own, where it has some.
        (
            resource("TestScript", test=[{"action": [{"operation": {"encodeRequestUrl": True}}]}]),
            ["TestScript.test[0].action[0].operation tst-8"],
        ),
        (
            resource("Task", authoredOn="2024-03-02", lastModified="2024-03-01"),
            ["Task inv-1"],
        ),
        (
            resource("RiskAssessment", prediction=[{"probabilityRange": {"low": {"value": 1}}}]),
            ["RiskAssessment.prediction[0].probability ras-1"],
        ),
        (
            resource("ValueSet", name="not a name"),
            ["ValueSet vsd-0"],
        ),
        (
            resource(
                "ImplementationGuide",
                definition={
                    "resource": [{"reference": {"reference": "Patient/1"}, "groupingId": "b"}],
                    "grouping": [{"id": "a", "name": "a"}],
                },
            ),
            ["ImplementationGuide.definition ig-1"],
        ),
        (
            resource(
                "Bundle",
                type="collection",
                entry=[{"fullUrl": "http://a.example/1", "resource": minimal("Basic")}] * 2,
            ),
            ["Bundle bdl-7"],
        ),
        (
            resource(
                "Bundle",
                type="collection",
                entry=[{"resource": resource("Patient", telecom=[{"value": "1"}])}],
            ),
            ["Bundle.entry[0].resource.telecom[0] cpt-2"],
        ),
    ],
)
def test_a_broken_rule_names_its_element_and_its_key(broken: dict[str, Any], expected: list[str]) -> None:
    assert [
        f"{issue.expression[0]} {issue.diagnostics.rpartition('(')[2].removesuffix(')')}"
        for issue in validate(broken)
    ] == expected


@pytest.mark.parametrize(
    "kept",
    [
        resource("Encounter", period={"start": "2024-03", "end": "2024-03-15"}),
        resource("Encounter", period={"start": "2024-03-15", "end": "2024-03-14T23:30:00Z"}),
        resource("Encounter", period={"end": "2024-03-15"}),
        resource(
            "Encounter",
            period={
                "start": "2024-03-15",
                "_end": {"extension": [{"url": "http://a.example/x", "valueCode": "unknown"}]},
            },
        ),
        resource("Observation", valueRange={"low": QUANTITY, "high": QUANTITY | {"code": "g", "value": 0}}),
        resource(
            "Bundle",
            type="transaction",
            entry=[{"resource": minimal("Basic"), "request": {"method": "POST", "url": "Basic"}}],
        ),
        resource("RiskAssessment", prediction=[{"outcome": {"text": "x"}}]),
        resource("ValueSet"),
        resource(
            "CareTeam",
            participant=[
                {"onBehalfOf": {"reference": "Organization/1"}, "member": {"reference": "Practitioner/1"}}
            ],
        ),
        resource("Observation", effectiveTiming={"repeat": {"when": ["MORN", "NIGHT"], "offset": 1}}),
        resource("Questionnaire", item=[ITEM | {"enableWhen": [ENABLED]}]),
    ],
)
def test_what_keeps_a_rule_is_let_through(kept: dict[str, Any]) -> None:
    assert validate(kept) == ()


def test_some_rules_are_warnings() -> None:
    (issue,) = validate(resource("ValueSet", name="not a name"))
    assert (issue.severity, issue.code, issue.expression) == ("warning", "invariant", ("ValueSet",))


def test_best_practice_is_judged_when_asked_for() -> None:
    patient = resource(
        "Patient",
        generalPractitioner=[{"reference": "#p"}],
        contained=[{"resourceType": "Practitioner", "id": "p"}],
    )
    assert validate(patient) == ()
    (issue,) = validate(patient, best_practice=True)
    assert (issue.severity, issue.expression) == ("warning", ("Patient",))
    assert issue.diagnostics.endswith("(dom-6)")


@pytest.mark.parametrize(
    ("stated", "keys"),
    [
        ({"category": [PROBLEM]}, ["con-3", "dom-6"]),
        ({"category": [OTHER_CATEGORY]}, ["dom-6"]),
        ({"category": [PROBLEM], "verificationStatus": ERROR_VERIFIED}, ["dom-6"]),
    ],
)
def test_a_problem_should_have_a_clinical_status(stated: dict[str, Any], keys: list[str]) -> None:
    issues = validate(resource("Condition", **stated), best_practice=True)
    assert sorted(issue.diagnostics.rpartition("(")[2][:-1] for issue in issues) == keys


def test_many_warnings_hide_no_error() -> None:
    entries = [{"resource": resource("ValueSet", name="not a name")} for _ in range(ISSUES_MAX + 5)]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [*entries, {"resource": {"resourceType": "Patient", "gender": "x"}}],
    }
    issues = validate(bundle)
    assert [issue.severity for issue in issues] == ["warning"] * (ISSUES_MAX + 1) + ["error"]


def test_a_large_bundle_is_judged_in_time_in_proportion_to_its_size() -> None:
    entries = [
        {"fullUrl": f"http://a.example/{number}", "resource": minimal("Basic")} for number in range(20_000)
    ]
    assert validate({"resourceType": "Bundle", "type": "collection", "entry": entries}) == ()
