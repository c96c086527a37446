"""App state, as a predicate, against what the specification says in plain Python [P1]."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.policy.app_state import AppState, May, state_token
from fhir_server.r4.resource import Key
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.version import Version

SYSTEM = "https://growth.example.org"
CLIENTS = ("growth", "admin", "other")
USERS = (None, "Patient/1", "Practitioner/1", "Practitioner/2", "Person/1")
SUBJECTS = (*USERS, "Patient/2")
KINDS: tuple[May, ...] = ("read", "write", "global")

codes = st.sampled_from(("a", "b", "c"))
registrations = st.dictionaries(
    st.sampled_from(CLIENTS), st.dictionaries(codes, st.sampled_from(KINDS), max_size=3), max_size=3
)
gone = st.frozensets(codes, max_size=2)


def a_basic(held: list[str], subject: str | None) -> Version:
    coding = [{"system": SYSTEM, "code": code} for code in held]
    resource = {"resourceType": "Basic", "code": {"coding": coding} if coding else {"text": "plain"}}
    if subject is not None:
        resource["subject"] = {"reference": subject}
    entry = extract(resource, Key("Basic", "1"), base_url="http://fhir.example/fhir")
    return Version(Key("Basic", "1"), 1, datetime(2026, 1, 1, tzinfo=UTC), b"", entry, "")


def is_left(
    reserved: frozenset[str],
    mine: dict[str, May],
    held: list[str],
    subject: str | None,
    user: str | None,
    *,
    writes: bool,
) -> bool:
    """The rules, one by one."""
    state = [code for code in held if code in reserved]
    if not state:
        return True
    if any(code not in mine or (writes and mine[code] == "read") for code in state):
        return False
    if subject is None:
        return not writes or any(mine[code] == "global" for code in state)
    return subject.startswith("Patient/") or subject == user


@given(
    registrations,
    gone,
    st.lists(codes, max_size=2),
    st.sampled_from(SUBJECTS),
    st.sampled_from(CLIENTS),
    st.sampled_from(USERS),
    st.booleans(),
)
def test_what_is_left_is_what_the_rules_leave(
    registered: dict[str, dict[str, May]],
    gone: frozenset[str],
    held: list[str],
    subject: str | None,
    client: str,
    user: str | None,
    writes: bool,
) -> None:
    reserved = gone.union(*registered.values())
    known = AppState(
        frozenset(state_token(SYSTEM, code) for code in reserved),
        {
            one: {state_token(SYSTEM, code): may for code, may in allowed.items()}
            for one, allowed in registered.items()
        },
    )
    version = a_basic(held, subject)
    expected = is_left(reserved, registered.get(client, {}), held, subject, user, writes=writes)
    assert matches(known.left(client, user, writes=writes), version) is expected
    assert known.concerns(version.entry) is any(code in reserved for code in held)
