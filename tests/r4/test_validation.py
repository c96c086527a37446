"""The rules of a resource's structure, one by one: https://hl7.org/fhir/R4/json.html."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from fhir_server.r4.resource import from_text
from fhir_server.r4.validation import validate
from tests.r4.instances import minimal


def reported(resource: dict[str, Any]) -> list[str]:
    """The expressions of what is wrong with it, written and read as a client's JSON is."""
    text = json.dumps(resource).encode()
    return [expression for issue in validate(from_text(text)) for expression in issue.expression]


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def test_a_valid_resource_breaks_no_rule() -> None:
    assert reported(patient(name=[{"family": "Muster", "given": ["A", "B"]}], birthDate="1970-01-01")) == []


def test_an_expression_leads_through_arrays_to_the_element() -> None:
    telecom = [{"system": "phone", "value": "1"}, {"system": "pigeon", "value": "2"}]
    issues = validate(patient(contact=[{"telecom": telecom}]))
    assert [issue.expression for issue in issues] == [("Patient.contact[0].telecom[1].system",)]
    assert issues[0].code == "code-invalid"
    assert "pigeon" not in issues[0].diagnostics


@pytest.mark.parametrize(
    ("resource", "expression"),
    [
        ({}, "Resource.resourceType"),
        ({"resourceType": "Foo"}, "Foo.resourceType"),
        ({"resourceType": "HumanName"}, "HumanName.resourceType"),
        ({"resourceType": "DomainResource"}, "DomainResource.resourceType"),
        ({"resourceType": "Patient.contact"}, "Resource.resourceType"),
        ({"resourceType": 1}, "Resource.resourceType"),
        # R4B's own.
        ({"resourceType": "SubscriptionTopic"}, "SubscriptionTopic.resourceType"),
    ],
)
def test_an_unknown_resource_type_is_refused(resource: dict[str, Any], expression: str) -> None:
    assert reported(resource) == [expression]


def test_another_type_than_expected_is_refused() -> None:
    issues = validate(patient(), expected_type="Observation")
    assert [issue.expression for issue in issues] == [("resourceType",)]


def test_a_name_that_no_element_could_have_is_not_repeated() -> None:
    issues = validate(patient(**{"John Doe, born 1970": 1}))
    assert [issue.expression for issue in issues] == [("Patient",)]
    assert "John" not in issues[0].diagnostics


def test_comments_of_dstu2_are_refused() -> None:
    assert reported(patient(fhir_comments=["x"])) == ["Patient.fhir_comments"]


def test_a_choice_written_without_its_type_is_explained() -> None:
    issues = validate(patient(deceased=True))
    assert issues[0].expression == ("Patient.deceased",)
    assert "deceasedBoolean" in issues[0].diagnostics


def test_a_choice_in_a_type_it_does_not_have_is_named() -> None:
    issues = validate(patient(deceasedString="x"))
    assert issues[0].expression == ("Patient.deceasedString",)
    assert "Patient.deceased[x]" in issues[0].diagnostics


