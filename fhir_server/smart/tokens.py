"""
Access tokens: issued for an operator, verified on each request.

A token is a JWT signed with ES256 (keys.py), for this server's base URL alone. A verified one
is remembered until it expires, so that a busy client costs one signature check and not one per
request.

https://www.rfc-editor.org/rfc/rfc9068, https://hl7.org/fhir/smart-app-launch/
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.r4.errors import Unauthenticated
from fhir_server.search.values.site import Site
from fhir_server.smart.caller import Caller
from fhir_server.smart.keys import ALGORITHM, SigningKeys
from fhir_server.smart.scopes import granted, words

SERVED: Final = ("settings", "served")
"""Where the base URL that was served last is kept among the shared documents: tokens are for that one."""

TOKEN_CHARACTERS_MAX: Final = 8_192
REMEMBERED_MAX: Final = 10_000
LIFETIME_SECONDS_MAX: Final = 30 * 24 * 3600
LONGEST: Final = timedelta(seconds=LIFETIME_SECONDS_MAX)
"""No token lives longer."""
_CLOCK_SKEW_SECONDS: Final = 10
_TYPE: Final = "at+jwt"
_NAMES: Final = ("client_id", "sub", "jti")


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What a token is asked for; `user` is a reference such as `Practitioner/7`.

    `account` is the id of the user who logged in, `grant` that of what they granted, where they did.
    """

    client: str
    scope: str
    lifetime_seconds: int
    user: str | None = None
    patient: str | None = None
    purpose: str | None = None
    account: str | None = None
    grant: str | None = None


class UnknownKey(Unauthenticated):
    """The token names a key that this process does not know, or not yet."""


class Tokens:
    """Issues and verifies the access tokens of one deployment."""

    def __init__(
        self, keys: SigningKeys, audience: str, known_types: frozenset[str], zone: tzinfo = UTC
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._site = Site(audience, zone)
        self._known_types = known_types
        self._remembered: OrderedDict[str, Caller] = OrderedDict()
        self._state_codes: Callable[[str], frozenset[str]] = no_state

    def issue(self, grant: Grant, *, now: int, token_id: str) -> str:
        """
        A signed token for `grant`; `now` in seconds since 1970.

        Raises ValueError when no scope is left that we know, when a patient/ scope comes
        without a patient or a user/ scope without a user, or when the lifetime is out of bounds.
        """
        scopes = granted(grant.scope, self._known_types, self._site)
        others = words(grant.scope)
        if not scopes and not others:
            raise ValueError(f"`{grant.scope}` holds no scope that this server knows")
        if any(scope.context == "patient" for scope in scopes) and not grant.patient:
            raise ValueError("A patient/ scope needs a patient: name one with --patient")
        if any(scope.context == "user" for scope in scopes) and not grant.user:
            raise ValueError("A user/ scope needs a user: name one with --user")
        if not 0 < grant.lifetime_seconds <= LIFETIME_SECONDS_MAX:
            raise ValueError(f"A token lives between 1 and {LIFETIME_SECONDS_MAX} seconds")
        claims = {
            "iss": self._audience,
            "aud": self._audience,
            "sub": grant.account or grant.user or grant.client,
            "client_id": grant.client,
            "scope": " ".join((*(scope.text for scope in scopes), *others)),
            "iat": now,
            "exp": now + grant.lifetime_seconds,
            "jti": token_id,
            "fhirUser": grant.user,
            "patient": grant.patient,
            "purpose": grant.purpose,
            "account": grant.account,
            "grant": grant.grant,
        }
        stated = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": ALGORITHM, "typ": _TYPE, "kid": self._keys.current_id}
        return jwt.encode(header, stated, self._keys.current, algorithms=[ALGORITHM])

    def forget(self, state_codes: Callable[[str], frozenset[str]]) -> None:
        """Look at each token anew, as of a client that keeps state under what `state_codes` tells."""
        self._state_codes = state_codes
        self._remembered.clear()

    def verify(self, token: str, *, now: int) -> Caller:
        """
        Who bears this token; `now` in seconds since 1970.

        Raises Unauthenticated, which never says more than the bearer could know.
        """
        caller = self._remembered.get(token)
        if caller is None:
            caller = self._caller(self._claims(token), now)
            self._remembered[token] = caller
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        elif caller.expires <= now:
            del self._remembered[token]
        if caller.expires <= now:
            raise Unauthenticated("The access token has expired")
        return caller

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise Unauthenticated(f"The access token has more than {TOKEN_CHARACTERS_MAX} characters")
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=[ALGORITHM])
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated("The access token is not one of ours") from error
        # Whatever else these keys may sign one day is no access token.
        if decoded.header.get("typ") != _TYPE:
            raise Unauthenticated("The access token is not one of ours")
        return decoded.claims

    def _key_of(self, signed: Any) -> ECKey:
        kid = signed.headers().get("kid")
        key = self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnknownKey("The access token is not one of ours")
        return key

    def _caller(self, claims: Mapping[str, Any], now: int) -> Caller:
        if claims.get("iss") != self._audience or claims.get("aud") != self._audience:
            raise Unauthenticated(f"The access token is not for {self._audience}")
        expires, issued = claims.get("exp"), claims.get("iat")
        begins = claims.get("nbf", issued)
        if not isinstance(expires, int) or not isinstance(issued, int) or not isinstance(begins, int):
            raise Unauthenticated("The access token is not valid at this time")
        if max(issued, begins) > now + _CLOCK_SKEW_SECONDS or expires - issued > LIFETIME_SECONDS_MAX:
            raise Unauthenticated("The access token is not valid at this time")
        if not all(isinstance(claims.get(name), str) for name in _NAMES):
            raise Unauthenticated("The access token is not one of ours")
        text = str(claims.get("scope", ""))
        scopes = granted(text, self._known_types, self._site)
        system = all(scope.context == "system" for scope in scopes)
        return Caller(
            client=str(claims["client_id"]),
            subject=str(claims["sub"]),
            scopes=scopes,
            user=claims.get("fhirUser"),
            patient=claims.get("patient"),
            purpose=claims.get("purpose") or ("HOPERAT" if system else "TREAT"),
            token_id=str(claims["jti"]),
            expires=expires,
            issued=issued,
            words=frozenset(words(text)),
            account=claims.get("account"),
            grant=claims.get("grant"),
            state_codes=self._state_codes(str(claims["client_id"])),
        )


def no_state(_client: str) -> frozenset[str]:
    return frozenset()
