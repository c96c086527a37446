"""FHIRPath Patch at every element of R4, and on lists that Hypothesis makes up."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.fhirpath.model import alternatives
from fhir_server.r4.patch import fhirpath_patch
from fhir_server.r4.resource import to_text
from tests.r4 import instances
from tests.r4.instances import Place, instance_at
from tests.r4.patch.parameters import (
    add,
    delete,
    insert,
    move,
    operation,
    parameters,
    patched,
    patient,
    replace,
    value,
)

MEMBERS = {found.type: found.member for found in alternatives("Parameters.parameter", "value")}


def given_at(place: Place) -> dict[str, Any] | None:
    """What stands at the place as a parameter gives it; None for a type that it cannot give."""
    stands = instances.value(place.element, place.declared)
    if place.declared.code in MEMBERS:
        return value(**{MEMBERS[place.declared.code]: stands})
    if place.declared.code == "xhtml":
        return value(valueString=stands)
    return value(resource=stands) if place.declared.code == "Resource" else None


@pytest.mark.parametrize("type", sorted(definitions().resource_types))
def test_each_element_can_be_replaced_by_itself(type: str) -> None:
    tried = 0
    for place in instances.places(type):
        what = given_at(place)
        if what is None or place.element.has_structure:
            continue
        tried += 1
        before = instance_at(place)
        after = fhirpath_patch(before, parameters(replace(place.expression, what)))
        assert to_text(after) == to_text(before), place
    assert tried


@pytest.mark.parametrize("type", sorted(definitions().resource_types))
def test_each_element_can_be_deleted_and_added_again(type: str) -> None:
    for place in instances.places(type):
        what = given_at(place)
        around = place.expression.rpartition(".")[0]
        # An id says something beside it, so that what is around it does not go away, too.
        keep = [add(around, "id", value(valueString="kept"))] if "." in around else []
        if what is None or place.element.has_structure or place.element.name == "id":
            continue
        before = fhirpath_patch(instance_at(place), parameters(*keep))
        gone = fhirpath_patch(before, parameters(delete(place.expression)))
        assert gone != before, place
        assert fhirpath_patch(gone, parameters(add(around, place.element.name, what))) == before, place


entries = st.tuples(st.sampled_from(["A", "B", "C"]), st.none() | st.sampled_from(["1", "2"]))
steps = st.one_of(
    st.tuples(st.just("add"), entries),
    st.tuples(st.just("insert"), st.integers(0, 5), entries),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("replace"), st.integers(0, 5), entries),
    st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 5)),
)
GIVEN = "Patient.name.given"


def name_of(names: list[tuple[str, str | None]]) -> dict[str, Any]:
    name: dict[str, Any] = {"family": "F"}
    if names:
        name["given"] = [text for text, _ in names]
    if any(id for _, id in names):
        name["_given"] = [None if id is None else {"id": id} for _, id in names]
    return name


def string(entry: tuple[str, str | None]) -> dict[str, Any]:
    text, id = entry
    return value(valueString=text, **({} if id is None else {"_valueString": {"id": id}}))


@settings(max_examples=200)
@given(st.lists(entries, max_size=4), st.lists(steps, max_size=6))
def test_a_list_of_primitives_is_changed_as_a_list_of_pairs(
    names: list[tuple[str, str | None]], changes: list[Any]
) -> None:
    before = patient(name=[name_of(names)])
    operations = []
    for change in changes:
        match change:
            case "add", entry:
                operations.append(add("Patient.name", "given", string(entry)))
                names = [*names, entry]
            case "insert", index, entry if index <= len(names):
                operations.append(insert(GIVEN, index, string(entry)))
                names = [*names[:index], entry, *names[index:]]
            case "delete", index:
                operations.append(delete(f"{GIVEN}[{index}]"))
                names = [*names[:index], *names[index + 1 :]]
            case "replace", index, entry if index < len(names):
                operations.append(replace(f"{GIVEN}[{index}]", string(entry)))
                names = [*names[:index], entry, *names[index + 1 :]]
            case "move", source, destination if max(source, destination) < len(names):
                operations.append(move(GIVEN, source, destination))
                rest = [*names[:source], *names[source + 1 :]]
                names = [*rest[:destination], names[source], *rest[destination:]]
    assert patched(before, *operations) == patient(name=[name_of(names)])


WORDS = [
    *"Patient name given family contact telecom value extension deceased id".split(),
    *"where( first() last() ofType(".split(),
    *"'x' 0 ) ( [ ] . = and | ~ $this %resource as is exists( not() String Quantity - @2020 { }".split(),
]
paths = st.lists(st.sampled_from(WORDS), max_size=10).map("".join) | st.sampled_from(
    [
        "Patient",
        "Patient.name",
        "Patient.name[0]",
        "Patient.name.given",
        "Patient.birthDate",
        "Patient.contact",
    ]
)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["name", "given", "x", "Patient"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "part", "resource", "resourceType", "url", "text", "extension", *MEMBERS.values()]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
parts_of_any_kind = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["name", "value", "index", "source", "destination"])},
            optional={
                "valueString": st.sampled_from(["name", "given", "contact", "extension", "active"]) | json,
                "valueInteger": st.integers(-1, 3),
                "valueHumanName": json,
                "part": json,
                "resource": json,
            },
        ),
        json,
    ),
    max_size=4,
)
operations_of_any_kind = st.builds(
    lambda kind, path, parts: operation(kind, path, *parts),
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    paths,
    parts_of_any_kind,
)


@settings(max_examples=500)
@given(st.lists(operations_of_any_kind | json, max_size=3))
def test_whatever_a_patch_is_it_is_applied_or_refused(operations: list[Any]) -> None:
    before = patient(
        birthDate="1970",
        name=[{"family": "F", "given": ["A", None], "_given": [None, {"id": "g"}]}, {"text": "T"}],
        contact=[{"gender": "male"}],
    )
    kept = copy.deepcopy(before)
    try:
        fhirpath_patch(before, parameters(*operations))
    except FhirError as refusal:
        where = refusal.issues[0].expression
        assert not where or where[0].startswith("Parameters.parameter[")
    assert before == kept
