"""Whatever a provider signs: it is refused, or read as what it says and nothing more."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fhir_server.r4.errors import Unauthenticated
from fhir_server.search.values.site import Site
from fhir_server.settings import Settings
from fhir_server.smart.external.claims import USER_TYPES, caller_of, claim
from fhir_server.smart.external.trust import Trust, trust_of

NOW: Final = 1_790_000_000
BASE: Final = "https://fhir.example.org/fhir"
ISSUER: Final = "https://login.example.org"
TYPES: Final = frozenset(("Patient", "Observation"))
ROLES: Final = {"nurse": "user/*.rs patient/Observation.rs", "warehouse": "system/*.rs"}

GOOD: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "aud": "fhir",
    "sub": "s",
    "azp": "app",
    "iat": NOW,
    "exp": NOW + 60,
    "jti": "j",
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
words = st.sampled_from(
    (
        "user/*.rs",
        "patient/*.rs",
        "system/*.rs",
        "user/*.sr",
        "patient/Nothing.rs",
        "openid",
        "user/*.read",
        "",
    )
)
users = st.sampled_from(
    ("Practitioner/7", f"{BASE}/Patient/1", "Device/1", "https://other.example/Patient/1", "Patient/1/x", "")
)
patients = st.sampled_from(("1", "Patient/1", f"{BASE}/Patient/1", "Group/1", "a b", ""))


def trust() -> Trust:
    told = {"oidc_roles_claim": "realm_access.roles", "oidc_role_scopes": ROLES}
    found = trust_of(Settings(oidc_issuer=ISSUER, oidc_audience="fhir", **told), TYPES, Site(BASE))  # type: ignore[arg-type]  # as from a command
    assert found is not None
    return found


TRUST: Final = trust()


@hypothesis_settings(max_examples=300)
@given(
    told=st.fixed_dictionaries(
        {},
        optional={
            "scope": words | st.lists(words).map(" ".join) | st.lists(words) | anything,
            "fhirUser": users | anything,
            "patient": patients | anything,
            "realm_access": st.fixed_dictionaries(
                {"roles": st.lists(st.sampled_from(("nurse", "warehouse", "Nurse", "nobody"))) | anything}
            )
            | anything,
            "typ": st.just("Bearer") | anything,
            "exp": st.integers(NOW - 5, NOW + 5) | anything,
            "nbf": st.integers(NOW - 20, NOW + 20) | anything,
            "aud": st.just(["other", "fhir"]) | anything,
            "azp": anything,
            "sub": anything,
            "jti": anything,
            "nonce": anything,
        },
    )
)
def test_claims_are_refused_or_never_read_as_more_than_they_say(told: dict[str, Any]) -> None:
    try:
        caller = caller_of({**GOOD, **told}, TRUST, now=NOW, fallback_id="digest")
    except Unauthenticated:
        return
    given_by_roles = {scope.text for scopes in TRUST.role_scopes.values() for scope in scopes}
    asked = told.get("scope")
    own = asked.split() if isinstance(asked, str) else asked if isinstance(asked, list) else []
    assert {scope.text for scope in caller.scopes} <= given_by_roles | {str(word) for word in own}
    contexts = {scope.context for scope in caller.scopes}
    assert "user" not in contexts or caller.user is not None
    assert "patient" not in contexts or caller.patient == "1"
    assert "system" not in contexts or caller.user is None
    assert caller.user is None or caller.user.partition("/")[0] in USER_TYPES
    assert caller.expires > NOW
    assert caller.client
    assert caller.token_id


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        ({"roles": ["a"]}, "roles", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://example.org/roles": ["a"]}, "https://example.org/roles", ["a"]),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": [{"b": 2}]}, "a.b", None),
        ({"a": "b"}, "a.b", None),
        ({}, "a.b", None),
    ],
    ids=range(7),
)
def test_a_claim_is_named_whole_or_by_steps(claims: dict[str, Any], name: str, found: Any) -> None:
    assert claim(claims, name) == found
