"""Sequences sort in the order they were given, and no two are equal."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.sequence import Sequence


@given(st.lists(st.integers(0, 2**48 - 2), min_size=2))
def test_a_later_one_is_greater_whatever_the_clock_does(clock: list[int]) -> None:
    sequence = Sequence(Random(1))
    given_out = [sequence.next(milliseconds) for milliseconds in clock]
    assert given_out == sorted(set(given_out))
    assert {len(one) for one in given_out} == {17}


def test_those_of_two_processes_in_one_millisecond_differ_and_later_ones_are_greater() -> None:
    left, right = Sequence(Random(1)), Sequence(Random(2))
    now = 1_795_000_000_000
    together = {left.next(now), right.next(now), left.next(now), right.next(now)}
    assert len(together) == 4
    assert max(together) < min(left.next(now + 1), right.next(now + 1))
