"""The compiled facts against the counts of their source, and against themselves."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import msgspec
import pytest

from fhir_server.r4.definitions import definitions
from fhir_server.r4.definitions.build import PATH, compile_definitions, pack
from fhir_server.r4.definitions.facts import ElementFacts, TypeFacts
from tests.r4.packages import EXAMPLES, EXPANSIONS


def test_the_counts_are_those_of_r4_4_0_1() -> None:
    assert definitions().counts == {
        "resource types": 146,
        "datatypes": 59,
        "SearchParameter": 1396,
        "SearchParameter without expression": 15,
        "SearchParameter of type composite": 46,
        "SearchParameter of type date": 113,
        "SearchParameter of type number": 7,
        "SearchParameter of type quantity": 27,
        "SearchParameter of type reference": 474,
        "SearchParameter of type special": 1,
        "SearchParameter of type string": 142,
        "SearchParameter of type token": 541,
        "SearchParameter of type uri": 45,
        "SearchParameter of other versions": 4,
        "CompartmentDefinition": 5,
        "OperationDefinition": 47,
        # The forty-seventh, `OperationDefinition/example`, is Acme's, not R4's.
        "OperationDefinition of R4": 46,
        "invariant keys": 238,
        "ValueSet": 1316,
        "CodeSystem": 1062,
        "ValueSet expanded": 553,
        "ValueSet bound as required": 224,
        "ValueSet bound as required, expanded": 223,
    }


def test_what_was_counted_is_what_is_there() -> None:
    facts = definitions()
    assert len(facts.resource_types) == 146
    assert len(facts.datatypes) == 59
    assert len(facts.operations) == 46
    assert len(facts.invariants) == 238
    assert len(facts.value_sets) == 223
    urls = {sp.url for by_code in facts.search_parameters.values() for sp in by_code.values()}
    # Ten of the 1,396 are experimental ones on extensions, without a base: of no type.
    assert len(urls) == 1396 - 10
    assert set(facts.compartments) == {"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}
    assert len(facts.compartments["Patient"]) == 66


def test_each_resource_type_has_its_structure_and_the_parameters_of_resource() -> None:
    facts = definitions()
    for name in facts.resource_types:
        assert facts.types[name].kind == "resource"
        assert {"_id", "_lastUpdated", "_tag"} <= set(facts.search_parameters[name])
    assert "_text" in facts.search_parameters["Patient"]
    assert "_text" not in facts.search_parameters["Bundle"]


def test_a_parameter_shared_by_many_types_is_cut_to_the_type_that_has_it() -> None:
    parameters = definitions().search_parameters
    assert parameters["Observation"]["code"].expression == "Observation.code"
    assert parameters["Observation"]["_id"].expression == "Resource.id"
    assert parameters["InsurancePlan"]["name"].expression == "name | alias"
    assert parameters["Patient"]["_content"].expression is None


def test_a_composite_names_its_components() -> None:
    parameter = definitions().search_parameters["Observation"]["code-value-quantity"]
    assert [component.expression for component in parameter.components] == ["code", "value.as(Quantity)"]


def test_elements_carry_what_validation_and_search_need() -> None:
    types = definitions().types
    subject = types["Observation"].elements["subject"]
    assert subject.types[0].targets == ("Patient", "Group", "Device", "Location")
    status = types["Observation"].elements["status"]
    assert (status.min, status.max, status.is_modifier, status.is_summary) == (1, 1, True, True)
    assert status.binding is not None
    assert status.binding.strength == "required"
    value = types["Observation"].elements["value"]
    assert (value.path, value.is_choice) == ("Observation.value[x]", True)
    assert value.json_name("Quantity") == "valueQuantity"
    assert types["Observation"].elements["component"].structure == "Observation.component"
    assert types["Observation.component"].elements["referenceRange"].structure == "Observation.referenceRange"
    assert types["Patient"].elements["id"].types[0].code == "id"
    assert types["Patient.contact"].invariants == ()
    assert types["Patient"].elements["contact"].invariants == ("pat-1",)


def test_each_element_leads_to_a_type_that_is_there() -> None:
    types = definitions().types
    for facts in types.values():
        for element in facts.elements.values():
            assert _leads_somewhere(element, types), element.path


def test_a_key_used_by_three_types_keeps_its_three_meanings() -> None:
    paths = [meaning.paths for meaning in definitions().invariants["inv-1"]]
    assert paths == [("Parameters.parameter",), ("Task",), ("TestReport.setup.action",)]
    assert definitions().invariants["ele-1"][0].paths == ("Element",)


def test_value_sets_with_a_grammar_have_a_system_without_codes() -> None:
    value_sets = definitions().value_sets
    gender = value_sets["http://hl7.org/fhir/ValueSet/administrative-gender"]
    assert gender == {"http://hl7.org/fhir/administrative-gender": {"male", "female", "other", "unknown"}}
    assert value_sets["http://hl7.org/fhir/ValueSet/mimetypes"] == {"urn:ietf:bcp:13": frozenset()}
    assert value_sets["http://hl7.org/fhir/ValueSet/ucum-units"] == {"http://unitsofmeasure.org": frozenset()}
    without_codes = [url for url, systems in value_sets.items() if not all(systems.values())]
    assert len(without_codes) == 2


@pytest.mark.skipif(not (EXAMPLES.is_dir() and EXPANSIONS.is_dir()), reason="HL7's packages are not here")
def test_the_committed_file_is_what_the_script_compiles() -> None:
    compiled = pack(compile_definitions(EXAMPLES, EXPANSIONS))
    # Compared unpacked: another zlib may compress the same bytes otherwise.
    assert gzip.decompress(compiled) == gzip.decompress(PATH.read_bytes())
    assert msgspec.msgpack.decode(gzip.decompress(compiled))["counts"] == definitions().counts


def _leads_somewhere(element: ElementFacts, types: Mapping[str, TypeFacts]) -> bool:
    if element.structure is not None:
        return element.structure in types
    return bool(element.types) and all(declared.code in types for declared in element.types)
