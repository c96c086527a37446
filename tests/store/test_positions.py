"""Positions survive a link, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid
from fhir_server.store.positions import Position

numbers = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(numbers, st.from_regex(r"\A[A-Za-z0-9_./~-]{0,40}\Z"), numbers, st.booleans())
def test_a_position_survives_its_text(value: int | None, tie: str, as_of: int | None, back: bool) -> None:
    position = Position(value, tie, as_of, back)
    assert Position.from_text(position.to_text()) == position
    assert position.turned.turned == position


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_is_a_position(text: str) -> None:
    try:
        position = Position.from_text(text)
    except Invalid:
        return
    assert Position.from_text(position.to_text()) == position


@pytest.mark.parametrize(
    "written",
    [
        '["a","b",1,false]',
        '[1,"b",1]',
        '[1,"b",2,3]',
        '[1,"b",2,null]',
        '{"$gt":1}',
        '[{"$gt":1},"b",1,false]',
        '[1,{"$ne":""},1,false]',
        '[1,"b\\u0000",1,false]',
        '[1,"b\\n",1,false]',
        '[1.5,"b",1,false]',
        '[9223372036854775808,"b",1,false]',
        '[true,"b",1,false]',
        "",
    ],
)
def test_what_is_no_position_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        Position.from_text(written)
