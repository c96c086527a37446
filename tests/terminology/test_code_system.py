"""Hierarchies and filters against a naive reading: https://hl7.org/fhir/R4/codesystem.html#hierarchy"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.errors import Unsupported
from terminology.code_system import CodeSystem, code_system_of
from terminology.filters import filtered
from tests.terminology.resources import a_code_system, a_concept, a_filter

CODES = tuple("abcdef")
COLOURS = ("red", "blue")
DECLARED = [{"code": "colour", "type": "code"}, {"code": "weight", "type": "decimal"}]


@st.composite
def code_systems(draw: st.DrawFn) -> dict[str, Any]:
    """Some codes, nested, and with parents and children told by properties, circles too."""

    def nested(codes: list[str], depth: int) -> list[dict[str, Any]]:
        found = []
        while codes:
            code = codes.pop(0)
            inner = [codes.pop(0) for _ in range(draw(st.integers(0, len(codes))))] if depth else []
            properties: dict[str, list[str]] = {}
            for name, of in (("parent", CODES), ("child", CODES), ("subsumedBy", CODES), ("colour", COLOURS)):
                properties[name] = draw(st.lists(st.sampled_from(of), max_size=1))
            found.append(a_concept(code, *nested(inner, depth - 1), **properties))
        return found

    return a_code_system(*nested(list(CODES), 3), property=DECLARED)


def parents_of(system: dict[str, Any]) -> set[tuple[str, str]]:
    """(child, parent), by reading every concept for each statement in turn."""
    pairs: set[tuple[str, str]] = set()

    def read(concept: dict[str, Any]) -> None:
        pairs.update((inner["code"], concept["code"]) for inner in concept.get("concept", ()))
        for stated in concept.get("property", ()):
            if stated["code"] in ("parent", "subsumedBy"):
                pairs.add((concept["code"], stated["valueCode"]))
            elif stated["code"] == "child":
                pairs.add((stated["valueCode"], concept["code"]))
        for inner in concept.get("concept", ()):
            read(inner)

    for concept in system["concept"]:
        read(concept)
    return pairs


def is_under(code: str, ancestor: str, pairs: set[tuple[str, str]]) -> bool:
    """By trying all paths as long as there are codes."""
    reached = {code}
    for _ in CODES:
        reached |= {parent for child, parent in pairs if child in reached}
    return ancestor in reached


def whole(resource: dict[str, Any]) -> CodeSystem:
    system = code_system_of(resource)
    assert system is not None
    return system


@settings(max_examples=100)
@given(code_systems(), st.sampled_from(CODES))
def test_what_is_under_and_over_a_code_is_what_paths_lead_to(resource: dict[str, Any], code: str) -> None:
    system, pairs = whole(resource), parents_of(resource)
    assert system.codes == set(CODES)
    assert system.below(code) == {other for other in CODES if is_under(other, code, pairs)}
    assert system.above(code) == {other for other in CODES if is_under(code, other, pairs)}


@settings(max_examples=100)
@given(code_systems(), st.sampled_from(CODES), st.sampled_from(CODES), st.sampled_from(COLOURS))
def test_each_filter_finds_what_it_says(resource: dict[str, Any], code: str, other: str, colour: str) -> None:
    system, pairs = whole(resource), parents_of(resource)
    under = {each for each in CODES if is_under(each, code, pairs)}
    colours = {each: system.values[each].get("colour", ()) for each in CODES}
    expected = {
        ("concept", "is-a", code): under,
        ("code", "is-a", code): under,
        ("concept", "descendent-of", code): under - {code},
        ("concept", "is-not-a", code): set(CODES) - under,
        ("concept", "generalizes", code): {each for each in CODES if is_under(code, each, pairs)},
        ("concept", "=", code): {code},
        ("concept", "in", f"{code}, {other}"): {code, other},
        ("concept", "not-in", f"{code},{other}"): set(CODES) - {code, other},
        ("concept", "exists", "true"): set(CODES),
        ("concept", "exists", "false"): set(),
        ("parent", "=", code): {child for child, parent in pairs if parent == code},
        ("child", "=", code): {parent for child, parent in pairs if child == code},
        ("colour", "=", colour): {each for each in CODES if colour in colours[each]},
        ("colour", "in", "red,blue"): {each for each in CODES if colours[each]},
        ("colour", "not-in", colour): {each for each in CODES if colour not in colours[each]},
        ("colour", "exists", "true"): {each for each in CODES if colours[each]},
        ("colour", "exists", "false"): {each for each in CODES if not colours[each]},
    }
    for (property, op, value), codes in expected.items():
        assert filtered(system, a_filter(op, value, property)) == codes, (property, op, value)


@pytest.mark.parametrize(
    "filter",
    [
        a_filter("regex", "a.*"),
        a_filter("regex", "a.*", "colour"),
        a_filter("is-a", "red", "colour"),
        a_filter("is-a", "unknown"),
        a_filter("=", "a", "size"),
        a_filter("=", "1.0", "weight"),
        a_filter("exists", "maybe", "colour"),
        a_filter("exists", "maybe"),
        a_filter("sounds-like", "a"),
        a_filter("regex", "a", "parent"),
        {"property": "concept", "op": "is-a"},
    ],
)
def test_a_filter_that_cannot_be_told_exactly_is_refused(filter: dict[str, str]) -> None:
    system = whole(a_code_system(a_concept("a", colour=["red"]), property=DECLARED))
    with pytest.raises(Unsupported):
        filtered(system, filter)


def test_a_hierarchy_that_is_no_subsumption_is_refused() -> None:
    system = whole(a_code_system(a_concept("a", a_concept("b")), hierarchyMeaning="part-of"))
    for ask in (system.below, system.above):
        with pytest.raises(Unsupported):
            ask("a")


@pytest.mark.parametrize("content", ["fragment", "example", "not-present", "supplement"])
def test_what_is_not_complete_is_not_a_code_system_to_go_by(content: str) -> None:
    assert code_system_of(a_code_system(a_concept("a"), content=content)) is None


def test_what_only_groups_and_what_is_retired_is_told() -> None:
    system = whole(
        a_code_system(
            a_concept("group", notSelectable=[True]),
            a_concept("old", inactive=[True]),
            a_concept("gone", status=["retired"]),
            a_concept("now", status=["active"], inactive=[False], notSelectable=[False]),
        )
    )
    assert system.abstract == {"group"}
    assert system.inactive == {"old", "gone"}


def test_a_coding_is_compared_by_its_code_and_with_its_system() -> None:
    coding = {"code": "kind", "valueCoding": {"system": "http://x", "code": "k"}}
    declared = [{"code": "kind", "type": "Coding"}]
    system = whole(a_code_system({"code": "a", "property": [coding]}, property=declared))
    for value in ("k", "http://x|k"):
        assert filtered(system, a_filter("=", value, "kind")) == {"a"}
    assert not filtered(system, a_filter("=", "http://y|k", "kind"))
