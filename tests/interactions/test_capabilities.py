"""What the server says of itself is valid, and is what is registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast, get_args

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.capabilities import SEARCHABLE
from fhir_server.api.registration import registered
from fhir_server.interactions.capabilities import capabilities, capabilities_from
from fhir_server.interactions.registered import Level, Registered, RegisteredOperation
from fhir_server.operations import OPERATIONS
from fhir_server.operations.registered import OWN_DEFINITIONS
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError, Invalid
from fhir_server.r4.interaction import Capabilities, CapabilityMode, Search
from fhir_server.r4.resource import to_text
from fhir_server.r4.validation import validate
from fhir_server.search.asking.query import SearchLimits, parse
from fhir_server.search.values.indexed_words import Indexed
from fhir_server.settings import Settings

BASE: Final = "http://fhir.example/fhir"
STARTED: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TYPES: Final = sorted(definitions().resource_types)
MODES: Final = get_args(CapabilityMode)

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "composite": ("http://loinc.org|8480-6$120", "a$2024-02", "1$2$3"),
    "date": ("2024-02",),
    "number": ("1",),
    "quantity": ("5.4|http://unitsofmeasure.org|mg",),
    "reference": ("Patient/1",),
    "special": ("1|2",),
    "string": ("a",),
    "token": ("a", "true"),
    "uri": ("http://example.org/a",),
}
"""Values for each type of parameter that a search can have; one of them is good for each parameter."""


@dataclass(frozen=True, slots=True)
class AnOperation:
    """One that a server may have."""

    name: str
    levels: tuple[Level, ...] = ("type", "instance")
    definition: str = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
    affects_state: bool = False
    only: str | None = None


ALL_WORDS = Indexed("content", "content")


def registered_here(*operations: RegisteredOperation) -> Registered:
    return registered(Settings(full_text="content"), operations)


def statement(mode: CapabilityMode = "full", told: Registered | None = None) -> dict[str, Any]:
    return dict(capabilities(Capabilities(mode), told or registered_here(), BASE, STARTED))


def resources_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {resource["type"]: resource for resource in told["rest"][0]["resource"]}


def answers(resource_type: str, name: str, *values: str) -> bool:
    """Is there a value that the search does not refuse?"""
    return any(_answers(resource_type, name, value) for value in values)


def _answers(resource_type: str, name: str, value: str) -> bool:
    try:
        parse(
            Search(resource_type, ((name, value),)),
            limits=SearchLimits(50, 1000),
            base_url=BASE,
            indexed=ALL_WORDS,
        )
    except FhirError:
        return False
    return True


@pytest.mark.parametrize("mode", MODES)
def test_what_is_said_is_valid_r4(mode: CapabilityMode) -> None:
    for told in (statement(mode), statement(mode, registered(Settings()))):
        assert [issue for issue in validate(told) if issue.severity != "information"] == []


@pytest.mark.parametrize("mode", MODES)
def test_a_second_reader_finds_it_valid(mode: CapabilityMode) -> None:
    told = statement(mode, registered(Settings()))
    get_fhir_model_class(told["resourceType"]).model_validate_json(to_text(told))


def test_each_type_is_there_once() -> None:
    assert [resource["type"] for resource in statement()["rest"][0]["resource"]] == TYPES


def test_the_interactions_of_a_type_are_those_of_the_routes() -> None:
    told = registered_here()
    found = resources_of(statement(told=told))
    codes = {
        name: tuple(each["code"] for each in resource["interaction"]) for name, resource in found.items()
    }
    assert codes.pop("AuditEvent") == ("read", "vread", "history-instance", "history-type", "search-type")
    assert set(codes.values()) == {told.types}
    assert [each["code"] for each in statement()["rest"][0]["interaction"]] == list(told.system)


def test_what_is_not_registered_is_not_said() -> None:
    told = replace(
        registered_here(),
        types=("read", "search-type"),
        system=("batch",),
        conditional=frozenset(),
        formats=("json",),
        patch_formats=("application/json-patch+json",),
    )
    made = statement(told=told)
    patient = resources_of(made)["Patient"]
    assert [each["code"] for each in patient["interaction"]] == ["read", "search-type"]
    assert (patient["versioning"], patient["readHistory"], patient["updateCreate"]) == (
        "versioned",
        False,
        False,
    )
    assert (patient["conditionalCreate"], patient["conditionalUpdate"]) == (False, False)
    assert (patient["conditionalRead"], patient["conditionalDelete"]) == ("not-supported", "not-supported")
    assert (made["format"], made["patchFormat"]) == (["json"], ["application/json-patch+json"])
    assert made["rest"][0]["interaction"] == [{"code": "batch"}]


def test_conditions_are_said_where_they_are_kept() -> None:
    found = resources_of(statement())
    conditional = ("conditionalCreate", "conditionalUpdate", "conditionalRead", "conditionalDelete")
    assert [found["Patient"][name] for name in conditional] == [True, True, "full-support", "single"]
    assert [found["AuditEvent"][name] for name in conditional] == [
        False,
        False,
        "full-support",
        "not-supported",
    ]


def test_a_delete_of_several_is_said_when_it_is_allowed() -> None:
    told = registered(Settings(conditional_delete_max=20))
    assert resources_of(statement(told=told))["Patient"]["conditionalDelete"] == "multiple"


def test_scripts_of_other_origins_are_said_when_they_may_call() -> None:
    ours = Settings()
    elsewhere = Settings(oidc_issuer="https://login.example.org", oidc_audience="https://fhir.example.org")
    named = elsewhere.model_copy(update={"cors_origins": ("https://app.example.org",)})
    for told, may in ((ours, True), (elsewhere, False), (named, True)):
        assert statement(told=registered(told))["rest"][0]["security"]["cors"] is may


def test_operations_are_said_at_their_level() -> None:
    of_system, of_type = AnOperation("of-system", ("system",)), AnOperation("of-type", ("type",))
    writing = AnOperation("writing", ("instance",), affects_state=True)
    told = statement(told=registered_here(of_system, of_type, writing))
    found = resources_of(told)
    assert told["rest"][0]["operation"] == [{"name": "of-system", "definition": of_system.definition}]
    assert [each["name"] for each in found["Patient"]["operation"]] == ["of-type", "writing"]
    assert [each["name"] for each in found["AuditEvent"]["operation"]] == ["of-type"]
    assert "operation" not in resources_of(statement())["Patient"]
    assert "operation" not in statement()["rest"][0]


def test_the_operations_are_those_of_the_table() -> None:
    told = statement(told=registered(Settings()))
    said = {
        operation["name"]: operation["definition"]
        for place in (told["rest"][0], *told["rest"][0]["resource"])
        for operation in place["operation"]
    }
    assert said == {name: operation.definition for name, operation in OPERATIONS.items()}
    known = {operation.url: operation.code for operation in definitions().operations}
    r4s = {
        name: definition for name, definition in said.items() if not definition.startswith(OWN_DEFINITIONS)
    }
    assert {known[definition]: definition for definition in r4s.values()} == r4s


@pytest.mark.parametrize("resource_type", TYPES)
def test_each_search_parameter_is_said_when_it_is_answered(resource_type: str) -> None:
    told = resources_of(statement())[resource_type]
    said = {each["name"] for each in told["searchParam"]}
    declared = definitions().search_parameters[resource_type]
    answered = {code for code, each in declared.items() if answers(resource_type, code, *VALUES[each.type])}
    if resource_type == "AuditEvent":
        # The ledger has fewer of them than the search understands: tests/server/test_audit.py.
        answered &= SEARCHABLE
    assert said == answered
    for each in told["searchParam"]:
        assert (each["definition"], each["type"]) == (declared[each["name"]].url, declared[each["name"]].type)


@pytest.mark.parametrize("resource_type", TYPES)
def test_each_include_that_is_said_is_answered(resource_type: str) -> None:
    told = resources_of(statement())[resource_type]
    assert all(answers(resource_type, "_include", include) for include in told.get("searchInclude", ()))
    assert all(answers(resource_type, "_revinclude", include) for include in told["searchRevInclude"])


def test_each_include_that_leads_somewhere_is_said() -> None:
    told = resources_of(statement())
    assert {"*", "Observation:*", "Observation:subject"} <= set(told["Observation"]["searchInclude"])
    assert {"*", "Observation:subject", "Provenance:target"} <= set(told["Patient"]["searchRevInclude"])
    assert "Encounter:subject" not in told["Observation"]["searchRevInclude"]
    assert "QuestionnaireResponse:questionnaire" in told["QuestionnaireResponse"]["searchInclude"]
    assert "QuestionnaireResponse:questionnaire" in told["Questionnaire"]["searchRevInclude"]
    assert "AuditEvent:entity" in told["Patient"]["searchRevInclude"]
    assert "AuditEvent:agent-name" not in told["Practitioner"]["searchRevInclude"]


def test_the_search_parameters_of_all_types_are_those_of_each() -> None:
    common = {each["name"] for each in statement()["rest"][0]["searchParam"]}
    assert {"_id", "_lastUpdated"} <= common
    assert all(name.startswith("_") for name in common)
    assert all(
        # Some types have no narrative, and are not found by one.
        common <= {each["name"] for each in resource["searchParam"]} | {"_text"}
        for name, resource in resources_of(statement()).items()
        if name != "AuditEvent"
    )


def test_the_normative_portion_leaves_out_what_r4_may_change() -> None:
    full, normative = statement(), statement("normative")
    assert "security" not in normative["rest"][0]
    kept = resources_of(normative)["Patient"].keys()
    assert kept == {"type", "profile", "interaction", "searchParam"}
    assert resources_of(full)["Patient"].keys() > kept


def test_terminology_is_what_there_is() -> None:
    none = statement("terminology")
    assert none["resourceType"] == "TerminologyCapabilities"
    assert none["description"] == "No terminology operations are served."
    assert not none.keys() & {"codeSystem", "expansion", "validateCode", "translation", "closure"}
    assert "description" not in statement("terminology", registered_here(AnOperation("expand")))


def test_what_is_not_true_is_not_claimed() -> None:
    told = statement()
    assert not told.keys() & {"instantiates", "imports", "implementationGuide", "messaging", "document"}
    assert "extension" not in told["rest"][0]["security"]


def test_the_compartments_that_are_searched_are_those_of_r4() -> None:
    start = "http://hl7.org/fhir/CompartmentDefinition/"
    names = ("device", "encounter", "patient", "practitioner", "relatedPerson")
    assert statement()["rest"][0]["compartment"] == [start + name for name in names]


def test_a_model_of_another_release_reads_the_whole_statement() -> None:
    told = statement()
    read = cast("Any", CapabilityStatement.model_validate_json(to_text(told)))
    assert len(read.rest[0].resource) == len(TYPES) == 146


@pytest.mark.parametrize(
    "parameters",
    [
        (("mode", "everything"),),
        (("mode", ""),),
        (("mode", "full"), ("mode", "full")),
        (("name", "Patient"),),
        (("_summary", "count"),),
        (("_elements", "nothing"),),
        (("_elements", "fhirVersion"), ("mode", "terminology")),
    ],
)
def test_what_cannot_be_asked_is_refused(parameters: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(Invalid):
        capabilities_from(parameters)


def test_a_lenient_client_is_answered_all_the_same() -> None:
    assert capabilities_from((("name", "Patient"),), lenient=True) == Capabilities()


@settings(max_examples=50)
@given(
    st.sampled_from(MODES),
    st.sampled_from([(), (("_summary", "true"),), (("_summary", "data"),), (("_elements", "software"),)]),
)
def test_what_is_left_of_it_is_valid_and_says_that_it_was_cut(
    mode: CapabilityMode, parameters: tuple[tuple[str, str], ...]
) -> None:
    asked = capabilities_from((("mode", mode), *parameters))
    told = capabilities(asked, registered_here(), BASE, STARTED)
    assert told["resourceType"] == statement(mode)["resourceType"]
    assert ("SUBSETTED" in str(told.get("meta"))) is bool(parameters)
