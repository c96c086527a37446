"""`_summary` and `_elements`, on resources: https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid, Issue, TooCostly
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.shaping import SUBSETTED, WHOLE, Shape, shape_of, shape_of_one, shaped
from fhir_server.r4.validation import validate
from tests.r4.instances import instance_at, places
from tests.r4.packages import EXAMPLES

SHAPES = (Shape("true"), Shape("text"), Shape("data"), Shape(elements=("id",)))

PATIENT = b"""{
    "resourceType": "Patient", "id": "p", "language": "de",
    "meta": {"versionId": "3", "security": [{"code": "R"}], "tag": [{"code": "mine"}]},
    "text": {"status": "generated", "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">x</div>"},
    "contained": [
        {"resourceType": "Organization", "id": "own", "name": "a", "partOf": {"reference": "#its"}},
        {"resourceType": "Organization", "id": "its", "name": "b"},
        {"resourceType": "Practitioner", "id": "other", "active": true}
    ],
    "extension": [{"url": "http://x.example", "valueDecimal": 1.00}],
    "modifierExtension": [{"url": "http://y.example", "valueDecimal": 0.1e-7}],
    "identifier": [{"id": "i", "extension": [{"url": "http://x.example", "valueCode": "c"}], "value": "1"}],
    "active": true,
    "name": [{"family": "M\\u00fcller", "given": ["A", null], "_given": [null, {"id": "g"}]}],
    "_gender": {"extension": [{"url": "http://z.example", "valueCode": "unknown"}]},
    "maritalStatus": {"text": "m"},
    "multipleBirthInteger": -0,
    "photo": [{"data": "aGk="}],
    "generalPractitioner": [{"reference": "#other"}],
    "managingOrganization": {"reference": "#own"}
}"""


def cut(shape: Shape, text: bytes = PATIENT, type: str = "Patient") -> dict[str, Any]:
    return from_text(shaped(text, type, shape))


def broken(resource: dict[str, Any]) -> list[Issue]:
    """The rules of structure that it breaks. An invariant may speak of what is not shown."""
    return [issue for issue in validate(resource) if issue.severity == "error" and issue.code not in _OF_ALL]


_OF_ALL = ("invariant", "processing")
"""Invariants, and the line that says that there are too many to list."""


def asked(elements: str, type: str = "Patient") -> Shape:
    return shape_of({"_elements": elements}, (type,))


def test_a_summary_has_what_r4_marks_and_what_changes_the_meaning() -> None:
    assert set(cut(Shape("true"))) == {
        "resourceType", "id", "meta", "modifierExtension", "identifier", "active", "name", "_gender",
        "managingOrganization", "contained",
    }  # fmt: skip


def test_a_summary_goes_into_the_datatypes() -> None:
    told = cut(Shape("true"))
    assert told["identifier"] == [{"value": "1"}]
    attachment = b'{"resourceType":"Media","status":"completed","content":{"data":"aGk=","size":2}}'
    assert cut(Shape("true"), attachment, "Media")["content"] == {"size": 2}


def test_what_is_only_an_extension_stays_one() -> None:
    why = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                          "valueCode": "unknown"}]}  # fmt: skip
    observation = {"resourceType": "Observation", "_status": why, "code": why, "valueQuantity": why}
    told = cut(Shape("true"), to_text(observation), "Observation")
    assert told["code"] == told["_status"] == told["valueQuantity"] == why


def test_contained_resources_stay_as_far_as_they_are_referred_to() -> None:
    ids = [one["id"] for one in cut(Shape("true"))["contained"]]
    assert ids == ["own", "its"]
    assert [one["id"] for one in cut(asked("generalPractitioner"))["contained"]] == ["other"]
    assert "contained" not in cut(asked("name"))
    assert len(cut(Shape("data"))["contained"]) == 3


def test_text_is_the_narrative_the_identity_and_what_is_mandatory() -> None:
    assert set(cut(Shape("text"))) == {"resourceType", "id", "meta", "text"}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "valueInteger": 1}
    told = cut(Shape("text"), to_text(observation), "Observation")
    assert set(told) == {"resourceType", "meta", "status", "code"}


def test_data_is_all_but_the_narrative() -> None:
    whole, told = from_text(PATIENT), cut(Shape("data"))
    del whole["text"]
    assert {name: value for name, value in told.items() if name != "meta"} == {
        name: value for name, value in whole.items() if name != "meta"
    }


def test_elements_asked_for_come_with_those_that_must_be_there() -> None:
    assert set(cut(asked("name,photo"))) == {
        "resourceType", "id", "meta", "modifierExtension", "name", "photo", "active",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["value", "value[x]", "valueQuantity", "valueString", "Observation.value"])
def test_a_choice_goes_by_each_of_its_names(name: str) -> None:
    observation = b'{"resourceType":"Observation","status":"final","code":{},"valueQuantity":{"value":1.0}}'
    told = shaped(observation, "Observation", asked(name, "Observation"))
    assert b'"valueQuantity":{"value":1.0}' in told


def test_a_list_that_names_types_speaks_of_no_other() -> None:
    shape = shape_of({"_elements": "Patient.name,Observation.code"}, ("Patient", "Observation"))
    assert "photo" not in cut(shape)
    encounter = b'{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"length":{"value":1}}'
    assert shaped(encounter, "Encounter", shape) == encounter


def test_a_list_does_not_apply_to_what_is_included_but_by_type() -> None:
    assert Shape(elements=("name",)).of_included.is_whole
    assert Shape(elements=("name", "Patient.id")).of_included == Shape(elements=("Patient.id",))
    assert Shape("true").of_included == Shape("true")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_cut_says_so_once(shape: Shape) -> None:
    once = shaped(PATIENT, "Patient", shape)
    again = from_text(shaped(once, "Patient", shape))
    assert again["meta"]["tag"] == [{"code": "mine"}, SUBSETTED]
    assert again["meta"]["versionId"] == "3"
    assert again["meta"]["security"] == [{"code": "R"}]


@pytest.mark.parametrize("shape", [WHOLE, Shape("count"), Shape("false")])
def test_the_whole_is_the_same_text(shape: Shape) -> None:
    assert shaped(PATIENT, "Patient", shape) is PATIENT


@pytest.mark.parametrize("literal", ["1.00", "0.1e-7", "-0", "-0.0", "123456789012345678.10", "1E5"])
@pytest.mark.parametrize("shape", [Shape("true"), Shape("data"), Shape(elements=("value",))])
def test_digits_are_kept(shape: Shape, literal: str) -> None:
    text = (
        f'{{"resourceType":"Observation","status":"final","code":{{}},"valueQuantity":{{"value":{literal}}}}}'
    )
    assert f'"value":{literal}}}'.encode() in shaped(text.encode(), "Observation", shape)


def test_nested_resources_are_cut_each_by_its_own_type() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": from_text(PATIENT)}]}
    told = cut(Shape("true"), to_text(bundle), "Bundle")
    inner = told["entry"][0]["resource"]
    assert "photo" not in inner
    assert SUBSETTED in inner["meta"]["tag"]
    assert SUBSETTED in told["meta"]["tag"]


@pytest.mark.parametrize("type", sorted(definitions().resource_types))
def test_what_is_left_of_each_type_breaks_no_rule(type: str) -> None:
    """With each of its elements in turn, in each shape."""
    for place in places(type):
        text = to_text(instance_at(place))
        if broken(from_text(text)):
            continue
        for shape in SHAPES:
            assert not broken(cut(shape, text, type)), (place, shape)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="hl7.fhir.r4.examples is not here")
def test_what_is_left_of_each_example_breaks_no_rule() -> None:
    count = 0
    for path in sorted(EXAMPLES.glob("*.json"))[::5]:
        resource = from_text(path.read_bytes())
        if resource.get("resourceType") not in definitions().resource_types or broken(resource):
            continue
        count += 1
        text, type = to_text(resource), resource["resourceType"]
        for shape in SHAPES:
            assert not broken(cut(shape, text, type)), (path.name, shape)
    assert count > 1000


@pytest.mark.parametrize(
    "given_",
    [
        {"_summary": "yes"},
        {"_summary": "TRUE"},
        {"_summary": ""},
        {"_elements": ""},
        {"_elements": "name,"},
        {"_elements": "nothing"},
        {"_elements": "name.family"},
        {"_elements": "Nothing.name"},
        {"_elements": "Element.id"},
        {"_elements": "Observation.name"},
        {"_elements": "resourceType"},
        {"_elements": "*"},
        {"_elements": "name", "_summary": "true"},
    ],
)
def test_what_nobody_can_show_is_refused(given_: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        shape_of(given_, ("Patient",))


def test_a_list_is_bounded() -> None:
    with pytest.raises(TooCostly):
        shape_of({"_elements": ",".join(["id"] * 201)}, ("Patient",))


@pytest.mark.parametrize(
    "parameters",
    [
        [("_count", "1")],
        [("name", "x")],
        [("_summary", "count")],
        [("_summary", "true"), ("_summary", "true")],
        [("_elements:x", "id")],
    ],
)
def test_a_read_knows_only_the_parameters_of_all_interactions(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(Invalid):
        shape_of_one(parameters, "Patient")


def test_a_lenient_client_is_shown_the_whole() -> None:
    for wrong in ([("_count", "1")], [("_summary", "x")], [("_elements", "x")]):
        assert shape_of_one(wrong, "Patient", lenient=True) == WHOLE
    both = [("x", "y"), ("_summary", "data")]
    assert shape_of_one(both, "Patient", lenient=True) == Shape("data")


@given(st.text(max_size=40), st.sampled_from(["_summary", "_elements"]))
@settings(max_examples=200)
def test_whatever_is_asked_is_a_shape_or_refused(value: str, name: str) -> None:
    try:
        shape = shape_of({name: value}, ("Patient",))
    except Invalid:
        return
    assert cut(shape)["id"] == "p"
