"""The paths of FHIRPath Patch: what leads to a place, and what is refused, by name and in time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fhir_server.r4.errors import Invalid, TooCostly, TooLarge, Unprocessable
from fhir_server.r4.patch import fhirpath_patch
from fhir_server.r4.patch.draft import OPERATIONS_MAX
from fhir_server.r4.patch.path import PATH_CHARACTERS_MAX
from tests.r4.patch.parameters import (
    add,
    delete,
    insert,
    move,
    operation,
    parameters,
    parts,
    patched,
    patient,
    replace,
    value,
)

URL = "http://example.org/a"
PATIENT = patient(
    extension=[{"url": URL, "valueString": "a"}, {"url": "http://example.org/b", "valueCode": "b"}],
    active=True,
    name=[
        {"use": "official", "family": "A", "given": ["B", "C"]},
        {"use": "usual", "family": "D", "period": {"start": "2020-05-01"}},
    ],
    telecom=[{"rank": 1, "value": "1"}, {"rank": 2, "value": "2"}],
    multipleBirthInteger=2,
)


@pytest.mark.parametrize(
    ("path", "was"),
    [
        ("Patient.name[0].family", "A"),
        ("name[0].family", "A"),
        ("$this.name[0].family", "A"),
        ("Resource.name[0].family", "A"),
        ("DomainResource.name.first().family", "A"),
        ("Patient.name.last().family", "D"),
        ("Patient.name.family[1]", "D"),
        ("Patient.name.where(use = 'usual').family", "D"),
        ("Patient.name.where($this.use = 'usual').family", "D"),
        ("Patient.name.where(use != 'official').family", "D"),
        ("Patient.name.where(given.exists()).family", "A"),
        ("Patient.name.where(given.count() > 1).family", "A"),
        ("Patient.name.where(given.empty()).family", "D"),
        ("Patient.name.where(given.exists($this = 'C')).family", "A"),
        ("Patient.name.where('C' in given and family = 'A').family", "A"),
        ("Patient.name.where(given contains 'C' or family = 'X').family", "A"),
        ("Patient.name.where(given.where($this = 'C').exists().not()).family", "D"),
        ("Patient.name.where(period.start > @2020-01-01).family", "D"),
        ("Patient.name.where(family.startsWith('D')).family", "D"),
        ("Patient.name.where(given[1] = 'C').family", "A"),
        ("Patient.name.where(use = 'official')[0].family", "A"),
        ("Patient.telecom.where(rank = 2).value", "2"),
        ("Patient.telecom.where(rank >= 2 and rank < 3).value", "2"),
        ("Patient.multipleBirth", 2),
        ("Patient.multipleBirth.ofType(integer)", 2),
        ("(Patient.multipleBirth as integer)", 2),
        ("Patient.multipleBirth.as(FHIR.integer)", 2),
        (f"Patient.extension('{URL}').value", "a"),
        (f"Patient.extension.where(url = '{URL}').value", "a"),
        (f"Patient.where(extension('{URL}').exists()).extension.value.ofType(code)", "b"),
        ("Patient.extension.value.where($this is code)", "b"),
        ("Patient.`name`[0].`family`", "A"),
    ],
)
def test_a_path_leads_to_its_place(path: str, was: Any) -> None:
    with pytest.raises(Unprocessable, match="gives parts"):
        patched(PATIENT, replace(path, parts(text={"valueString": "x"})))
    gone = str(patched(PATIENT, delete(path)))
    assert repr(was) in str(PATIENT)
    assert gone.count(repr(was)) == str(PATIENT).count(repr(was)) - 1


@pytest.mark.parametrize(
    "path",
    [
        "Patient.name[7]",
        "Patient.name[99999999999999999999]",
        "Patient.photo",
        "Patient.contact.name.text",
        "Patient.name.where(use = 'old')",
        "Patient.name.where(period.end = 'x')",
        "Patient.name.where({})",
        "Patient.extension('http://example.org/z')",
        "Patient.multipleBirth.ofType(boolean)",
        "Patient.ofType(Observation)",
        "Patient.birthDate.extension[0]",
        "Patient.active.extension",
    ],
)
def test_where_there_is_nothing_a_delete_is_done_and_nothing_else(path: str) -> None:
    assert patched(PATIENT, delete(path)) == PATIENT
    with pytest.raises(Unprocessable, match="no element"):
        patched(PATIENT, replace(path, value(valueString="x")))
    with pytest.raises(Unprocessable, match="no element"):
        patched(PATIENT, add(path, "id", value(valueString="x")))


@pytest.mark.parametrize("path", ["Patient.name", "Patient.name.family", "Patient.name.where(true)"])
def test_a_path_to_several_elements_is_refused(path: str) -> None:
    for wrong in (
        delete(path),
        replace(path, value(valueString="x")),
        add(path, "id", value(valueString="x")),
        insert(f"{path}.given", 0, value(valueString="x")),
    ):
        with pytest.raises(Unprocessable, match="more than one"):
            patched(PATIENT, wrong)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("Observation.status", "start with Patient"),
        ("Foo.status", "start with Patient"),
        ("Patient.nickname", "`nickname`, which is not an element of Patient"),
        ("Patient.name.nickname", "`nickname`, which is not an element of HumanName"),
        ("Patient.resourceType", "`resourceType`"),
        ("Patient.multipleBirthInteger", "`multipleBirth`"),
        ("Patient.`John Doe`", "something that is no element"),
    ],
)
def test_a_path_to_what_the_type_does_not_have_is_refused(path: str, named: str) -> None:
    with pytest.raises(Unprocessable, match=named):
        patched(PATIENT, delete(path))


@pytest.mark.parametrize("path", ["Patient", "$this", "Patient.where(active)"])
def test_the_resource_itself_is_no_element_of_it(path: str) -> None:
    for wrong in (delete(path), replace(path, value(resource=patient()))):
        with pytest.raises(Unprocessable, match="the resource itself"):
            patched(PATIENT, wrong)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("", "not FHIRPath"),
        ("Patient.", "not FHIRPath"),
        ("Patient.name[", "not FHIRPath"),
        ("Patient..name", "not FHIRPath"),
        ("Patient/name", "`/`"),
        ("'Patient'", "a constant"),
        ("{}", "a constant"),
        ("%resource.name", "a variable"),
        ("Patient.name | Patient.contact", r"`\|`"),
        ("Patient.name[0 + 1]", "a computed index"),
        ("Patient.name[-1]", "a computed index"),
        ("Patient.name is HumanName", "`is`"),
        ("Patient.generalPractitioner.resolve()", "`resolve`"),
        ("Patient.descendants()", "`descendants`"),
        ("Patient.name.tail()", "`tail`"),
        ("Patient.name.select(given)", "`select`"),
        ("Patient.name.exists()", "`exists`"),
        ("Patient.name.first(1)", "`first`"),
        ("Patient.name.where()", "`where`"),
        ("Patient.extension(url)", "`extension`"),
        ("Patient.name.ofType(Foo)", "a type that R4 does not have"),
        ("Patient.name.where(%resource.active)", "a variable"),
        ("Patient.name.where(Patient.active)", "`Patient`"),
        ("Patient.name.where(family.matches('(a*)*b'))", "`matches`"),
        ("Patient.name.where(descendants().exists())", "`descendants`"),
        ("Patient.name.where(given | given)", r"`\|`"),
        ("Patient.name.where(given ~ given)", "`~`"),
        ("Patient.name.where(given.select($this + $this).exists())", "`select`"),
        ("Patient.name.where(-1 = 1)", "`-`"),
        ("Patient.name.where(given[count()])", "a computed index"),
        ("Patient.name.where(exists(1, 2))", "not known"),
        ("Patient.name.where(a" + ".a" * 350 + ")", "too many steps"),
        ("Patient.name" * 100, str(PATH_CHARACTERS_MAX)),
        ("(" * 500, "not FHIRPath"),
    ],
)
def test_a_path_beyond_what_is_permitted_is_invalid_and_named(path: str, named: str) -> None:
    with pytest.raises(Invalid, match=named) as refusal:
        patched(PATIENT, delete(path))
    assert refusal.value.issues[0].expression == ("Parameters.parameter[0]",)


def test_a_long_path_is_followed() -> None:
    assert patched(PATIENT, delete("Patient.name" + ".period.extension" * 50)) == PATIENT


def test_values_in_a_path_are_not_repeated() -> None:
    for path in ("Patient.name.where(family = 'Chalmers').tail()", "Patient.name 'Chalmers'", "'Chalmers'"):
        with pytest.raises(Invalid) as refusal:
            patched(PATIENT, delete(path))
        assert "Chalmers" not in str(refusal.value)


def test_a_condition_that_is_asked_of_several_is_refused() -> None:
    with pytest.raises(Unprocessable, match="wants one element"):
        patched(PATIENT, delete("Patient.where(name.given)"))


@pytest.mark.parametrize("path", ["Patient.active", "Patient.multipleBirth", "Patient.maritalStatus"])
def test_what_is_no_list_has_no_places(path: str) -> None:
    for wrong in (insert(path, 0, value(valueBoolean=True)), move(path, 0, 0)):
        with pytest.raises(Unprocessable, match="not a list"):
            patched(PATIENT, wrong)


def test_the_path_of_a_list_ends_with_its_name() -> None:
    for path in (
        "Patient",
        "Patient.name[0]",
        "Patient.name.where(use = 'usual')",
        f"Patient.extension('{URL}')",
    ):
        for wrong in (insert(path, 0, value(valueBoolean=True)), move(path, 0, 0)):
            with pytest.raises(Invalid, match="name of a list"):
                patched(PATIENT, wrong)


def test_a_place_beyond_the_list_is_refused() -> None:
    for wrong in (
        insert("Patient.name", 3, value(valueHumanName={"text": "x"})),
        insert("Patient.photo", 1, value(valueAttachment={"title": "x"})),
        move("Patient.name", 2, 0),
        move("Patient.name", 0, 2),
        move("Patient.photo", 0, 0),
        move("Patient.active.extension", 0, 0),
    ):
        with pytest.raises(Unprocessable, match="beyond the end"):
            patched(PATIENT, wrong)


NAME = {"name": "name", "valueString": "active"}
TRUE = value(valueBoolean=True)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"name": "operation"},
        {"name": "operation", "part": {}},
        {"name": "operation", "part": []},
        {"name": "operation", "part": [None]},
        {"name": "operation", "part": [{"valueCode": "delete"}]},
        {"name": "patch", "part": delete("Patient.active")["part"]},
        operation("remove", "Patient.active"),
        operation("delete", "Patient.active", TRUE),
        operation("delete", "Patient.active", {"name": "path", "valueString": "Patient.name"}),
        operation("delete", "Patient.active", {"name": "reason", "valueString": "x"}),
        operation("add", "Patient", TRUE),
        operation("add", "Patient", NAME),
        operation("add", "Patient", {"name": "name", "valueInteger": 1}, TRUE),
        operation("replace", "Patient.active"),
        operation("insert", "Patient.name", value(valueHumanName={"text": "x"})),
        operation(
            "insert",
            "Patient.name",
            value(valueHumanName={"text": "x"}),
            {"name": "index", "valueString": "0"},
        ),
        insert("Patient.name", -1, value(valueHumanName={"text": "x"})),
        operation("move", "Patient.name", {"name": "source", "valueInteger": 0}),
        {
            "name": "operation",
            "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueCode": 1}],
        },
        add("Patient", "active", {"name": "value"}),
        add("Patient", "active", value(valueBoolean=True, valueString="x")),
        add("Patient", "active", value(valueBoolean=True, part=[])),
        add("Patient", "active", value(valueBoolean=True, modifierExtension=[{"url": URL}])),
        add("Patient", "active", value(valueFoo=True)),
        add("Patient", "active", value(value=True)),
        add("Patient", "active", value(valueBoolean=[True])),
        add("Patient", "active", value(valueBoolean={"a": 1})),
        add("Patient", "active", value(_valueBoolean="x")),
        add("Patient", "active", value(_valueBoolean=[])),
        add("Patient", "active", value(_valueBoolean={})),
        add("Patient", "name", value(valueHumanName="x")),
        add("Patient", "name", value(valueHumanName=[{"text": "x"}])),
        add("Patient", "name", value(valueHumanName={})),
        add("Patient", "name", value(valueHumanName={"text": "x"}, _valueHumanName={"id": "x"})),
        add("Patient", "contact", value(part=[{"name": "gender"}])),
        add("Patient", "contact", value(part=[{"name": 1, "valueCode": "male"}])),
        add("Patient", "contact", value(part="x")),
        add("Patient", "contained", value(resource="x")),
        add("Patient", "contained", value(resource={})),
        add("Patient", "contained", value(resource={"resourceType": ["Patient"]})),
    ],
)
def test_what_is_no_operation_is_invalid_and_is_named(wrong: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        patched(PATIENT, delete("Patient.photo"), wrong)
    assert refusal.value.issues[0].expression == ("Parameters.parameter[1]",)


def test_what_is_no_parameters_resource_is_invalid() -> None:
    for wrong in ({}, patient(), {"resourceType": "Parameters", "parameter": {}}):
        with pytest.raises(Invalid):
            fhirpath_patch(PATIENT, wrong)


def test_many_operations_are_refused() -> None:
    adding = [add("Patient", "name", value(valueHumanName={"text": "x"}))] * OPERATIONS_MAX
    assert len(fhirpath_patch(patient(), parameters(*adding))["name"]) == OPERATIONS_MAX
    with pytest.raises(TooLarge, match=str(OPERATIONS_MAX)):
        fhirpath_patch(patient(), parameters(*adding, delete("Patient.active")))


def test_a_tower_of_extensions_is_refused() -> None:
    url = parts(url={"valueUri": URL})
    growing = [add("Patient" + ".extension" * levels, "extension", url) for levels in range(80)]
    with pytest.raises(Unprocessable, match="deeper"):
        patched(patient(), *growing)


GROUP: dict[str, Any] = {
    "resourceType": "Group",
    "type": "person",
    "actual": True,
    "member": [{"entity": {"reference": f"Patient/{n}"}} for n in range(20_000)],
}


def test_a_member_of_many_is_found_by_index_and_by_condition() -> None:
    by_index = fhirpath_patch(GROUP, parameters(*[delete(f"Group.member[{n}]") for n in (19_999, 7)]))
    by_condition = fhirpath_patch(
        GROUP,
        parameters(*[delete(f"Group.member.where(entity.reference = 'Patient/{n}')") for n in (19_999, 7)]),
    )
    assert by_index == by_condition
    assert len(by_index["member"]) == 19_998


def test_a_member_is_at_its_index_without_a_look_at_those_before_it() -> None:
    deleting = [delete(f"Group.member[{index}]") for index in range(19_999, 19_999 - OPERATIONS_MAX, -1)]
    left = fhirpath_patch(GROUP, parameters(*deleting))["member"]
    assert left == GROUP["member"][: 20_000 - OPERATIONS_MAX]
    assert patched(PATIENT, delete("Patient.name.given[1]"), delete("Patient.name.family[1]")) == {
        **PATIENT,
        "name": [
            {"use": "official", "family": "A", "given": ["B"]},
            {"use": "usual", "period": {"start": "2020-05-01"}},
        ],
    }
    # The index of an index is one of the one element that it leads to.
    assert patched(PATIENT, delete("Patient.name[1][0].period")) == patched(
        PATIENT, delete("Patient.name[1].period")
    )
    assert patched(PATIENT, delete("Patient.name[1][1]")) == PATIENT


def test_what_takes_too_long_is_refused_in_time() -> None:
    started = time.perf_counter()
    searching = delete("Group.member.where(entity.reference = 'x' or entity.reference = 'y')")
    with pytest.raises(TooCostly):
        fhirpath_patch(GROUP, parameters(*[searching] * OPERATIONS_MAX))
    inside = delete("Group.where(member.where(entity.reference = 'x').exists()).member[0]")
    with pytest.raises(TooCostly):
        fhirpath_patch(GROUP, parameters(*[inside] * OPERATIONS_MAX))
    assert time.perf_counter() - started < 60
