"""R4's own value sets, by HL7's expansions and by our reading of what they are composed of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_server.r4.definitions import build, definitions
from fhir_server.r4.definitions.build import r4_vocabulary
from fhir_server.r4.definitions.vocabulary import FILE, ValueSetFacts, pack_vocabulary, vocabulary
from fhir_server.r4.errors import Unsupported
from terminology.codes import ANY, Codes, Selected
from terminology.expansion import expansion
from terminology.r4 import code_system_of_r4, value_set_of_r4
from tests.r4.packages import EXAMPLES, EXPANSIONS
from tests.terminology.resources import Shelf

V3 = "http://terminology.hl7.org/CodeSystem/"

OTHERWISE = {
    # HL7's tool does not follow v3's `child` properties.
    "http://hl7.org/fhir/ValueSet/detectedissue-category",
    "http://terminology.hl7.org/ValueSet/v3-ActPharmacySupplyType",
    # It names a version of its code system that the package has not: here that is refused.
    "http://hl7.org/fhir/ValueSet/task-code",
    # It was made with other versions of the code systems than the package has.
    "http://hl7.org/fhir/ValueSet/diagnostic-service-sections",
    "http://hl7.org/fhir/ValueSet/observation-interpretation",
    "http://hl7.org/fhir/ValueSet/patient-contactrelationship",
    "http://hl7.org/fhir/ValueSet/relatedperson-relationshiptype",
    "http://hl7.org/fhir/ValueSet/security-labels",
    "http://terminology.hl7.org/ValueSet/v2-0487",
    "http://terminology.hl7.org/ValueSet/v2-0916",
    "http://terminology.hl7.org/ValueSet/v3-ActCode",
    # It lists what the code system calls not selectable.
    "http://hl7.org/fhir/ValueSet/referencerange-meaning",
    # It had a code system that the package has not: here that is any code of it.
    "http://hl7.org/fhir/ValueSet/formatcodes",
}
"""Where our reading of a compose differs from HL7's expansion of it."""


def test_there_are_r4s_code_systems_and_the_value_sets_that_are_whole() -> None:
    assert len(vocabulary().code_systems) == 1054
    assert len(vocabulary().value_sets) == 461


def test_codes_nested_in_r4s_systems_are_under_others() -> None:
    status = code_system_of_r4("http://hl7.org/fhir/observation-status", "4.0.1")
    assert status is not None
    assert status.below("amended") == {"amended", "corrected"}
    assert code_system_of_r4("http://hl7.org/fhir/observation-status", "5.0.0") is None
    act = code_system_of_r4(f"{V3}v3-ActCode", None)
    assert act is not None
    assert "AMB" in act.below("_ActEncounterCode")
    assert "_ActEncounterCode" in act.abstract


def test_what_r4_binds_and_what_it_does_not_are_both_there() -> None:
    gender = value_set_of_r4("http://hl7.org/fhir/ValueSet/administrative-gender", "4.0.1")
    assert gender is not None
    assert gender.of["http://hl7.org/fhir/administrative-gender"].listed == {
        "male",
        "female",
        "other",
        "unknown",
    }
    encounter = value_set_of_r4("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", None)
    assert encounter is not None
    assert "AMB" in encounter.of[f"{V3}v3-ActCode"]
    types = value_set_of_r4("http://hl7.org/fhir/ValueSet/mimetypes", None)
    assert types == Codes({"urn:ietf:bcp:13": ANY})
    assert value_set_of_r4("http://hl7.org/fhir/ValueSet/administrative-gender", "5.0.0") is None
    assert value_set_of_r4("http://hl7.org/fhir/ValueSet/observation-codes", None) is None


def test_each_value_set_that_is_bound_has_codes() -> None:
    for url in definitions().value_sets:
        found = value_set_of_r4(url, None)
        assert found is not None
        assert found.of


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="HL7's package is not here")
def test_a_compose_of_r4_has_the_codes_of_hl7s_expansion() -> None:
    composed = {found["url"]: _without_expansion(found) for found in _resources("ValueSet")}
    systems = {found["url"]: found for found in _resources("CodeSystem")}
    shelf = Shelf(composed, systems)
    different = {
        url
        for url, facts in vocabulary().value_sets.items()
        if url in composed and _composed(composed[url], shelf) != _codes(facts)
    }
    assert different == OTHERWISE


@pytest.mark.skipif(not (EXAMPLES.is_dir() and EXPANSIONS.is_dir()), reason="HL7's packages are not here")
def test_the_vocabulary_is_what_the_build_makes_of_hl7s_packages() -> None:
    made = pack_vocabulary(r4_vocabulary(EXAMPLES, EXPANSIONS))
    assert made == build.PATH.with_name(FILE).read_bytes()


def _composed(value_set: dict[str, Any], shelf: Shelf) -> Codes | None:
    try:
        return expansion(value_set, shelf, codes_max=10_000)
    except Unsupported:
        return None


def _codes(facts: ValueSetFacts) -> Codes:
    return Codes({system: Selected(codes) for system, codes in facts.codes.items()})


def _resources(type: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in EXAMPLES.glob(f"{type}-*.json")]


def _without_expansion(value_set: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in value_set.items() if name != "expansion"}