class TestPrimitivesWithExtensions:
    """https://hl7.org/fhir/R4/json.html#primitive."""

    absent: ClassVar[dict[str, Any]] = {
        "extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]
    }

    def test_an_extension_can_stand_instead_of_a_required_value(self) -> None:
        observation = minimal("Observation")
        del observation["status"]
        assert reported(observation | {"_status": self.absent}) == []

    def test_an_id_alone_is_not_a_value(self) -> None:
        assert reported(patient(_birthDate={"id": "x"})) == ["Patient.birthDate"]
        assert reported(patient(birthDate="1970", _birthDate={"id": "x"})) == []

    def test_null_holds_a_place_for_an_extension(self) -> None:
        name = {"given": ["A", None], "_given": [None, self.absent]}
        assert reported(patient(name=[name])) == []

    def test_null_without_an_extension_is_refused(self) -> None:
        assert reported(patient(name=[{"given": ["A", None]}])) == ["Patient.name[0].given[1]"]
        name = {"given": ["A", None], "_given": [self.absent, None]}
        assert reported(patient(name=[name])) == ["Patient.name[0].given[1]"]

    def test_values_and_extensions_are_aligned(self) -> None:
        name = {"given": ["A", "B"], "_given": [self.absent]}
        assert reported(patient(name=[name])) == ["Patient.name[0].given"]

    def test_extensions_without_any_value_fill_each_place(self) -> None:
        assert reported(patient(name=[{"_given": [self.absent]}])) == []
        assert reported(patient(name=[{"_given": [None, self.absent]}])) == ["Patient.name[0].given[0]"]

    def test_what_is_inside_them_is_judged_too(self) -> None:
        extension = [{"url": "http://example.org/x", "valueDate": "1970-13"}]
        assert reported(patient(_birthDate={"extension": extension})) == [
            "Patient.birthDate.extension[0].value"
        ]
        assert reported(patient(_birthDate={"value": "x", **self.absent})) == ["Patient.birthDate.value"]

    @pytest.mark.parametrize("beside", ["x", [], [{}], {}, None, 1])
    def test_they_are_an_object(self, beside: Any) -> None:
        assert reported(patient(birthDate="1970", _birthDate=beside)) == ["Patient.birthDate"]

    def test_ids_and_urls_have_none(self) -> None:
        assert reported(patient(_id=self.absent)) == ["Patient._id"]
        extension = [{"url": "http://example.org/x", "_url": self.absent, "valueString": "x"}]
        assert reported(patient(extension=extension)) == ["Patient.extension[0]._url"]

    def test_a_choice_may_have_them_in_its_one_type(self) -> None:
        assert reported(patient(deceasedBoolean=True, _deceasedBoolean=self.absent)) == []
        assert reported(patient(deceasedBoolean=True, _deceasedDateTime=self.absent)) == ["Patient.deceased"]


class TestExtensions:
    """ext-1: https://hl7.org/fhir/R4/extensibility.html#Extension."""

    def test_a_value_or_extensions_but_not_both_and_not_none(self) -> None:
        inner = {"url": "x", "valueString": "x"}
        assert reported(patient(extension=[{"url": "http://e", "valueString": "x"}])) == []
        assert reported(patient(extension=[{"url": "http://e", "extension": [inner]}])) == []
        both = {"url": "http://e", "valueString": "x", "extension": [inner]}
        assert reported(patient(extension=[both])) == ["Patient.extension[0]"]
        assert reported(patient(extension=[{"url": "http://e"}])) == ["Patient.extension[0]"]

    def test_the_url_is_required(self) -> None:
        assert reported(patient(extension=[{"valueString": "x"}])) == ["Patient.extension[0].url"]

    def test_modifier_extensions_obey_the_same_rules(self) -> None:
        assert reported(patient(modifierExtension=[{"url": "http://e"}])) == ["Patient.modifierExtension[0]"]


class TestReferences:
    """https://hl7.org/fhir/R4/references.html."""

    @pytest.mark.parametrize(
        "reference",
        [
            "Organization/1",
            "Organization/1/_history/2",
            "http://example.org/fhir/Organization/1",
            "https://example.org/anything",
            "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            "urn:oid:1.2.3",
            "Organization?identifier=http://example.org|1",
        ],
    )
    def test_these_may_be_organizations(self, reference: str) -> None:
        assert reported(patient(managingOrganization={"reference": reference})) == []

    @pytest.mark.parametrize(
        "reference",
        [
            "Patient/1",
            "Patient?identifier=1",
            "https://example.org/fhir/Patient/1/_history/1",
            "organization/1",
            "Organisation/1",
            "Organization",
            "Organization/",
            "Organization/a b",
            "Organization/1/name",
            "Organization/" + "x" * 65,
            "/Organization/1",
            "example",
            "#nothing",
        ],
    )
    def test_these_may_not(self, reference: str) -> None:
        where = "Patient.managingOrganization.reference"
        assert reported(patient(managingOrganization={"reference": reference})) == [where]

    def test_the_type_must_fit_what_is_referred_to(self) -> None:
        reference = {"reference": "Organization/1", "type": "Patient"}
        assert reported(patient(managingOrganization=reference)) == ["Patient.managingOrganization.type"]
        either = {"reference": "Practitioner/1", "type": "Organization"}
        assert reported(patient(generalPractitioner=[either])) == ["Patient.generalPractitioner[0].type"]
        canonical = {"type": "http://hl7.org/fhir/StructureDefinition/Organization", "display": "x"}
        assert reported(patient(managingOrganization=canonical)) == []

    def test_an_identifier_or_display_alone_is_enough(self) -> None:
        assert reported(patient(managingOrganization={"display": "x"})) == []
        assert reported(patient(managingOrganization={"identifier": {"value": "x"}})) == []


