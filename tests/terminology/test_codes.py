"""Sets of codes obey the algebra of sets, whether their system is known or not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from terminology.codes import ANY, NO_CODES, Codes, Selected, any_of, listed

ALPHABET = ("a", "b", "c", "d")
SYSTEMS = ("s", "t")

selections = st.builds(
    lambda codes, others: Selected(codes, others=others),
    st.frozensets(st.sampled_from(ALPHABET[:3])),
    st.booleans(),
)
sets = st.dictionaries(st.sampled_from(SYSTEMS), selections).map(
    lambda of: Codes({system: some for system, some in of.items() if some})
)


def members(codes: Codes) -> set[tuple[str, str]]:
    """Of a small world, in which `d` is a code that nobody lists."""
    return {(s, c) for s in SYSTEMS for c in ALPHABET if s in codes.of and c in codes.of[s]}


@settings(max_examples=200)
@given(sets, sets)
def test_union_intersection_and_difference_are_those_of_sets(left: Codes, right: Codes) -> None:
    assert members(left | right) == members(left) | members(right)
    assert members(left & right) == members(left) & members(right)
    assert members(left - right) == members(left) - members(right)


@given(sets, sets)
def test_a_system_without_anything_is_left_out(left: Codes, right: Codes) -> None:
    for together in (left | right, left & right, left - right):
        assert all(together.of.values())


def test_what_is_listed_is_counted() -> None:
    assert len(listed("s", "ab") | listed("t", "a")) == 3
    assert len(any_of("s")) == len(NO_CODES) == 0
    assert any_of("s") - any_of("s") == NO_CODES
    assert "x" in ANY
