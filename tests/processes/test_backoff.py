from __future__ import annotations

from fhir_server.store.embedded.backoff import DELAY_SECONDS, STEADY_SECONDS, Backoff


def test_the_first_death_is_answered_at_once_and_the_next_ones_ever_later() -> None:
    backoff = Backoff()
    delays = [backoff.after(lived_seconds=1) for _ in range(8)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == delays[-2] == DELAY_SECONDS[-1]


def test_after_a_steady_life_a_death_counts_as_the_first() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(lived_seconds=1)
    assert backoff.after(lived_seconds=STEADY_SECONDS) == 0
