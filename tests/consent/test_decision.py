"""How rules become one decision (rows C3, C4, C7, C10, C12 and C27 of docs/consent.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import purposes
from consent.decision import BASE_POLICIES, OWN, Requester, decide
from consent.rule import Rule, rule_of
from tests.consent.consents import (
    DOCTOR,
    NOON,
    PATIENT,
    SYSTEM,
    a_consent,
    an_actor,
    consents,
    moments,
    requesters,
)

BASIC = BASE_POLICIES["basic"]
MICROSECOND = timedelta(microseconds=1)
bases = st.sampled_from(sorted(BASE_POLICIES)).map(BASE_POLICIES.__getitem__)


def rules(*given_consents: dict[str, Any]) -> list[Rule]:
    return [found for consent in given_consents if (found := rule_of(consent)) is not None]


@pytest.mark.parametrize(
    ("name", "permitted"),
    [
        ("basic", {"TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HTEST"}),
        ("all", {"TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HTEST", "HRESCH", "HMARKT", "PATRQT", ""}),
        ("break-glass-only", {"BTG"}),
        ("deny", set()),
    ],
)
def test_a_base_policy_holds_without_a_consent(name: str, permitted: set[str]) -> None:
    every = {"TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HTEST", "HRESCH", "HMARKT", "PATRQT", ""}
    base = BASE_POLICIES[name]
    found = {
        purpose
        for purpose in every
        if decide("1", [], replace(DOCTOR, purpose=purpose), NOON, base).permitted
    }
    assert found == permitted


def test_deny_overrides_permit_and_names_its_consents() -> None:
    decision = decide("1", rules(a_consent("permit", id="a"), a_consent("deny", id="b")), DOCTOR, NOON, BASIC)
    assert not decision.permitted
    assert decision.basis == ("Consent/b",)
    assert decision.reason == "a consent denies this"


def test_a_permit_overrides_a_denying_base_policy() -> None:
    decision = decide("1", rules(a_consent("permit")), DOCTOR, NOON, BASE_POLICIES["deny"])
    assert decision.permitted
    assert decision.basis == ("Consent/c",)


def test_a_constrained_permit_leaves_nothing_to_the_rest() -> None:
    found = rules(a_consent("permit", actor=[an_actor("Practitioner/8")]))
    decision = decide("1", found, DOCTOR, NOON, BASIC)
    assert not decision.permitted
    assert decision.reason == "a consent permits others or other purposes only"


def test_one_permit_suffices_beside_a_permit_for_others() -> None:
    found = rules(
        a_consent("permit", id="a", actor=[an_actor("Practitioner/8")]),
        a_consent("permit", id="b", actor=[an_actor("Practitioner/7")]),
    )
    decision = decide("1", found, DOCTOR, NOON, BASE_POLICIES["deny"])
    assert decision.permitted
    assert decision.basis == ("Consent/b",)


def test_a_deny_for_others_leaves_the_base_policy() -> None:
    found = rules(a_consent("deny", actor=[an_actor("Practitioner/8")]))
    assert decide("1", found, DOCTOR, NOON, BASIC).permitted
    assert not decide("1", found, DOCTOR, NOON, BASE_POLICIES["deny"]).permitted


@pytest.mark.parametrize(
    ("moment", "in_force"),
    [
        (datetime.fromisoformat("2024-03-01T00:00:00+00:00") - MICROSECOND, False),
        (datetime.fromisoformat("2024-03-01T00:00:00+00:00"), True),
        (datetime.fromisoformat("2024-04-01T01:59:59.999999+02:00"), True),
        (datetime.fromisoformat("2024-04-01T02:00:00+02:00"), False),
    ],
)
def test_a_rule_holds_from_its_first_to_its_last_instant(moment: datetime, in_force: bool) -> None:
    found = rules(a_consent("deny", period={"start": "2024-03", "end": "2024-03-31"}))
    assert decide("1", found, DOCTOR, moment, BASIC).permitted is not in_force


def test_the_patients_own_access_is_never_locked_out() -> None:
    for consent in (a_consent("deny"), a_consent("permit", securityLabel=[{"code": "R"}])):
        assert decide("1", rules(consent), PATIENT, NOON, BASE_POLICIES["deny"]) == OWN


def test_own_access_is_that_of_the_user_who_is_the_patient() -> None:
    denied = rules(a_consent("deny"))
    for requester in (
        Requester("Practitioner/7", "ward-app", "1", "PATRQT"),
        Requester("Patient/2", "phone-app", "2", "PATRQT"),
        Requester(None, "phone-app", "1", "PATRQT"),
    ):
        assert not decide("1", denied, requester, NOON, BASE_POLICIES["all"]).permitted


def test_a_reason_says_what_could_not_be_applied() -> None:
    for kind in ("permit", "deny"):
        decision = decide("1", rules(a_consent(kind, provision=[{}])), SYSTEM, NOON, BASIC)
        assert decision.reason == (
            "a consent cannot be applied: exceptions to a consent are not understood yet"
        )


@given(st.lists(consents(), max_size=3), consents(("deny",)), requesters, moments, bases)
@settings(max_examples=150)
def test_a_deny_never_widens_access(
    before: list[dict[str, Any]], deny: dict[str, Any], requester: Requester, now: datetime, base: Any
) -> None:
    less = decide("1", rules(*before, deny), requester, now, base)
    more = decide("1", rules(*before), requester, now, base)
    assert more.permitted or not less.permitted


@given(st.lists(consents(), max_size=4), requesters, moments, bases, st.randoms())
@settings(max_examples=100)
def test_the_order_of_consents_does_not_matter(
    given_consents: list[dict[str, Any]], requester: Requester, now: datetime, base: Any, random: Any
) -> None:
    found = rules(*given_consents)
    shuffled = random.sample(found, len(found))
    assert decide("1", found, requester, now, base) == decide("1", shuffled, requester, now, base)


def test_purposes_are_those_of_the_value_set() -> None:
    roots = ("HMARKT", "HOPERAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH", "TREAT")
    assert len(frozenset().union(*(purposes.subsumed(root) for root in roots))) == 59
    assert purposes.subsumed("TREAT") == {
        "TREAT", "CLINTRL", "COC", "ETREAT", "BTG", "ERTREAT", "POPHLTH",
    }  # fmt: skip
    assert purposes.subsumed("of-our-own") == {"of-our-own"}
