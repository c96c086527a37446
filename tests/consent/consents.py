"""Consents for tests: valid with the least said, and arbitrary ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from consent.decision import Requester
from fhir_server.search.predicates.predicate import Everything, Not, OfPatients, OnlyOfPatients, Predicate

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOCTOR = Requester("Practitioner/7", "ward-app", None, "TREAT")
SYSTEM = Requester(None, "lab-feed", None, "HOPERAT")
PATIENT = Requester("Patient/1", "phone-app", "1", "PATRQT")

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


_MEMBERS = ("status", "scope", "policyRule")


def an_actor(reference: str | None = None, *, role: str = "IRCP", **named: Any) -> dict[str, Any]:
    who = {"reference": reference, **named} if reference is not None else named
    return {"role": {"coding": [{"code": role}]}, "reference": who}


def a_purpose(code: str) -> dict[str, str]:
    return {"system": ACT_REASON, "code": code}


def a_policy(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code}]}


def a_consent(
    kind: str | None = "deny", *, id: str = "c", patient: str = "1", **given: Any
) -> dict[str, Any]:
    """An active Consent of Patient 1; what is given beside its members goes into the provision."""
    members: dict[str, Any] = {name: given.pop(name) for name in _MEMBERS if name in given}
    provision = {**({"type": kind} if kind else {}), **given}
    return {
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "privacy"}],
        "patient": {"reference": f"Patient/{patient}"},
        "policyRule": {"text": "as agreed"},
        **members,
        **({"provision": provision} if provision else {}),
    }


def holds(predicate: Predicate, patients: tuple[str, ...]) -> bool:
    """What a restriction says of an entry in the compartments of `patients`."""
    match predicate:
        case Everything():
            return True
        case OnlyOfPatients(ids=ids):
            return ids.issuperset(patients)
        case Not(part=OfPatients(ids=ids)):
            return ids.isdisjoint(patients)
    raise AssertionError(f"No restriction of consents: {predicate}")


PATIENTS = ("1", "2", "3")
_dates = st.sampled_from(
    ["2020", "2026-11", "2026-11-21", "2026-11-21T12:00:00Z", "2026-11-21T13:00:00+01:00", "2030-01-01"]
)
_periods = st.fixed_dictionaries({}, optional={"start": _dates, "end": _dates})
_references = st.sampled_from(
    [
        "Practitioner/7",
        "Practitioner/8",
        "Patient/1",
        "PractitionerRole/3",
        "Organization/1",
        "https://elsewhere.example.org/Practitioner/7",
    ]
)
_actors = st.one_of(
    st.builds(an_actor, _references),
    st.builds(lambda value: an_actor(identifier={"value": value}), st.sampled_from(["ward-app", "other"])),
    st.builds(lambda reference: an_actor(reference, role="AUT"), _references),
)
_constraints = st.fixed_dictionaries(
    {},
    optional={
        "period": _periods,
        "actor": st.lists(_actors, max_size=2),
        "purpose": st.lists(st.sampled_from(["TREAT", "ETREAT", "HRESCH"]).map(a_purpose), max_size=2),
        "securityLabel": st.just([{"code": "R"}]),
        "provision": st.just([{"type": "deny"}]),
    },
)
moments = st.sampled_from(
    [
        datetime(2019, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2020, 1, 1, tzinfo=UTC),
        NOON,
        datetime(2026, 11, 21, 12, 0, 0, 999999, UTC),
        datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2031, 1, 1, tzinfo=UTC),
    ]
)
requesters = st.builds(
    Requester,
    user=st.sampled_from(
        [None, "Practitioner/7", "PractitionerRole/3", "RelatedPerson/2", "https://e.org/Practitioner/7"]
    ),
    client=st.sampled_from(["ward-app", "lab-feed"]),
    patient=st.none(),
    purpose=st.sampled_from(["TREAT", "ETREAT", "HPAYMT", "HRESCH", "BTG", "PATRQT", ""]),
) | st.sampled_from(PATIENTS).map(
    lambda patient: Requester(f"Patient/{patient}", "phone-app", patient, "PATRQT")
)


@st.composite
def consents(draw: st.DrawFn, kinds: tuple[str | None, ...] = ("permit", "deny", None)) -> dict[str, Any]:
    """Any Consent of one of three patients, odd ones included."""
    members = {
        "status": draw(st.sampled_from(["active", "active", "active", "inactive", "draft"])),
        "scope": {
            "coding": [
                {"code": draw(st.sampled_from(["patient-privacy", "patient-privacy", "research", "adr"]))}
            ]
        },
    }
    if (policy := draw(st.sampled_from([None, None, "OPTIN", "OPTOUT", "OPTINR"]))) is not None:
        members["policyRule"] = a_policy(policy)
    return a_consent(
        draw(st.sampled_from(kinds)),
        id=draw(st.sampled_from("abcdef")),
        patient=draw(st.sampled_from(PATIENTS)),
        **members,
        **draw(_constraints),
    )
