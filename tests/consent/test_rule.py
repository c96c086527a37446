"""What one Consent says, element by element (rows C2, C5 to C8, C11, C14 to C16 of docs/consent.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.decision import BASE_POLICIES, Requester, decide
from consent.rule import Rule, rule_of
from tests.consent.consents import (
    DOCTOR,
    NOON,
    SYSTEM,
    a_consent,
    a_policy,
    a_purpose,
    an_actor,
    consents,
)

ELSEWHERE = Requester("https://elsewhere.example.org/Practitioner/7", "ward-app", None, "TREAT")
OTHER_DOCTOR = replace(DOCTOR, user="Practitioner/8")
IN_A_ROLE = replace(DOCTOR, user="PractitionerRole/3")


def rule(consent: dict[str, Any]) -> Rule:
    found = rule_of(consent)
    assert found is not None
    return found


def permitted(consent: dict[str, Any], requester: Requester = DOCTOR, base: str = "basic") -> bool:
    found = rule_of(consent)
    rules = [] if found is None else [found]
    return decide("1", rules, requester, NOON, BASE_POLICIES[base]).permitted


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error", None, 7])
def test_only_an_active_consent_says_anything(status: object) -> None:
    assert rule_of(a_consent(status=status)) is None


def test_a_root_provision_denies_or_permits() -> None:
    assert not permitted(a_consent("deny"))
    assert permitted(a_consent("permit"), base="deny")


@pytest.mark.parametrize(
    ("policy", "expected"), [("OPTIN", True), ("OPTOUT", False), ("OPTOUTE", False), ("OPTINR", False)]
)
def test_without_a_type_the_policy_rule_is_the_direction(policy: str, expected: bool) -> None:
    for base in ("basic", "deny"):
        assert permitted(a_consent(None, policyRule=a_policy(policy)), base=base) is expected


def test_without_type_and_policy_rule_the_base_policy_decides() -> None:
    consent = a_consent(None, period={"start": "2020"})
    assert permitted(consent, base="basic")
    assert not permitted(consent, base="deny")


@pytest.mark.parametrize(("kind", "policy"), [("permit", "OPTOUT"), ("deny", "OPTIN")])
def test_a_consent_that_contradicts_itself_denies_and_says_so(kind: str, policy: str) -> None:
    consent = a_consent(kind, policyRule=a_policy(policy))
    found = rule(consent)
    assert found.flaw == "the consent contradicts itself"
    assert not permitted(consent)


def test_agreeing_type_and_policy_rule_are_one() -> None:
    assert permitted(a_consent("permit", policyRule=a_policy("OPTIN")), base="deny")


@pytest.mark.parametrize(
    ("scope", "purpose", "expected"),
    [
        ("adr", "TREAT", True),
        ("treatment", "TREAT", True),
        ("patient-privacy", "TREAT", False),
        ("of-our-own", "TREAT", False),
        ("research", "TREAT", True),
    ],
)
def test_a_consent_to_something_else_than_access_says_nothing_about_it(
    scope: str, purpose: str, expected: bool
) -> None:
    consent = a_consent("deny", scope={"coding": [{"code": scope}]})
    assert permitted(consent, replace(DOCTOR, purpose=purpose)) is expected


def test_a_research_consent_speaks_of_research_alone() -> None:
    joined = a_consent("permit", scope={"coding": [{"code": "research"}]}, actor=[an_actor("Practitioner/8")])
    assert permitted(joined, replace(OTHER_DOCTOR, purpose="CLINTRCH"))
    assert not permitted(joined, replace(DOCTOR, purpose="CLINTRCH"))
    assert permitted(joined, DOCTOR)


@pytest.mark.parametrize(
    ("reference", "requester", "denied", "allowed"),
    [
        ("Practitioner/7", DOCTOR, True, True),
        ("Practitioner/7/_history/2", DOCTOR, True, True),
        ("Practitioner/8", DOCTOR, False, False),
        ("Patient/2", DOCTOR, False, False),
        ("Practitioner/7", SYSTEM, False, False),
        # Cannot be told: a deny holds, a permit does not.
        ("Practitioner/8", IN_A_ROLE, True, False),
        ("PractitionerRole/3", DOCTOR, True, False),
        ("Organization/1", DOCTOR, True, False),
        ("CareTeam/1", DOCTOR, True, False),
        ("Group/1", DOCTOR, True, False),
        ("Device/1", SYSTEM, True, False),
        ("https://elsewhere.example.org/Practitioner/7", DOCTOR, True, False),
        ("#contained", DOCTOR, True, False),
        ("Practitioner/7", ELSEWHERE, True, False),
        # Known by the very reference.
        ("PractitionerRole/3", IN_A_ROLE, True, True),
        ("https://elsewhere.example.org/Practitioner/7", ELSEWHERE, True, True),
    ],
)
def test_an_actor_is_matched_by_reference(
    reference: str, requester: Requester, denied: bool, allowed: bool
) -> None:
    assert permitted(a_consent("deny", actor=[an_actor(reference)]), requester) is not denied
    assert permitted(a_consent("permit", actor=[an_actor(reference)]), requester) is allowed


def test_a_client_is_named_by_an_identifier_without_a_system() -> None:
    app = an_actor(identifier={"value": "ward-app"})
    assert permitted(a_consent("permit", actor=[app]), base="deny")
    assert not permitted(a_consent("permit", actor=[app]), SYSTEM)
    assert not permitted(a_consent("deny", actor=[app]))


@pytest.mark.parametrize(
    "named",
    [
        {"identifier": {"system": "urn:npi", "value": "ward-app"}},
        {"identifier": "ward-app"},
        {"identifier": {}},
        {"display": "Dr. No"},
        {},
    ],
)
def test_an_actor_who_cannot_be_known_fails_closed(named: dict[str, Any]) -> None:
    assert not permitted(a_consent("deny", actor=[an_actor(**named)]))
    assert not permitted(a_consent("permit", actor=[an_actor(**named)]))


def test_elements_are_anded_and_their_repeats_ored() -> None:
    consent = a_consent(
        "permit",
        actor=[an_actor("Practitioner/8"), an_actor("Practitioner/7")],
        purpose=[a_purpose("HPAYMT"), a_purpose("TREAT")],
    )
    assert permitted(consent, base="deny")
    assert not permitted(consent, replace(DOCTOR, purpose="HOPERAT"))
    assert not permitted(consent, replace(DOCTOR, user="Practitioner/9"))


def test_a_purpose_covers_what_it_subsumes_and_no_more() -> None:
    treat, emergency = ([a_purpose(code)] for code in ("TREAT", "ETREAT"))
    assert permitted(a_consent("permit", purpose=treat), replace(DOCTOR, purpose="BTG"), base="deny")
    assert not permitted(a_consent("permit", purpose=emergency), DOCTOR)
    assert not permitted(a_consent("deny", purpose=treat), replace(DOCTOR, purpose="ETREAT"))
    assert permitted(a_consent("deny", purpose=emergency), DOCTOR)


def test_without_a_purpose_a_limited_permit_does_not_hold_and_a_limited_deny_does() -> None:
    silent = replace(DOCTOR, purpose="")
    assert not permitted(a_consent("permit", purpose=[a_purpose("TREAT")]), silent, base="all")
    assert not permitted(a_consent("deny", purpose=[a_purpose("HMARKT")]), silent, base="all")


NOT_UNDERSTOOD: list[dict[str, Any]] = [
    {"data": [{"meaning": "instance", "reference": {"reference": "Observation/1"}}]},
    {"class": [{"code": "Observation"}]},
    {"code": [{"text": "x"}]},
    {"securityLabel": [{"code": "R"}]},
    {"dataPeriod": {"start": "2020"}},
    {"action": [{"text": "disclose"}]},
    {"somethingNew": True},
    {"_purpose": [None]},
    {"period": {"start": "soon"}},
    {"period": "2024"},
    {"purpose": []},
    {"purpose": "TREAT"},
    {"purpose": [{"system": "http://example.org/purposes", "code": "TREAT"}]},
    {"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason"}]},
    {"actor": [an_actor("Practitioner/7", role="PRCP")]},
    {"actor": [an_actor("Practitioner/7", role="AUT")]},
    {"actor": [{"reference": {"reference": "Practitioner/7"}}]},
    {"actor": [{**an_actor("Practitioner/7"), "period": {}}]},
    {"actor": ["Practitioner/7"]},
    {"actor": {}},
]


@pytest.mark.parametrize("constraint", NOT_UNDERSTOOD)
def test_a_constraint_that_is_not_understood_fails_closed(constraint: dict[str, Any]) -> None:
    for kind in ("permit", "deny"):
        found = rule(a_consent(kind, **constraint))
        assert found.flaw is not None
        for requester in (DOCTOR, SYSTEM, IN_A_ROLE):
            assert not permitted(a_consent(kind, **constraint), requester, base="all")


@pytest.mark.parametrize(
    "given_members",
    [
        {"provision": [{"type": "deny", "actor": [an_actor("Practitioner/8")]}]},
        {"provision": [{"type": "permit"}]},
        {"provision": [{}]},
        {"modifierExtension": [{"url": "http://example.org/not"}]},
        {"actor": [{**an_actor("Practitioner/7"), "modifierExtension": [{"url": "http://example.org/not"}]}]},
        {"type": "perhaps"},
        {"type": ["permit"]},
        {"_type": {"id": "x"}, "type": None},
    ],
)
def test_exceptions_and_modifiers_deny_whatever_the_root_says(given_members: dict[str, Any]) -> None:
    for kind in ("permit", "deny", None):
        consent = a_consent(kind, **given_members)
        assert not permitted(consent, base="all")
        assert rule(consent).permits is False


@pytest.mark.parametrize("modifier", ["modifierExtension", "implicitRules"])
def test_a_modifier_of_the_whole_consent_denies(modifier: str) -> None:
    assert not permitted({**a_consent("permit"), modifier: "http://example.org/rules"}, base="all")


def test_a_constraint_that_is_not_understood_is_in_force_only_in_its_period() -> None:
    assert permitted(a_consent("deny", period={"end": "2025"}, securityLabel=[{"code": "R"}]))


def test_a_consent_without_a_known_patient_is_nobodys() -> None:
    for patient in (None, {}, {"reference": "Group/1"}, {"reference": 7}, {"identifier": {"value": "1"}}):
        assert rule_of({**a_consent(), "patient": patient}) is None


def test_a_patient_elsewhere_is_taken_for_ours_by_a_deny_alone() -> None:
    elsewhere = {"patient": {"reference": "https://elsewhere.example.org/fhir/Patient/1"}}
    assert rule({**a_consent("deny"), **elsewhere}).patient == "1"
    assert rule_of({**a_consent("permit"), **elsewhere}) is None


def test_a_versioned_reference_names_the_patient() -> None:
    assert rule({**a_consent(), "patient": {"reference": "Patient/1/_history/4"}}).patient == "1"


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["active", "permit", "deny", "Patient/1", "2024"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "coding",
                    "code",
                    "reference",
                    "type",
                    "actor",
                    "purpose",
                    "period",
                    "start",
                    "role",
                    "identifier",
                    "value",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["scope", "patient", "policyRule", "provision", "status"]), _json),
    st.sampled_from(["permit", "deny", None]),
)
@settings(max_examples=150)
def test_nothing_that_is_json_raises(odd: dict[str, Any], kind: str | None) -> None:
    rule_of({**a_consent(kind, actor=[an_actor("Practitioner/7")]), **odd})


@given(consents())
@settings(max_examples=100)
def test_a_flawed_rule_permits_nobody(consent: dict[str, Any]) -> None:
    found = rule_of(consent)
    if found is not None and found.flaw is not None and found.in_force(int(NOON.timestamp() * 1_000_000)):
        requester = replace(DOCTOR, purpose="HRESCH")
        assert not decide(found.patient, [found], requester, NOON, BASE_POLICIES["all"]).permitted
