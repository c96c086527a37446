"""Chance that can be repeated, and stays within its bounds."""

from __future__ import annotations

from collections import Counter
from statistics import mean, pstdev

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.population.dice import Dice, Weighted


@given(st.text(), st.integers(-1000, 1000), st.integers(0, 1000))
def test_a_whole_number_lies_between_its_ends(seed: str, low: int, span: int) -> None:
    assert low <= Dice(seed).between(low, low + span) <= low + span


@given(st.text(), st.integers(1, 12))
def test_digits_are_as_many_as_asked_for(seed: str, count: int) -> None:
    dice = Dice(seed)
    assert len(dice.digits(count)) == count
    assert len(dice.hexadecimal(count)) == count


@given(st.lists(st.tuples(st.integers(), st.floats(0.001, 1000)), min_size=1), st.floats(0, 1))
def test_every_share_of_the_weight_is_something(weights: list[tuple[int, float]], share: float) -> None:
    assert Weighted(weights).at(share) in [thing for thing, _ in weights]


def test_things_come_as_often_as_their_weight_says() -> None:
    dice, things = Dice("weights"), Weighted([("a", 1), ("b", 3), ("c", 0), ("d", 6)])
    drawn = Counter(dice.weighted(things) for _ in range(10_000))
    assert set(drawn) == {"a", "b", "d"}
    assert 0.9 < drawn["a"] / 1000 < 1.1
    assert 0.9 < drawn["d"] / 6000 < 1.1


def test_a_bell_has_the_mean_and_deviation_asked_for() -> None:
    dice = Dice("bell")
    drawn = [dice.around(36.7, 0.5) for _ in range(10_000)]
    assert abs(mean(drawn) - 36.7) < 0.02
    assert abs(pstdev(drawn) - 0.5) < 0.02


def test_the_stream_is_the_one_that_python_promises() -> None:
    dice = Dice("for ever")
    assert [dice.between(0, 999) for _ in range(5)] == [464, 260, 826, 443, 399]
