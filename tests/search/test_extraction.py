"""
What a resource can be found by: the rows of the specification's tables, one type each.

https://hl7.org/fhir/R4/search.html#table
"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.fhirpath.moments import interval
from fhir_server.r4.resource import Key
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.indexing.uses import TOKEN_CHARACTERS_MAX
from fhir_server.search.predicates.entry import Entry
from tests.search.versions import BASE_URL, finds


def entry(resource: dict[str, Any], id: str = "1") -> Entry:
    return extract(resource, Key(resource["resourceType"], id), base_url=BASE_URL)


def tokens(resource: dict[str, Any], code: str) -> list[str]:
    """The tokens of one parameter, without what all of them begin with."""
    start = f"{resource['resourceType']}|{code}"
    return [
        token.removeprefix(start)
        for token in entry(resource).tokens
        if token.startswith((start + "|", start + ":"))
    ]


def test_a_resource_has_its_type_as_a_token_first() -> None:
    assert entry({"resourceType": "Basic"}) == Entry(("Basic",))


@pytest.mark.parametrize(
    ("resource", "code", "expected"),
    [
        # token
        ({"code": {"coding": [{"system": "s", "code": "c"}]}}, "code", ["|c", "|s|c"]),
        ({"code": {"coding": [{"code": "c"}]}}, "code", ["|c", "||c"]),
        ({"code": {"coding": [{"system": "s"}]}}, "code", ["|s|"]),
        ({"code": {"coding": [{"system": "s", "code": "a|b"}]}}, "code", ["|a\\|b", "|s|a\\|b"]),
        ({"code": {"text": "free  Text"}}, "code", [":text|free text", "|"]),
        (
            {"code": {"coding": [{"code": "c", "display": "Größe"}], "text": "größe"}},
            "code",
            ["|c", "||c", ":text|grosse"],
        ),
        ({"code": {"text": "x" * 201}}, "code", [":text|" + "x" * 200, "|"]),
        (
            {
                "identifier": [
                    {
                        "value": "7",
                        "type": {
                            "coding": [{"system": "s|t", "code": "MR"}, {"code": "X"}],
                            "text": "Record",
                        },
                    }
                ]
            },
            "identifier",
            ["|7", "||7", ":text|record", ":of-type|s\\|t|MR|7"],
        ),
        (
            {"identifier": [{"system": "s", "value": "v"}, {"value": "w"}]},
            "identifier",
            ["|v", "|s|v", "|w", "||w"],
        ),
        ({"status": "final"}, "status", ["|final"]),
        ({"meta": {"tag": [{"system": "s", "code": "t"}]}}, "_tag", ["|t", "|s|t"]),
        ({"meta": {"security": [{"code": "R"}]}}, "_security", ["|R", "||R"]),
        # reference
        ({"subject": {"reference": "Patient/7"}}, "subject", ["|Patient/7"]),
        ({"subject": {"reference": f"{BASE_URL}/Patient/7"}}, "subject", ["|Patient/7"]),
        (
            {"subject": {"reference": f"{BASE_URL}/Patient/7/_history/2"}},
            "subject",
            ["|Patient/7/_history/2", "|Patient/7"],
        ),
        ({"subject": {"reference": f"{BASE_URL}x/Patient/7"}}, "subject", [f"|{BASE_URL}x/Patient/7"]),
        ({"subject": {"reference": "urn:uuid:7"}}, "subject", ["|urn:uuid:7"]),
        (
            {"subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p"}]},
            "subject",
            ["|"],
        ),
        ({"subject": {"display": "somebody"}}, "subject", ["|"]),
        (
            {"subject": {"identifier": {"system": "s", "value": "v"}}},
            "subject",
            [":identifier|v", ":identifier|s|v"],
        ),
        ({"subject": {"reference": "Patient/7"}}, "patient", ["|Patient/7"]),
        ({"subject": {"reference": "Group/7"}}, "patient", []),
        (
            {"subject": {"identifier": {"value": "v"}, "type": "Patient"}},
            "patient",
            [":identifier|v", ":identifier||v"],
        ),
        # string
        ({"valueString": "Größe  A"}, "value-string", ["|grosse a|Größe  A"]),
        ({"valueCodeableConcept": {"text": "Text"}}, "value-string", ["|text|Text"]),
        ({"valueString": "x" * 201}, "value-string", ["|" + "x" * 200, ":whole|" + "x" * 201 + "|"]),
        # uri
        (
            {"meta": {"profile": ["http://a.example/p|1"]}},
            "_profile",
            ["|http://a.example/p\\|1", "|http://a.example/p"],
        ),
        ({"meta": {"source": "urn:a"}}, "_source", ["|urn:a"]),
        # an extension's value, where R4's expression ends at the extension
        (
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
                        "valueCodeableConcept": {"coding": [{"code": "BRCA1"}]},
                    }
                ]
            },
            "gene-identifier",
            ["|BRCA1", "||BRCA1"],
        ),
    ],
)
def test_what_an_observation_is_found_by(resource: dict[str, Any], code: str, expected: list[str]) -> None:
    assert tokens({"resourceType": "Observation", **resource}, code) == expected


@pytest.mark.parametrize(
    ("resource", "code", "expected"),
    [
        ({"active": True}, "active", ["|true"]),
        ({"active": False}, "active", ["|false"]),
        ({"telecom": [{"system": "phone", "value": "+1 555"}]}, "phone", ["|+1 555"]),
        ({"telecom": [{"system": "email", "value": "a@b.example"}]}, "phone", []),
        ({"telecom": [{"system": "phone"}]}, "telecom", ["|"]),
        ({}, "deceased", ["|false"]),
        ({"deceasedBoolean": False}, "deceased", ["|false"]),
        ({"deceasedBoolean": True}, "deceased", ["|true"]),
        ({"deceasedDateTime": "2015-02"}, "deceased", ["|true"]),
        (
            {
                "name": [
                    {
                        "text": "Dr Ann Ng",
                        "family": "Ng",
                        "given": ["Ann", "Mae"],
                        "prefix": ["Dr"],
                        "suffix": ["MD"],
                    }
                ]
            },
            "name",
            ["|dr ann ng|Dr Ann Ng", "|ng|Ng", "|ann|Ann", "|mae|Mae", "|dr|Dr", "|md|MD", ":word|ann ng"],
        ),
        (
            {"name": [{"family": "van den Berg"}]},
            "family",
            ["|van den berg|van den Berg", ":word|berg", ":word|den berg"],
        ),
        ({"name": [{"family": "Ng", "given": ["Ann"]}]}, "given", ["|ann|Ann"]),
        ({"name": [{"use": "anonymous"}]}, "name", ["|"]),
        (
            {
                "address": [
                    {
                        "line": ["1 Main St"],
                        "city": "Bern",
                        "postalCode": "3000",
                        "country": "CH",
                        "use": "home",
                    }
                ]
            },
            "address",
            ["|1 main st|1 Main St", "|bern|Bern", "|3000|3000", "|ch|CH"],
        ),
        ({"address": [{"use": "home"}]}, "address-use", ["|home"]),
        ({"name": [{"given": [None, "B"], "_given": [{"id": "x"}, None]}]}, "given", ["|b|B"]),
    ],
)
def test_what_a_patient_is_found_by(resource: dict[str, Any], code: str, expected: list[str]) -> None:
    assert tokens({"resourceType": "Patient", **resource}, code) == expected


@pytest.mark.parametrize(
    ("resource", "code", "expected"),
    [
        (
            {"resourceType": "ConceptMap", "sourceUri": "http://a"},
            "source-uri",
            ["|http://a", ":canonical|http://a"],
        ),
        ({"resourceType": "ConceptMap", "sourceUri": "http://a"}, "source", []),
        ({"resourceType": "Questionnaire", "url": "http://a"}, "url", ["|http://a", ":canonical|http://a"]),
        (
            {"resourceType": "Questionnaire", "url": "http://a|b", "version": "1"},
            "url",
            ["|http://a\\|b", ":canonical|http://a\\|b", ":canonical|http://a\\|b\\|1"],
        ),
        (
            {"resourceType": "QuestionnaireResponse", "questionnaire": "http://a/q|2"},
            "questionnaire",
            ["|http://a/q\\|2", "|http://a/q", ":canonical|http://a/q\\|2"],
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "message",
                "entry": [{"resource": {"resourceType": "MessageHeader", "id": "m"}}],
            },
            "composition",
            ["|MessageHeader/m"],
        ),
        (
            {
                "resourceType": "QuestionnaireResponse",
                "item": [
                    {
                        "linkId": "1",
                        "extension": [
                            {
                                "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject",
                                "valueBoolean": True,
                            }
                        ],
                        "answer": [{"valueReference": {"reference": "Patient/7"}}],
                    },
                    {"linkId": "2", "answer": [{"valueReference": {"reference": "Patient/8"}}]},
                ],
            },
            "item-subject",
            ["|Patient/7"],
        ),
        (
            {
                "resourceType": "Library",
                "relatedArtifact": [
                    {"type": "depends-on", "resource": "http://a"},
                    {"type": "successor", "resource": "http://b"},
                ],
            },
            "depends-on",
            ["|http://a", ":canonical|http://a"],
        ),
    ],
)
def test_what_others_are_found_by(resource: dict[str, Any], code: str, expected: list[str]) -> None:
    assert tokens(resource, code) == expected


def test_what_several_parameters_select_is_indexed_once() -> None:
    observation = {"resourceType": "Observation", "code": {"coding": [{"code": "c"}]}}
    assert not tokens(observation, "combo-code")
    assert finds(observation, "combo-code", "c")
    assert finds(observation, "combo-code:not", "d")
    assert not finds(observation, "combo-code:missing", "true")
    patient = {"resourceType": "Patient", "name": [{"family": "Ng"}]}
    assert not tokens(patient, "phonetic")
    assert finds(patient, "phonetic", "ng")


def test_a_value_too_long_to_be_found_is_still_there() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"value": "x" * TOKEN_CHARACTERS_MAX}]}
    assert tokens(patient, "identifier") == ["|"]
    assert not finds(patient, "identifier:missing", "true")


@pytest.mark.parametrize(
    ("resource", "patients"),
    [
        ({"resourceType": "Patient", "link": [{"other": {"reference": "Patient/2"}}]}, ("1",)),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/7"}}, ("7",)),
        ({"resourceType": "Observation", "subject": {"reference": f"{BASE_URL}/Patient/7"}}, ("7",)),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/7/_history/1"}}, ("7",)),
        ({"resourceType": "Observation", "subject": {"reference": "https://other.example/Patient/7"}}, ()),
        ({"resourceType": "Observation", "subject": {"reference": "Group/7"}}, ()),
        ({"resourceType": "Observation", "performer": [{"reference": "Patient/7"}]}, ()),
        ({"resourceType": "DeviceUseStatement", "subject": {"reference": "Patient/7"}}, ("7",)),
        ({"resourceType": "EnrollmentRequest", "candidate": {"reference": "Patient/7"}}, ("7",)),
        ({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/7"}}, ("7",)),
        (
            {
                "resourceType": "Group",
                "member": [{"entity": {"reference": "Patient/7"}}, {"entity": {"reference": "Patient/8"}}],
            },
            ("7", "8"),
        ),
        ({"resourceType": "Provenance", "target": [{"reference": "Patient/7"}]}, ("7",)),
        ({"resourceType": "Task", "for": {"reference": "Patient/7"}}, ("7",)),
        ({"resourceType": "Practitioner"}, ()),
    ],
)
def test_whose_a_resource_is(resource: dict[str, Any], patients: tuple[str, ...]) -> None:
    assert entry(resource).patients == patients


@pytest.mark.parametrize(
    ("resource", "date"),
    [
        ({"resourceType": "Observation", "effectiveDateTime": "2013-05"}, "2013-05"),
        ({"resourceType": "Observation", "effectivePeriod": {"start": "2013-05", "end": "2014"}}, "2013-05"),
        ({"resourceType": "Observation", "issued": "2013-05-01T10:00:00Z"}, None),
        ({"resourceType": "Condition", "onsetDateTime": "2013-05", "recordedDate": "2014"}, "2013-05"),
        ({"resourceType": "Condition", "onsetString": "as a child"}, None),
        ({"resourceType": "Encounter", "period": {"start": "2013-05"}}, "2013-05"),
        ({"resourceType": "Procedure", "performedPeriod": {"start": "2013-05"}}, "2013-05"),
        ({"resourceType": "MedicationRequest", "authoredOn": "2013-05"}, "2013-05"),
        ({"resourceType": "Patient", "birthDate": "2013-05"}, "2013-05"),
        ({"resourceType": "Organization"}, None),
    ],
)
def test_the_date_that_clinicians_sort_by(resource: dict[str, Any], date: str | None) -> None:
    assert entry(resource).clinical_date == (None if date is None else interval(date)[0])


def test_a_period_without_a_start_is_sorted_by_its_end() -> None:
    encounter = {"resourceType": "Encounter", "period": {"end": "2013-05-01"}}
    assert entry(encounter).clinical_date == interval("2013-05-01")[1]