class TestContained:
    """dom-2 to dom-5: https://hl7.org/fhir/R4/references.html#contained."""

    organization: ClassVar[dict[str, Any]] = {"resourceType": "Organization", "id": "o", "name": "x"}

    def test_what_is_referred_to_may_be_contained(self) -> None:
        assert (
            reported(patient(contained=[self.organization], managingOrganization={"reference": "#o"})) == []
        )

    def test_what_nothing_refers_to_may_not(self) -> None:
        assert reported(patient(contained=[self.organization])) == ["Patient.contained[0]"]

    def test_what_refers_to_its_container_may(self) -> None:
        flag = minimal("Flag") | {"id": "f", "subject": {"reference": "#"}}
        assert reported(patient(contained=[flag])) == []

    def test_contained_resources_may_refer_to_each_other(self) -> None:
        part = self.organization | {"partOf": {"reference": "#p"}}
        parent = self.organization | {"id": "p"}
        resource = patient(contained=[part, parent], managingOrganization={"reference": "#o"})
        assert reported(resource) == []

    def test_the_type_behind_the_id_is_judged(self) -> None:
        resource = patient(
            contained=[minimal("Basic") | {"id": "o"}], managingOrganization={"reference": "#o"}
        )
        assert reported(resource) == ["Patient.managingOrganization.reference"]

    def test_two_may_not_have_one_id(self) -> None:
        resource = patient(contained=[self.organization] * 2, managingOrganization={"reference": "#o"})
        assert reported(resource) == ["Patient.contained[1].id"]

    def test_no_versions_labels_or_contained_resources_of_their_own(self) -> None:
        meta = {"versionId": "1", "lastUpdated": "2024-01-01T00:00:00Z", "security": [{"code": "R"}]}
        inner = self.organization | {"meta": meta, "contained": [minimal("Basic") | {"id": "b"}]}
        resource = patient(contained=[inner], managingOrganization={"reference": "#o"})
        assert reported(resource) == [
            "Patient.contained[0].contained",
            "Patient.contained[0].meta.versionId",
            "Patient.contained[0].meta.lastUpdated",
            "Patient.contained[0].meta.security",
            "Patient.contained[0].contained[0]",
        ]

    def test_they_are_judged_by_their_own_type(self) -> None:
        wrong = self.organization | {"birthDate": "1970"}
        resource = patient(contained=[wrong], managingOrganization={"reference": "#o"})
        assert reported(resource) == ["Patient.contained[0].birthDate"]

    def test_a_canonical_may_lead_to_a_contained_resource(self) -> None:
        value_set = minimal("ValueSet") | {"id": "v"}
        item = {"linkId": "1", "type": "choice", "answerValueSet": "#v"}
        questionnaire = minimal("Questionnaire") | {"contained": [value_set], "item": [item]}
        assert reported(questionnaire) == []
        item["answerValueSet"] = "#w"
        assert reported(questionnaire) == [
            "Questionnaire.item[0].answerValueSet",
            "Questionnaire.contained[0]",
        ]


