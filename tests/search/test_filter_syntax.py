"""https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid, TooCostly
from fhir_server.search.asking.filter_syntax import (
    NESTING_MAX,
    TESTS_MAX,
    Comparison,
    Filter,
    Joined,
    Negated,
    Operator,
    Step,
    parsed,
)


def a_test(name: str, operator: Operator, value: str) -> Comparison:
    return Comparison((Step(name),), operator, value)


A, B, C = a_test("a", "eq", "1"), a_test("b", "eq", "2"), a_test("c", "eq", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a eq 1", A),
        ("  a  eq  1  ", A),
        ('name co "pet er"', a_test("name", "co", "pet er")),
        (r'name eq "a \"b\" \\ ü \u00fc)]"', a_test("name", "eq", 'a "b" \\ ü ü)]')),
        ("code eq http://loinc.org|1234-5", a_test("code", "eq", "http://loinc.org|1234-5")),
        (
            "_lastUpdated ge 2014-10-10T10:00:00+01:00",
            a_test("_lastUpdated", "ge", "2014-10-10T10:00:00+01:00"),
        ),
        ("a eq 1 and b eq 2", Joined(A, "and", B)),
        # From left to right, without a rank among them.
        ("a eq 1 or b eq 2 and c eq 3", Joined(Joined(A, "or", B), "and", C)),
        ("a eq 1 and b eq 2 or c eq 3", Joined(Joined(A, "and", B), "or", C)),
        ("a eq 1 or (b eq 2 and c eq 3)", Joined(A, "or", Joined(B, "and", C))),
        ("(a eq 1)or(b eq 2)", Joined(A, "or", B)),
        ("not (a eq 1)", Negated(A)),
        ("not(a eq 1 or b eq 2) and c eq 3", Joined(Negated(Joined(A, "or", B)), "and", C)),
        ("((a eq 1))", A),
        ("notes eq 1", a_test("notes", "eq", "1")),
        ("order eq and", a_test("order", "eq", "and")),
        ("subject.name pr true", Comparison((Step("subject"), Step("name")), "pr", "true")),
        ("subject[a eq 1].name eq 2", Comparison((Step("subject", A), Step("name")), "eq", "2")),
        (
            "x[a eq 1 and b eq 2].y[not (c eq 3)].z re Observation/4",
            Comparison(
                (Step("x", Joined(A, "and", B)), Step("y", Negated(C)), Step("z")), "re", "Observation/4"
            ),
        ),
    ],
)
def test_a_filter_is_read(text: str, expected: Filter) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("a", 2),
        ("a eq", 2),
        ("a eq ", 6),
        ("a xx 1", 2),
        ("a eq 1 b", 8),
        ("a eq 1 and", 11),
        ("a eq 1 xor b eq 2", 8),
        ("(a eq 1", 8),
        ("a eq 1)", 7),
        ("a[b eq 1] eq 2", 10),
        ("a[b eq 1.c eq 2", 12),
        ("a..b eq 1", 3),
        ("1a eq 1", 1),
        ('a eq "open', 6),
        (r'a eq "\x"', 10),
        ("not a eq 1", 4),
        ("a eq 1 and and b eq 2", 15),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place(text: str, place: int) -> None:
    with pytest.raises(Invalid, match=f"at character {place} "):
        parsed(text)


def test_a_filter_has_limits() -> None:
    assert parsed("(" * NESTING_MAX + "a eq 1" + ")" * NESTING_MAX) == A
    with pytest.raises(TooCostly):
        parsed("(" * (NESTING_MAX + 1) + "a eq 1" + ")" * (NESTING_MAX + 1))
    with pytest.raises(TooCostly):
        parsed("a[" * 1_000 + "b eq 1" + "].c eq 1" * 1_000)
    with pytest.raises(TooCostly):
        parsed(" or ".join(["a eq 1"] * (TESTS_MAX + 1)))


names = st.sampled_from(["a", "b-c", "_id", "not", "and", "or", "eq"])
values = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
tests = st.builds(
    a_test,
    names,
    st.sampled_from(get_args(Operator)),
    values,
)


def said(filter: Filter) -> str:
    """A text that means the filter."""
    match filter:
        case Negated(filter=inner):
            return f"not ({said(inner)})"
        case Joined(left=left, word=word, right=right):
            return f"({said(left)}) {word} ({said(right)})"
        case Comparison(path=path, operator=operator, value=value):
            quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            escaped = "".join(f"\\u{ord(one):04x}" if ord(one) < 32 else one for one in quoted)
            steps = (step.name + (f"[{said(step.filter)}]" if step.filter else "") for step in path)
            return f"{'.'.join(steps)} {operator} {escaped}"


filters = st.recursive(
    tests,
    lambda inner: (
        st.builds(Negated, inner)
        | st.builds(Joined, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds(
            lambda inner, test: Comparison((Step("x", inner), *test.path), test.operator, test.value),
            inner,
            tests,
        )
    ),
    max_leaves=6,
)


@given(filters)
def test_what_a_filter_says_is_read_back(filter: Filter) -> None:
    assert parsed(said(filter)) == filter


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed(text)
    except (Invalid, TooCostly):
        return
