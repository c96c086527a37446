"""
https://openid.net/specs/openid-connect-core-1_0.html#IDToken, as clients check it

Clients that others wrote verify what we sign: authlib its claims, joserfc its signature.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from authlib.oidc.core import CodeIDToken
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.id_tokens import FHIR_USER_TYPES, LIFETIME_SECONDS, Identity, IdTokens, fhir_user
from fhir_server.smart.keys import SigningKeys, load_or_create, public_jwks
from fhir_server.smart.tokens import Tokens
from tests.smart.test_tokens import BASE, NOW, SECRET, TYPES, StateInMemory, a_grant

BOTH = frozenset(("openid", "fhirUser"))


@pytest.fixture
async def keys() -> SigningKeys:
    return await load_or_create(StateInMemory(), SECRET, datetime.fromtimestamp(NOW, UTC))


def an_identity(**stated: Any) -> Identity:
    told = {
        "account": "u1",
        "client": "app",
        "words": BOTH,
        "authenticated": NOW - 30,
        "user": "Practitioner/7",
    }
    return Identity(**{**told, **stated})


def published(keys: SigningKeys) -> KeySet:
    """As it comes over the wire."""
    return KeySet.import_key_set(json.loads(json.dumps(public_jwks(keys))))


def read(token: str, keys: SigningKeys) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, as a client reads them by the published keys."""
    decoded = jwt.decode(token, published(keys), algorithms=["RS256"])
    return decoded.header, decoded.claims


def test_an_app_learns_who_logged_in(keys: SigningKeys) -> None:
    """[O1, R209]"""
    header, claims = read(IdTokens(keys, BASE).issue(an_identity(nonce="n 1"), NOW), keys)
    assert header == {"alg": "RS256", "typ": "JWT", "kid": keys.of_id_tokens.kid}
    assert claims == {
        "iss": BASE,
        "sub": "u1",
        "aud": "app",
        "exp": NOW + LIFETIME_SECONDS,
        "iat": NOW,
        "auth_time": NOW - 30,
        "nonce": "n 1",
        "fhirUser": f"{BASE}/Practitioner/7",
    }


def test_authlib_finds_it_valid(keys: SigningKeys) -> None:
    """[O1]"""
    header, claims = read(IdTokens(keys, BASE).issue(an_identity(nonce="n"), NOW), keys)
    options = {"iss": {"values": [BASE]}, "aud": {"values": ["app"]}}
    params = {"nonce": "n", "client_id": "app", "max_age": 60}
    CodeIDToken(claims, header, options, params).validate(now=NOW)


@pytest.mark.parametrize("type", sorted(FHIR_USER_TYPES))
def test_a_user_is_a_resource_of_one_of_five_types(type: str) -> None:
    """[O1]"""
    assert fhir_user(f"{type}/7", BOTH, BASE) == f"{BASE}/{type}/7"


@pytest.mark.parametrize(
    "stated",
    [{"user": None}, {"user": "Device/1"}, {"user": "Group/1"}, {"words": frozenset(("openid",))}],
    ids=["no resource", "a device", "a group", "not granted"],
)
def test_nobody_is_told_as_what_they_are_not(keys: SigningKeys, stated: dict[str, Any]) -> None:
    """[O2, R197]"""
    _, claims = read(IdTokens(keys, BASE).issue(an_identity(**stated), NOW), keys)
    assert "fhirUser" not in claims
    assert claims["sub"] == "u1"


@given(nonce=st.text(max_size=300))
async def test_a_nonce_comes_back_as_it_was_sent(nonce: str) -> None:
    """[O1]"""
    keys = await _shared()
    _, claims = read(IdTokens(keys, BASE).issue(an_identity(nonce=nonce), NOW), keys)
    assert claims["nonce"] == nonce


def test_it_is_no_access_token(keys: SigningKeys) -> None:
    token = IdTokens(keys, BASE).issue(an_identity(client=BASE), NOW)
    with pytest.raises(Unauthenticated):
        Tokens(keys, BASE, TYPES).verify(token, now=NOW)


def test_an_access_token_is_no_id_token(keys: SigningKeys) -> None:
    token = Tokens(keys, BASE, TYPES).issue(a_grant(), now=NOW, token_id="j")
    with pytest.raises((JoseError, ValueError)):
        read(token, keys)
    found = jwt.decode(token, published(keys), algorithms=["ES256"])
    assert found.header["typ"] == "at+jwt"


_KEYS: list[SigningKeys] = []


async def _shared() -> SigningKeys:
    """Made once: Hypothesis asks often."""
    if not _KEYS:
        _KEYS.append(await load_or_create(StateInMemory(), SECRET, datetime.fromtimestamp(NOW, UTC)))
    return _KEYS[0]