class TestNestedResources:
    """A nested resource is one by definition, not by its key."""

    def test_an_entry_is_judged_by_its_own_type_and_within_itself(self) -> None:
        contained = patient(contained=[TestContained.organization], managingOrganization={"reference": "#o"})
        wrong = patient(managingOrganization={"reference": "#o"})
        entries = [{"resource": contained}, {"resource": wrong}, {"resource": {"resourceType": "Nobody"}}]
        assert reported({"resourceType": "Bundle", "type": "collection", "entry": entries}) == [
            "Bundle.entry[1].resource.managingOrganization.reference",
            "Bundle.entry[2].resource.resourceType",
        ]

    def test_so_is_a_parameter(self) -> None:
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": patient(x=1)}]}
        assert reported(parameters) == ["Parameters.parameter[0].resource.x"]

    def test_an_example_scenario_names_a_resource_type_in_an_element(self) -> None:
        instance = {"resourceId": "x", "resourceType": "Patient", "name": "x"}
        scenario = minimal("ExampleScenario") | {"instance": [instance]}
        assert reported(scenario) == []
        instance["resourceType"] = "Nobody"
        assert reported(scenario) == ["ExampleScenario.instance[0].resourceType"]

    def test_other_elements_have_no_resource_type(self) -> None:
        assert reported(patient(name=[{"resourceType": "HumanName"}])) == ["Patient.name[0].resourceType"]


class TestBindings:
    """https://hl7.org/fhir/R4/terminologies.html#required."""

    def test_one_coding_of_a_concept_must_be_in_the_value_set(self) -> None:
        active = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        condition = minimal("Condition")
        for codings, expected in (
            ([{"system": active, "code": "active"}], []),
            ([{"system": "http://example.org", "code": "x"}, {"system": active, "code": "active"}], []),
            ([{"code": "active"}], ["Condition.clinicalStatus"]),
            ([{"system": active, "code": "busy"}], ["Condition.clinicalStatus"]),
        ):
            assert reported(condition | {"clinicalStatus": {"coding": codings}}) == expected
        assert reported(condition | {"clinicalStatus": {"text": "active"}}) == ["Condition.clinicalStatus"]

    def test_a_concept_of_nothing_but_an_extension_says_why_there_is_no_code(self) -> None:
        extension = [{"url": "http://example.org/why", "valueCode": "unknown"}]
        assert reported(minimal("Condition") | {"clinicalStatus": {"extension": extension}}) == []

    @pytest.mark.parametrize("content_type", ["text/plain", "application/fhir+json; fhirVersion=4.0", "xml"])
    def test_a_media_type_is_judged_by_its_grammar(self, content_type: str) -> None:
        assert reported({"resourceType": "Binary", "contentType": content_type}) == []

    @pytest.mark.parametrize(
        "content_type", ["text", "text/", "/plain", "te xt/plain", "text/plain, text/xml"]
    )
    def test_what_is_no_media_type_is_refused(self, content_type: str) -> None:
        assert reported({"resourceType": "Binary", "contentType": content_type}) == ["Binary.contentType"]


def test_a_simple_quantity_has_no_comparator() -> None:
    less = {"value": 1, "comparator": "<"}
    observation = minimal("Observation") | {"valueQuantity": less}
    assert reported(observation) == []
    observation["referenceRange"] = [{"low": less}]
    assert reported(observation) == ["Observation.referenceRange[0].low.comparator"]


def test_an_element_with_nothing_but_an_id_says_nothing() -> None:
    assert reported(patient(name=[{"id": "x"}, {}])) == ["Patient.name[0]", "Patient.name[1]"]


@pytest.mark.parametrize("type", [None, True, 5, 1.5, [], {}, ["Patient"], "Nonsense"])
def test_a_type_that_is_none_is_told_wherever_the_resource_stands(type: object) -> None:
    inner = {"resourceType": type, "id": "a"}
    entry = {"fullUrl": "http://a.example/Patient/a", "resource": inner}
    assert reported({"resourceType": "Bundle", "type": "collection", "entry": [entry]}) == [
        "Bundle.entry[0].resource.resourceType"
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": inner}]}
    assert reported(parameters) == ["Parameters.parameter[0].resource.resourceType"]
    contained = patient(contained=[inner], managingOrganization={"reference": "#a"})
    assert "Patient.contained[0].resourceType" in reported(contained)
