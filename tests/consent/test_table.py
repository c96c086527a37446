"""The table: exact as of an epoch, and one judgement whether asked or as a predicate."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consent.table
from consent.decision import BASE_POLICIES, NO_PATIENT, BasePolicy, Requester
from consent.table import ConsentTable
from fhir_server.r4.errors import TooCostly
from fhir_server.search.predicates.predicate import Everything, Not, OfPatients, OnlyOfPatients
from tests.consent.consents import (
    DOCTOR,
    NOON,
    PATIENT,
    PATIENTS,
    a_consent,
    an_actor,
    consents,
    holds,
    moments,
    requesters,
)

bases = st.sampled_from(sorted(BASE_POLICIES)).map(BASE_POLICIES.__getitem__)
entries = st.lists(st.sampled_from((*PATIENTS, "4")), max_size=3, unique=True).map(tuple)


def a_table(*given_consents: dict[str, Any], base: BasePolicy = BASE_POLICIES["basic"]) -> ConsentTable:
    table = ConsentTable(base)
    table.apply([(consent["id"], consent) for consent in given_consents], 1)
    return table


@given(
    st.lists(consents(), max_size=8),
    st.lists(st.tuples(requesters, moments, entries), min_size=1, max_size=8),
    bases,
)
@settings(max_examples=200)
def test_the_restriction_is_the_decision_as_a_predicate(
    given_consents: list[dict[str, Any]],
    questions: list[tuple[Requester, datetime, tuple[str, ...]]],
    base: BasePolicy,
) -> None:
    """Questions are asked of one table, so that what it remembers is tested too."""
    table = a_table(*given_consents, base=base)
    for requester, now, patients in questions:
        decision = table.decide(patients, requester, now)
        assert holds(table.restriction(requester, now), patients) is decision.permitted


@given(st.lists(consents(), max_size=5), consents(), requesters, moments, bases, entries)
@settings(max_examples=100)
def test_an_inactive_consent_changes_nothing(
    before: list[dict[str, Any]],
    other: dict[str, Any],
    requester: Requester,
    now: datetime,
    base: BasePolicy,
    patients: tuple[str, ...],
) -> None:
    without = a_table(*before, base=base)
    with_it = a_table(*before, {**other, "id": "z", "status": "inactive"}, base=base)
    assert with_it.decide(patients, requester, now) == without.decide(patients, requester, now)
    assert with_it.restriction(requester, now) == without.restriction(requester, now)


@given(st.lists(st.tuples(consents(), st.booleans()), max_size=10), requesters, moments, bases, st.data())
@settings(max_examples=100)
def test_applied_in_pieces_or_at_once_the_table_is_the_same(
    changes: list[tuple[dict[str, Any], bool]],
    requester: Requester,
    now: datetime,
    base: BasePolicy,
    data: st.DataObject,
) -> None:
    listed = [(consent["id"], None if deleted else consent) for consent, deleted in changes]
    cut = data.draw(st.integers(0, len(listed)))
    pieces = ConsentTable(base)
    pieces.apply(listed[:cut], 1)
    pieces.restriction(requester, now)
    pieces.apply(listed[cut:], 2)
    last = {id: resource for id, resource in listed if resource is not None and dict(listed)[id] is resource}
    at_once = a_table(*last.values(), base=base)
    assert pieces.restriction(requester, now) == at_once.restriction(requester, now)
    for patient in PATIENTS:
        assert pieces.decide((patient,), requester, now) == at_once.decide((patient,), requester, now)


def test_all_patients_must_permit() -> None:
    table = a_table(a_consent("deny", patient="2"))
    assert table.decide(("1",), DOCTOR, NOON).permitted
    assert table.decide(("1", "3"), DOCTOR, NOON).permitted
    refusal = table.decide(("1", "2", "3"), DOCTOR, NOON)
    assert not refusal.permitted
    assert refusal.basis == ("Consent/c",)


def test_a_permit_for_several_patients_rests_on_all_their_consents() -> None:
    table = a_table(a_consent("permit", id="a", patient="1"), a_consent("permit", id="b", patient="2"))
    assert table.decide(("1", "2", "3"), DOCTOR, NOON).basis == ("Consent/a", "Consent/b")


def test_what_concerns_no_patient_is_no_matter_of_consent() -> None:
    assert a_table(base=BASE_POLICIES["deny"]).decide((), DOCTOR, NOON) == NO_PATIENT


def test_a_revocation_counts_from_its_epoch_on() -> None:
    table = a_table(a_consent("permit"), base=BASE_POLICIES["deny"])
    assert table.decide(("1",), DOCTOR, NOON).permitted
    assert table.restriction(DOCTOR, NOON) == OnlyOfPatients(frozenset({"1"}))
    table.apply([("c", a_consent("permit", status="inactive"))], 2)
    assert table.epoch == 2
    assert not table.decide(("1",), DOCTOR, NOON).permitted
    assert table.restriction(DOCTOR, NOON) == OnlyOfPatients(frozenset())


def test_a_consent_may_move_to_another_patient() -> None:
    table = a_table(a_consent("deny", patient="1"))
    table.apply([("c", a_consent("deny", patient="2"))], 2)
    assert table.decide(("1",), DOCTOR, NOON).permitted
    assert not table.decide(("2",), DOCTOR, NOON).permitted


def test_the_epoch_never_goes_back() -> None:
    table = a_table()
    table.apply([], 7)
    table.apply([], 3)
    assert table.epoch == 7


def test_a_remembered_restriction_ends_when_a_rule_starts_or_ends() -> None:
    table = a_table(
        a_consent("deny", period={"start": "2026-11-21T12:00:00Z", "end": "2026-11-21T12:00:00Z"})
    )
    second = timedelta(seconds=1)
    hidden = Not(OfPatients(frozenset({"1"})))
    seen = [table.restriction(DOCTOR, NOON + offset) for offset in (-second, 0 * second, second, 0 * second)]
    assert seen == [Everything(), hidden, Everything(), hidden]
    assert table.restriction(DOCTOR, NOON + second - timedelta(microseconds=1)) == hidden


def test_requesters_alike_share_one_restriction() -> None:
    table = a_table(a_consent("deny"))
    other = Requester("Practitioner/8", "ward-app", None, "TREAT")
    assert table.restriction(DOCTOR, NOON) is table.restriction(other, NOON)


def test_the_patient_is_among_those_a_denying_base_permits() -> None:
    table = a_table(base=BASE_POLICIES["deny"])
    assert table.restriction(PATIENT, NOON) == OnlyOfPatients(frozenset({"1"}))


def test_more_patients_than_the_limit_are_too_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent.table, "RESTRICTION_PATIENTS_MAX", 2)
    given_consents = [a_consent("deny", id=str(number), patient=str(number)) for number in range(3)]
    a_table(*given_consents[:2]).restriction(DOCTOR, NOON)
    with pytest.raises(TooCostly):
        a_table(*given_consents).restriction(DOCTOR, NOON)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent.table, "RESTRICTIONS_KEPT_MAX", 2)
    table = a_table(a_consent("deny", actor=[an_actor("Practitioner/7")]))
    for number in range(5):
        table.restriction(Requester(f"Practitioner/{number}", "app", None, "TREAT"), NOON)
    assert len(table._restrictions) <= 2


def test_dates_without_a_zone_are_those_of_the_tenant() -> None:
    midnight = datetime(2026, 11, 21, tzinfo=ZoneInfo("Asia/Tokyo"))
    table = ConsentTable(BASE_POLICIES["basic"], zone=ZoneInfo("Asia/Tokyo"))
    table.apply([("c", a_consent("deny", period={"start": "2026-11-21"}))], 1)
    assert not table.decide(("1",), DOCTOR, midnight).permitted
    assert table.decide(("1",), DOCTOR, midnight - timedelta(microseconds=1)).permitted
