"""https://hl7.org/fhir/R4/search.html#escaping"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid
from fhir_server.search.predicates.entry import escape
from fhir_server.search.values.escaping import SEPARATORS, split, unescaped, written

texts = st.text(alphabet=st.one_of(st.sampled_from("\\,|$ab"), st.characters()), max_size=12)
separators = st.sampled_from(SEPARATORS)


@given(texts)
def test_a_value_that_is_written_is_read_back(value: str) -> None:
    assert unescaped(written(value)) == value


@given(st.lists(texts, min_size=1, max_size=4), separators)
def test_values_between_separators_are_read_back(values: list[str], separator: str) -> None:
    text = separator.join(written(value) for value in values)
    assert [unescaped(part) for part in split(text, separator)] == values


@given(texts, separators)
def test_splitting_loses_nothing(text: str, separator: str) -> None:
    assert separator.join(split(text, separator)) == text


@pytest.mark.parametrize("text", ["\\", "a\\b", "\\n", "\\\\\\"])
def test_a_backslash_before_what_needs_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        unescaped(text)


@given(st.lists(texts, max_size=3), st.lists(texts, max_size=3))
def test_different_parts_never_make_the_same_token(one: list[str], other: list[str]) -> None:
    as_token = ["|".join(escape(part) for part in parts) for parts in (one, other)]
    assert (as_token[0] == as_token[1]) == (
        one == other or ({len(one), len(other)} == {0, 1} and not any(one + other))
    )
