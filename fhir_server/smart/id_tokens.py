"""
id_tokens: who logged in, told to the app that asked for `openid`.

An id_token is a JWT signed with RS256 (keys.py), for one client. It is no access token: its `typ` is another
one, its audience is the client, and no key of it signs access tokens.

https://openid.net/specs/openid-connect-core-1_0.html#IDToken,
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from joserfc import jwt

from fhir_server.smart.keys import IDENTITY_ALGORITHM, SigningKeys

LIFETIME_SECONDS: Final = 600
"""Long enough for a client whose clock is some minutes off; an app reads it once, as it gets it."""
OPENID: Final = "openid"
FHIR_USER: Final = "fhirUser"
FHIR_USER_TYPES: Final = frozenset(("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"))

_TYPE: Final = "JWT"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Who logged in, and for whom it is told.

    `account` is the user's id, `user` a reference such as `Practitioner/7`; `words` are the granted scopes;
    `authenticated` is when they logged in, in seconds since 1970; `nonce` is the client's, as it came.
    """

    account: str
    client: str
    words: AbstractSet[str]
    authenticated: int
    user: str | None = None
    nonce: str | None = None


class IdTokens:
    """Issues the id_tokens of one deployment; `issuer` is its base URL."""

    def __init__(self, keys: SigningKeys, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def issue(self, told: Identity, now: int) -> str:
        """A signed id_token; `now` in seconds since 1970."""
        claims = {
            "iss": self._issuer,
            "sub": told.account,
            "aud": told.client,
            "exp": now + LIFETIME_SECONDS,
            "iat": now,
            "auth_time": told.authenticated,
            "nonce": told.nonce,
            "fhirUser": fhir_user(told.user, told.words, self._issuer),
        }
        stated = {name: value for name, value in claims.items() if value is not None}
        key = self._keys.of_id_tokens
        header = {"alg": IDENTITY_ALGORITHM, "typ": _TYPE, "kid": key.kid}
        return jwt.encode(header, stated, key, algorithms=[IDENTITY_ALGORITHM])


def fhir_user(user: str | None, words: AbstractSet[str], base_url: str) -> str | None:
    """The address of the resource that is the user, where `fhirUser` was granted; None if there is none."""
    if user is None or FHIR_USER not in words or user.partition("/")[0] not in FHIR_USER_TYPES:
        return None
    return f"{base_url}/{user}"
