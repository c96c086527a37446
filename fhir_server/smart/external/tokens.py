"""
Access tokens of an OpenID provider, verified: signature, header, and what the claims say.

The signature is by exactly one key of the provider, by an algorithm that the settings name, which is the
one that the key takes. A header may have what is in _HEADER; whatever else is refused rather than ignored, a
key that the token brings along first of all. A verified token is remembered until it expires, or until the
provider takes a key back.

https://www.rfc-editor.org/rfc/rfc9068, https://www.rfc-editor.org/rfc/rfc8725
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

from fhir_server.r4.errors import Unauthenticated
from fhir_server.r4.resource import Resource
from fhir_server.smart.caller import Caller
from fhir_server.smart.external.claims import caller_of
from fhir_server.smart.external.configuration import smart_configuration_of
from fhir_server.smart.external.provider import Provider
from fhir_server.smart.external.trust import Trust
from fhir_server.smart.tokens import no_state

TOKEN_CHARACTERS_MAX: Final = 16_384
"""More than ours have: providers name a person's groups and roles."""
REMEMBERED_MAX: Final = 10_000

_HEADER: Final = frozenset(("alg", "kid", "typ", "x5t", "x5t#S256"))
"""The thumbprints of certificates say nothing that `kid` does not, and are not looked at."""
_TYPES: Final = frozenset(("at+jwt", "application/at+jwt", "jwt"))
"""Most providers write JWT, in ID tokens too: those are told by their claims."""
_NO_JWT: Final = "The access token is no signed JWT"


class ProviderTokens:
    """Verifies the tokens of one provider, in one process."""

    def __init__(self, provider: Provider, trust: Trust) -> None:
        self.provider = provider
        self._trust = trust
        self._remembered: OrderedDict[str, Caller] = OrderedDict()
        self._generation = provider.generation
        self._state_codes: Callable[[str], frozenset[str]] = no_state

    def forget(self, state_codes: Callable[[str], frozenset[str]]) -> None:
        """Look at each token anew, as of a client that keeps state under what `state_codes` tells."""
        self._state_codes = state_codes
        self._remembered.clear()

    def is_from(self, token: str) -> bool:
        """Does it say that it is the provider's? Nothing of it is known to be true."""
        if token in self._remembered:
            return True
        parts = token.split(".", 3)
        try:
            return len(token) <= TOKEN_CHARACTERS_MAX and _json(parts[1]).get("iss") == self._trust.issuer
        except (IndexError, Unauthenticated):
            return False

    @property
    def smart_configuration(self) -> Resource:
        """Where apps get tokens. Raises Unavailable when the provider was never read."""
        return smart_configuration_of(self.provider.configuration, self._trust)

    async def verify(self, token: str, *, now: int) -> Caller:
        """
        Who bears this token; `now` in seconds since 1970.

        Raises Unauthenticated, and Unavailable when the provider's keys cannot be had.
        """
        if self._generation != self.provider.generation:
            self._remembered.clear()
            self._generation = self.provider.generation
        caller = self._remembered.get(token)
        if caller is None:
            caller = await self._verified(token, now)
            self._remembered[token] = caller
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        elif caller.expires <= now:
            self._remembered.pop(token, None)
            raise Unauthenticated("The access token has expired")
        return caller

    async def _verified(self, token: str, now: int) -> Caller:
        kid, algorithm = self._signed_by(token)
        key = await self.provider.key(kid, algorithm)
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated("The signature of the access token does not hold") from error
        # Not every provider gives tokens an id; the record and a revocation need one.
        fallback = f"sha256-{sha256(token.encode()).hexdigest()[:40]}"
        caller = caller_of(claims, self._trust, now=now, fallback_id=fallback)
        return replace(caller, state_codes=self._state_codes(caller.client))

    def _signed_by(self, token: str) -> tuple[str, str]:
        """The id of the key and the algorithm that the header names. Raises Unauthenticated."""
        parts = token.split(".", 3)
        if len(token) > TOKEN_CHARACTERS_MAX or len(parts) != 3:
            raise Unauthenticated(_NO_JWT)
        header = _json(parts[0])
        kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "JWT")
        if algorithm not in self._trust.algorithms:
            raise Unauthenticated("The access token is not signed as this server was told")
        if not isinstance(kid, str) or not kid:
            raise Unauthenticated("The header of the access token has no `kid`")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise Unauthenticated("The token is no access token")
        if not header.keys() <= _HEADER:
            raise Unauthenticated("The header of the access token has what is not understood")
        return kid, str(algorithm)


def _json(part: str) -> Mapping[str, Any]:
    try:
        told = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Unauthenticated(_NO_JWT) from error
    if not isinstance(told, dict):
        raise Unauthenticated(_NO_JWT)
    return told
