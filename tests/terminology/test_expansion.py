"""The codes of a value set: https://hl7.org/fhir/R4/valueset.html#compositions"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.errors import FhirError, TooCostly, Unsupported
from fhir_server.r4.resource import Resource
from terminology.codes import ANY, Codes, Selected, listed
from terminology.expansion import Needs, expansion, needs
from tests.terminology.resources import (
    S,
    Shelf,
    T,
    a_code_system,
    a_concept,
    a_filter,
    a_value_set,
    of_system,
)

TREE = a_code_system(
    a_concept("a", a_concept("b", a_concept("c")), a_concept("d")),
    a_concept("e", notSelectable=[True]),
    a_concept("f", inactive=[True]),
    version="1",
)
WORLD = frozenset((system, code) for system in (S, T) for code in "abcdefz")
"""`z` is a code that no system here has; T is not here."""


def codes_of(value_set: Resource, shelf: Shelf | None = None, codes_max: int = 1000) -> Codes:
    return expansion(value_set, shelf or Shelf(systems={S: TREE}), codes_max=codes_max)


def members(codes: Codes) -> set[tuple[str, str]]:
    return {(system, code) for system, code in WORLD if system in codes.of and code in codes.of[system]}


includes = st.one_of(
    st.builds(
        lambda codes, system: of_system(*codes, system=system),
        st.lists(st.sampled_from("abcdefz"), min_size=1, max_size=3),
        st.sampled_from((S, T)),
    ),
    st.sampled_from([of_system(), of_system(system=T)]),
    st.builds(
        lambda op, code: of_system(filter=[a_filter(op, code)]),
        st.sampled_from(("is-a", "descendent-of", "is-not-a", "generalizes")),
        st.sampled_from("abcd"),
    ),
)
urls = st.sampled_from(("v0", "v1", "v2"))
imports = st.lists(urls, min_size=1, max_size=2).map(lambda some: {"valueSet": some})
both = st.builds(lambda include, imported: {**include, **imported}, includes, imports)
value_sets = st.builds(
    lambda include, exclude: a_value_set(*include, exclude=tuple(exclude)),
    st.lists(st.one_of(includes, includes, both, imports), min_size=1, max_size=3),
    st.lists(includes, max_size=2),
)

UNDER = {"a": "abcd", "b": "bc", "c": "c", "d": "d"}
OVER = {"a": "a", "b": "ab", "c": "abc", "d": "ad"}


class Circular(Exception):
    pass


def is_in(
    system: str, code: str, value_set: Resource, known: dict[str, Resource], led: tuple[str, ...]
) -> bool:
    """One code at a time, word for word as R4 has it."""

    def selects(include: Resource, *, excluding: bool) -> bool:
        for url in include.get("valueSet", ()):
            if url in led:
                raise Circular
        results = [is_in(system, code, known[url], known, (*led, url)) for url in include.get("valueSet", ())]
        if "system" in include:
            results.append(in_system(include, excluding=excluding))
        return all(results)

    def in_system(include: Resource, *, excluding: bool) -> bool:
        if system != include["system"]:
            return False
        if "concept" in include:
            return any(concept["code"] == code for concept in include["concept"])
        if system == T:
            return True
        if code not in "abcdef" or (code == "e" and not excluding):
            return False
        return all(passes(each["op"], each["value"]) for each in include.get("filter", ()))

    def passes(op: str, value: str) -> bool:
        return {
            "is-a": code in UNDER[value],
            "descendent-of": code in UNDER[value] and code != value,
            "is-not-a": code not in UNDER[value],
            "generalizes": code in OVER[value],
        }[op]

    compose = value_set["compose"]
    included = [selects(include, excluding=False) for include in compose["include"]]
    excluded = [selects(exclude, excluding=True) for exclude in compose.get("exclude", ())]
    return any(included) and not any(excluded)


@settings(max_examples=200)
@given(value_sets, st.dictionaries(urls, value_sets, min_size=3))
def test_an_expansion_has_the_codes_that_are_in_the_value_set(
    value_set: dict[str, Any], known: dict[str, Resource]
) -> None:
    try:
        expected = {one for one in WORLD if is_in(*one, value_set, known, ())}
    except Circular:
        with pytest.raises(Unsupported):
            codes_of(value_set, Shelf(known, {S: TREE}))
        return
    of_t = {code for system, code in expected if system == T}
    if is_in(T, "a code that nobody lists", value_set, known, ()) and len(of_t) < 7:
        # Whatever code T has but for some: an index cannot be asked for that.
        with pytest.raises(Unsupported, match="excludes codes of a code system that is not here"):
            codes_of(value_set, Shelf(known, {S: TREE}))
        return
    assert members(codes_of(value_set, Shelf(known, {S: TREE}))) == expected


def expanded(*contains: Resource, **stated: Any) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "status": "active",
        "expansion": {"timestamp": "2024", "contains": list(contains), **stated},
    }


def an_entry(code: str, *inner: Resource, **stated: Any) -> dict[str, Any]:
    return {"system": S, "code": code, **({"contains": list(inner)} if inner else {}), **stated}


def test_a_stored_expansion_is_taken_with_what_is_nested_and_inactive_but_not_what_is_abstract() -> None:
    heading = {"display": "Heading", "contains": [an_entry("b", inactive=True)]}
    value_set = expanded(an_entry("a", an_entry("c"), abstract=True), heading, total=4)
    assert codes_of(value_set) == listed(S, "bc")
    assert needs(value_set) == Needs(frozenset(), frozenset())


@pytest.mark.parametrize(
    "stated",
    [
        {"total": 2},
        {"offset": 1},
        {"parameter": [{"name": "offset", "valueInteger": 5}]},
        {"parameter": [{"name": "filter", "valueString": "a"}]},
        {"parameter": [{"name": "count", "valueInteger": 1}]},
        {"parameter": [{"name": "activeOnly", "valueBoolean": True}]},
        {"parameter": [{"name": "limitedExpansion", "valueBoolean": True}]},
        {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
                    "valueBoolean": True,
                }
            ]
        },
    ],
)
def test_an_expansion_that_is_a_part_is_not_taken(stated: dict[str, Any]) -> None:
    value_set = expanded(an_entry("z"), **stated)
    with pytest.raises(Unsupported):
        codes_of(value_set)
    assert codes_of({**a_value_set(of_system("a")), "expansion": value_set["expansion"]}) == listed(S, "a")


def test_an_expansion_may_be_empty_if_it_says_so() -> None:
    assert not codes_of(expanded(total=0)).of
    with pytest.raises(Unsupported):
        codes_of(expanded())


@pytest.mark.parametrize(
    "value_set",
    [
        {"resourceType": "ValueSet", "status": "active"},
        a_value_set(),
        a_value_set(of_system("a", "f"), compose={"inactive": False, "include": [of_system(system=T)]}),
        a_value_set(of_system(system=T, filter=[a_filter("is-a", "a")])),
        a_value_set(of_system(system=T, version="1")),
        a_value_set(of_system(version="2")),
        a_value_set({"valueSet": ["unknown"]}),
        a_value_set({"valueSet": ["#contained"]}),
        a_value_set({"valueSet": [None]}),
        a_value_set(of_system(system=T), exclude=(of_system("a", system=T),)),
    ],
)
def test_what_cannot_be_told_exactly_is_refused(value_set: Resource) -> None:
    with pytest.raises(Unsupported) as refused:
        codes_of(value_set)
    assert str(refused.value)


def test_a_value_set_that_includes_itself_is_refused_whoever_begins() -> None:
    one, other = a_value_set({"valueSet": ["v1"]}), a_value_set({"valueSet": ["v0"]}, of_system("a"))
    for value_set in (one, other):
        with pytest.raises(Unsupported, match="includes itself"):
            codes_of(value_set, Shelf({"v0": one, "v1": other}))


def test_value_sets_that_share_others_are_expanded_once() -> None:
    known: dict[str, Codes | Resource] = {"v40": a_value_set(of_system("a"))}
    for n in range(40):
        known[f"v{n}"] = a_value_set({"valueSet": [f"v{n + 1}"]}, {"valueSet": [f"v{n + 1}"]})
    value_set = known["v0"]
    assert not isinstance(value_set, Codes)
    assert codes_of(value_set, Shelf(known)) == listed(S, "a")


def test_inactive_codes_are_in_unless_the_value_set_says_not() -> None:
    assert "f" in codes_of(a_value_set(of_system())).of[S]
    value_set = a_value_set(of_system("a", "f"))
    value_set["compose"]["inactive"] = False
    assert codes_of(value_set) == listed(S, "a")
    assert needs(value_set).code_systems == {(S, None)}


def test_any_code_of_a_system_that_is_not_here_is_in() -> None:
    assert codes_of(a_value_set(of_system(system=T), of_system("a"))) == Codes(
        {T: ANY, S: Selected(frozenset("a"))}
    )


def test_too_many_codes_are_refused_wherever_they_come_from() -> None:
    for value_set in (a_value_set(of_system()), a_value_set(of_system("a", "b", "c", "d"))):
        with pytest.raises(TooCostly):
            codes_of(value_set, codes_max=3)
    assert isinstance(TooCostly("x"), FhirError)
