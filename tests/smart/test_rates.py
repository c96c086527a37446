"""Rates: how often one may come, whatever the order in which anybody comes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.smart.rates import Rates, network_of

PERIOD = 60.0
PAUSES = st.lists(st.floats(0, PERIOD, allow_nan=False), min_size=1, max_size=120)


@dataclass(slots=True)
class Moving:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 20), PAUSES)
def test_within_a_period_at_most_twice_as_many_get_through(requests_max: int, pauses: list[float]) -> None:
    clock = Moving()
    rates = Rates(requests_max, PERIOD, clock)
    through: deque[float] = deque()
    for pause in pauses:
        clock.now += pause / requests_max
        if rates.seconds_to_wait("a") == 0:
            through.append(clock.now)
        while through and through[0] < clock.now - PERIOD:
            through.popleft()
        assert len(through) <= 2 * requests_max


@given(st.integers(1, 500))
def test_as_many_as_the_rate_come_at_once_and_not_one_more(requests_max: int) -> None:
    rates = Rates(requests_max, PERIOD, Moving())
    assert [rates.seconds_to_wait("a") for _ in range(requests_max)] == [0] * requests_max
    assert rates.seconds_to_wait("a") > 0


@given(st.integers(1, 20), PAUSES)
def test_who_waits_as_long_as_told_is_let_through(requests_max: int, pauses: list[float]) -> None:
    clock = Moving()
    rates = Rates(requests_max, PERIOD, clock)
    for pause in pauses:
        clock.now += pause / 10
        if seconds := rates.seconds_to_wait("a"):
            clock.now += seconds
            assert rates.seconds_to_wait("a") == 0


@given(st.integers(1, 1_000), st.integers(1, 2_000))
def test_who_keeps_to_the_rate_is_never_refused(requests_max: int, number: int) -> None:
    clock = Moving()
    rates = Rates(requests_max, PERIOD, clock)
    for _ in range(number):
        assert rates.seconds_to_wait("a") == 0
        clock.now += PERIOD / requests_max


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_nobody_is_refused_for_what_another_one_did(keys: list[str]) -> None:
    rates = Rates(5, PERIOD, Moving())
    answers = [(key, rates.seconds_to_wait(key)) for key in keys]
    for one in "abc":
        alone = Rates(5, PERIOD, Moving())
        assert [wait for key, wait in answers if key == one] == [
            alone.seconds_to_wait(one) for key in keys if key == one
        ]


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 30), st.floats(0, PERIOD)), max_size=100))
def test_what_is_remembered_is_bounded(keys_max: int, asked: list[tuple[int, float]]) -> None:
    clock = Moving()
    rates = Rates(3, PERIOD, clock, keys_max)
    for key, pause in asked:
        rates.seconds_to_wait(key)
        assert len(rates) <= keys_max + 1
        clock.now += pause


def test_more_than_are_remembered_share_one_rate_until_a_period_has_gone_by() -> None:
    clock = Moving()
    rates = Rates(2, PERIOD, clock, keys_max=1)
    assert rates.seconds_to_wait("a") == 0
    assert [rates.seconds_to_wait(key) for key in "bcd"] == [0, 0, 15]
    clock.now += PERIOD
    assert [rates.seconds_to_wait("d") for _ in range(3)] == [0, 0, 15]


def test_a_network_of_ipv6_is_one_address() -> None:
    assert network_of("2001:db8:0:1::1") == network_of("2001:db8:0:1:ffff::2%eth0") == "2001:db8:0:1::/64"
    assert (network_of("192.0.2.7"), network_of("no:address")) == ("192.0.2.7", "no:address")
