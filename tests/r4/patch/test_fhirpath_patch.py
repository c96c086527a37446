"""What each operation does. https://hl7.org/fhir/R4/fhirpatch.html; HL7's own cases are among these."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.patch import fhirpath_patch
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation import validate
from tests.r4.patch.parameters import (
    add,
    delete,
    insert,
    move,
    parameters,
    parts,
    patched,
    patient,
    replace,
    value,
)

CONTACT = {"name": {"text": "a name"}, "gender": "male"}
ONE, TWO, THREE, FOUR = ({"system": "http://example.org", "value": f"value {n}"} for n in (1, 2, 3, 4))
PREFIX = {"url": "http://example.org/prefix", "valueString": "VV"}


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        (patient(birthDate="1920-01-01"), [], patient(birthDate="1920-01-01")),
        # a primitive
        (
            patient(birthDate="1920-01-01"),
            [replace("Patient.birthDate", value(valueDate="1930-01-01"))],
            patient(birthDate="1930-01-01"),
        ),
        (patient(birthDate="1920-01-01"), [delete("Patient.birthDate")], patient()),
        (
            patient(),
            [add("Patient", "birthDate", value(valueDate="1930-01-01"))],
            patient(birthDate="1930-01-01"),
        ),
        # a primitive in an element
        (
            patient(contact=[CONTACT]),
            [replace("Patient.contact[0].gender", value(valueCode="female"))],
            patient(contact=[{**CONTACT, "gender": "female"}]),
        ),
        (
            patient(contact=[CONTACT]),
            [replace("Patient.contact[0].name.text", value(valueString="the name"))],
            patient(contact=[{"name": {"text": "the name"}, "gender": "male"}]),
        ),
        (
            patient(contact=[CONTACT]),
            [delete("Patient.contact[0].gender")],
            patient(contact=[{"name": {"text": "a name"}}]),
        ),
        (
            patient(contact=[CONTACT]),
            [delete("Patient.contact[0].name.text")],
            patient(contact=[{"gender": "male"}]),
        ),
        (
            patient(contact=[{"name": {"text": "a name"}}]),
            [add("Patient.contact[0]", "gender", value(valueCode="male"))],
            patient(contact=[CONTACT]),
        ),
        # an element with content
        (
            patient(),
            [add("Patient", "maritalStatus", value(valueCodeableConcept={"text": "married"}))],
            patient(maritalStatus={"text": "married"}),
        ),
        (
            patient(maritalStatus={"id": "1", "text": "married"}),
            [
                replace(
                    "Patient.maritalStatus", value(valueCodeableConcept={"id": "2", "text": "not married"})
                )
            ],
            patient(maritalStatus={"id": "2", "text": "not married"}),
        ),
        (patient(maritalStatus={"text": "married"}), [delete("Patient.maritalStatus")], patient()),
        # an element that has no type name of its own
        (
            patient(),
            [add("Patient", "contact", parts(name={"valueHumanName": {"text": "a name"}}))],
            patient(contact=[{"name": {"text": "a name"}}]),
        ),
        (patient(contact=[{"name": {"text": "a name"}}]), [delete("Patient.contact[0]")], patient()),
        # lists
        (
            patient(identifier=[ONE, TWO]),
            [
                replace("Patient.identifier[0].value", value(valueString="value 2")),
                replace("Patient.identifier[1].value", value(valueString="value 1")),
            ],
            patient(identifier=[TWO, ONE]),
        ),
        (
            patient(identifier=[ONE, TWO]),
            [insert("Patient.identifier", 2, value(valueIdentifier=THREE))],
            patient(identifier=[ONE, TWO, THREE]),
        ),
        (
            patient(identifier=[ONE, TWO]),
            [insert("Patient.identifier", 1, value(valueIdentifier=THREE))],
            patient(identifier=[ONE, THREE, TWO]),
        ),
        (
            patient(identifier=[ONE, TWO]),
            [insert("Patient.identifier", 0, value(valueIdentifier=THREE))],
            patient(identifier=[THREE, ONE, TWO]),
        ),
        (
            patient(),
            [insert("Patient.identifier", 0, value(valueIdentifier=THREE))],
            patient(identifier=[THREE]),
        ),
        (
            patient(),
            [add("Patient", "identifier", value(valueIdentifier=THREE))],
            patient(identifier=[THREE]),
        ),
        (
            patient(identifier=[ONE]),
            [add("Patient", "identifier", value(valueIdentifier=THREE))],
            patient(identifier=[ONE, THREE]),
        ),
        (
            patient(identifier=[ONE, TWO, THREE]),
            [delete("Patient.identifier[1]")],
            patient(identifier=[ONE, THREE]),
        ),
        (
            patient(identifier=[ONE, TWO, THREE]),
            [replace("Patient.identifier[1]", value(valueIdentifier=FOUR))],
            patient(identifier=[ONE, FOUR, THREE]),
        ),
        *(
            (
                patient(identifier=[ONE, TWO, THREE, FOUR]),
                [move("Patient.identifier", *turn) for turn in turns],
                patient(identifier=expected),
            )
            for turns, expected in (
                ([(3, 1)], [ONE, FOUR, TWO, THREE]),
                ([(3, 0)], [FOUR, ONE, TWO, THREE]),
                ([(3, 2)], [ONE, TWO, FOUR, THREE]),
                ([(0, 3)], [TWO, THREE, FOUR, ONE]),
                ([(1, 1)], [ONE, TWO, THREE, FOUR]),
                ([(1, 0), (2, 1)], [TWO, THREE, ONE, FOUR]),
                ([(3, 0), (3, 1), (3, 2)], [FOUR, THREE, TWO, ONE]),
            )
        ),
        # narrative: a parameter cannot have xhtml
        (
            patient(text={"status": "generated", "div": "<div>a</div>"}),
            [replace("Patient.text.div", value(valueString="<div>b</div>"))],
            patient(text={"status": "generated", "div": "<div>b</div>"}),
        ),
        # what an operation adds is there for the next one
        (
            patient(),
            [
                add("Patient", "contact", parts(gender={"valueCode": "male"})),
                add("Patient.contact[0]", "name", value(valueHumanName={"text": "a name"})),
                replace("Patient.contact.name.text", value(valueString="b")),
            ],
            patient(contact=[{"gender": "male", "name": {"text": "b"}}]),
        ),
    ],
)
def test_an_operation_does_what_fhir_says(
    before: dict[str, Any], operations: list[dict[str, Any]], after: dict[str, Any]
) -> None:
    assert patched(before, *operations) == after


def test_an_element_that_is_not_there_has_nothing_to_add_to() -> None:
    before = patient(identifier=[{"use": "official", "value": "123"}])
    path = "Patient.identifier.where(use = 'official').period"
    with pytest.raises(
        Unprocessable, match=r"`Parameters.parameter\[0\]` has a path that leads to no element"
    ):
        patched(before, add(path, "end", value(valueDateTime="2021-12-01")))


class TestChoices:
    def test_a_choice_is_named_without_its_type_and_written_with_it(self) -> None:
        assert patched(patient(), add("Patient", "deceased", value(valueBoolean=True))) == patient(
            deceasedBoolean=True
        )
        assert patched(patient(deceasedBoolean=True), delete("Patient.deceased")) == patient()

    def test_a_choice_is_replaced_by_another_type_at_its_place(self) -> None:
        before = patient(deceasedBoolean=True, _deceasedBoolean={"id": "d"}, active=True)
        after = patched(before, replace("Patient.deceased", value(valueDateTime="2020")))
        assert list(after) == ["resourceType", "deceasedDateTime", "active"]
        assert after["deceasedDateTime"] == "2020"

    def test_a_choice_of_one_type_stands_in_the_way_of_another(self) -> None:
        for before in (patient(deceasedBoolean=False), patient(_deceasedDateTime={"extension": [PREFIX]})):
            with pytest.raises(Unprocessable, match="one already"):
                patched(before, add("Patient", "deceased", value(valueDateTime="2020")))

    def test_a_type_that_the_choice_does_not_have_is_refused(self) -> None:
        with pytest.raises(Unprocessable, match="takes boolean or dateTime"):
            patched(patient(), add("Patient", "deceased", value(valueString="yes")))

    def test_the_name_with_the_type_is_not_fhirpath(self) -> None:
        for wrong in (
            delete("Patient.deceasedBoolean"),
            add("Patient", "deceasedBoolean", value(valueBoolean=True)),
        ):
            with pytest.raises(Unprocessable, match="`deceased`"):
                patched(patient(deceasedBoolean=True), wrong)

    def test_a_choice_within_parts_is_named_without_its_type_too(self) -> None:
        race = parts(url={"valueUri": "http://example.org/race"}, value={"valueCode": "x"})
        after = patched(patient(), add("Patient", "extension", race))
        assert after == patient(extension=[{"url": "http://example.org/race", "valueCode": "x"}])

    def test_a_value_may_be_chosen_by_its_type(self) -> None:
        before = {
            "resourceType": "Observation",
            "component": [{"valueString": "a"}, {"valueQuantity": {"value": 1}}],
        }
        path = "Observation.component.value.ofType(Quantity).unit"
        assert patched(before, delete("Observation.component.value.ofType(string)"))["component"] == [
            {"valueQuantity": {"value": 1}}
        ]
        with pytest.raises(Unprocessable, match="no element"):
            patched(before, replace(path, value(valueString="mg")))


class TestWhatIsEmpty:
    def test_goes_away_up_to_the_resource(self) -> None:
        before = patient(contact=[{"name": {"given": ["A"]}}], active=True)
        assert patched(before, delete("Patient.contact.name.given[0]")) == patient(active=True)

    def test_goes_away_alone(self) -> None:
        before = patient(contact=[{"name": {"text": "a"}}, CONTACT])
        assert patched(before, delete("Patient.contact[0].name.text")) == patient(contact=[CONTACT])

    def test_is_not_what_still_has_an_id(self) -> None:
        before = patient(contact=[{"id": "c", "name": {"text": "a"}}])
        assert patched(before, delete("Patient.contact.name.text")) == patient(contact=[{"id": "c"}])


class TestParts:
    def test_an_element_without_a_type_name_is_made_of_parts_at_any_depth(self) -> None:
        before = {"resourceType": "Questionnaire", "status": "draft"}
        inner = {"part": [{"name": "linkId", "valueString": "1.1"}, {"name": "type", "valueCode": "string"}]}
        item = value(
            part=[
                {"name": "linkId", "valueString": "1"},
                {"name": "type", "valueCode": "group"},
                {"name": "item", **inner},
                {"name": "code", "valueCoding": {"code": "a"}},
                {"name": "code", "valueCoding": {"code": "b"}},
            ]
        )
        after = patched(before, add("Questionnaire", "item", item))
        assert after["item"] == [
            {
                "linkId": "1",
                "type": "group",
                "item": [{"linkId": "1.1", "type": "string"}],
                "code": [{"code": "a"}, {"code": "b"}],
            }
        ]
        assert validate(after) == ()

    def test_a_datatype_may_be_made_of_parts_too(self) -> None:
        name = parts(
            family={"valueString": "Muster"}, given={"valueString": "A", "_valueString": {"id": "g"}}
        )
        after = patched(patient(), add("Patient", "name", name))
        assert after == patient(name=[{"family": "Muster", "given": ["A"], "_given": [{"id": "g"}]}])

    def test_what_does_not_repeat_is_not_given_twice(self) -> None:
        gender = {"name": "gender", "valueCode": "male"}
        with pytest.raises(Unprocessable, match="`gender`"):
            patched(patient(), add("Patient", "contact", value(part=[gender, gender])))

    def test_a_resource_is_given_as_a_resource(self) -> None:
        before = {"resourceType": "Bundle", "type": "collection"}
        entry = value(part=[{"name": "resource", "resource": patient(active=True)}])
        after = patched(
            before,
            add("Bundle", "entry", entry),
            replace("Bundle.entry[0].resource.active", value(valueBoolean=False)),
            add("Bundle.entry.resource", "contained", value(resource=patient(id="p"))),
            add("Bundle.entry.resource.contained", "gender", value(valueCode="male")),
        )
        inside = patient(active=False, contained=[patient(id="p", gender="male")])
        assert after == {**before, "entry": [{"resource": inside}]}


class TestTypes:
    @pytest.mark.parametrize(
        ("path", "name", "given"),
        [
            ("Patient", "birthDate", value(valueString="1970-01-01")),
            ("Patient", "birthDate", value(valueDateTime="1970-01-01")),
            ("Patient", "active", value(valueString="true")),
            ("Patient", "name", value(valueString="A")),
            ("Patient", "name", value(valueAddress={"text": "A"})),
            ("Patient", "contact", value(valueHumanName={"text": "A"})),
            ("Patient", "birthDate", parts(value={"valueDate": "1970"})),
            ("Patient", "gender", value(resource=patient())),
            ("Patient", "contained", value(valueReference={"reference": "#a"})),
            ("Patient", "contained", parts(resourceType={"valueCode": "Patient"})),
            ("Patient", "nickname", value(valueString="A")),
            ("Patient", "resourceType", value(valueString="Person")),
            ("Patient", "_active", value(valueString="A")),
            ("Patient", "contact", parts(nickname={"valueString": "A"})),
            ("Patient", "contact", parts(gender={"valueInteger": 1})),
            ("Patient.name", "nickname", value(valueString="A")),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, path: str, name: str, given: dict[str, Any]) -> None:
        with pytest.raises(Unprocessable):
            patched(patient(name=[{"text": "A"}]), add(path, name, given))

    @pytest.mark.parametrize(
        ("path", "name", "given"),
        [
            ("Patient", "gender", value(valueString="male")),
            ("Patient", "language", value(valueCode="de")),
            ("Patient", "implicitRules", value(valueUrl="http://example.org")),
            ("Patient.name", "text", value(valueMarkdown="A")),
            ("Patient.name", "period", value(valuePeriod={"start": "2020"})),
        ],
    )
    def test_a_value_of_a_related_type_is_taken(self, path: str, name: str, given: dict[str, Any]) -> None:
        after = patched(patient(name=[{"family": "A"}]), add(path, name, given))
        assert validate(after) == ()


def test_literals_are_kept_and_written_as_they_came() -> None:
    before = from_text(
        b'{"resourceType":"Observation","valueQuantity":{"value":1.00},'
        b'"component":[{"valueQuantity":{"value":-0}},{"valueQuantity":{"value":0.1e-7}}]}'
    )
    text = (
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":['
        b'{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.component[0].value"},'
        b'{"name":"value","valueQuantity":{"value":2.500,"unit":"mg"}}]}]}'
    )
    after = to_text(fhirpath_patch(before, from_text(text)))
    assert after == (
        b'{"resourceType":"Observation","valueQuantity":{"value":1.00},'
        b'"component":[{"valueQuantity":{"value":2.500,"unit":"mg"}},{"valueQuantity":{"value":0.1e-7}}]}'
    )


def test_nothing_is_done_when_a_later_operation_fails() -> None:
    before = patient(active=True)
    with pytest.raises(Unprocessable) as refusal:
        patched(before, delete("Patient.active"), replace("Patient.active", value(valueBoolean=True)))
    assert refusal.value.issues[0].expression == ("Parameters.parameter[1]",)


def test_parameters_without_operations_change_nothing() -> None:
    assert fhirpath_patch(patient(active=True), {"resourceType": "Parameters"}) == patient(active=True)
    assert fhirpath_patch(patient(active=True), parameters()) == patient(active=True)
