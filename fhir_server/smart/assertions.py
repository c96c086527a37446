"""
Client assertions: a back-end service proves with its private key who it is.

The checks are a list in the order in which they are made; each refuses with what is wrong and never with more
than the client sent itself. What is read before the signature is verified serves to find the key alone.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification,
https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.smart.clients import CLIENT_ID
from fhir_server.smart.jwks import ALGORITHMS

ASSERTION_CHARACTERS_MAX: Final = 8_192
JTI_CHARACTERS_MAX: Final = 255
LIFETIME_SECONDS_MAX: Final = 300
CLOCK_SKEW_SECONDS: Final = 10
"""A client's clock may be ahead so much: `iat` and `nbf`, and what `exp` may be beyond the lifetime."""

_HEADER: Final = frozenset(("alg", "typ", "kid", "jku"))
"""What a header may have. Whatever else (crit, jwk, x5c, x5u, zip) changes what is verified, or by what."""


class Refused(ValueError):
    """The assertion proves nothing; the message is for whoever wrote the client."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What an assertion says, before anything of it is known to be true."""

    text: str
    client_id: str
    algorithm: str
    kid: str
    jku: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """An assertion that holds: it may be used once, until it `expires` (seconds since 1970)."""

    client_id: str
    jti: str
    expires: int


def unverified(text: str) -> Unverified:
    """Whose assertion it says to be, and by what key. Raises Refused."""
    if len(text) > ASSERTION_CHARACTERS_MAX:
        raise Refused(f"The assertion has more than {ASSERTION_CHARACTERS_MAX} characters")
    parts = text.split(".")
    if len(parts) != 3:
        raise Refused("The assertion is no signed JWT")
    header, claims = _json(parts[0]), _json(parts[1])
    algorithm, kid, jku = header.get("alg"), header.get("kid"), header.get("jku")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Refused(f"The header's `alg` is one of {', '.join(ALGORITHMS)}")
    if header.get("typ") != "JWT":
        raise Refused("The header's `typ` is JWT")
    if not isinstance(kid, str) or not kid:
        raise Refused("The header has a `kid`")
    if jku is not None and not isinstance(jku, str):
        raise Refused("The header's `jku` is a URL")
    if unknown := header.keys() - _HEADER:
        raise Refused(f"The header has `{min(unknown)[:64]}`, which is not understood")
    client_id = claims.get("iss")
    if not isinstance(client_id, str) or client_id != claims.get("sub"):
        raise Refused("`iss` and `sub` are both the client_id")
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused("`iss` is no client_id")
    return Unverified(text, client_id, algorithm, kid, jku)


def verified(told: Unverified, key: RSAKey | ECKey, *, audience: str, now: int) -> Proof:
    """The assertion, its signature and its claims verified; `now` in seconds since 1970. Raises Refused."""
    try:
        claims = jwt.decode(told.text, key, algorithms=[told.algorithm]).claims
    except (JoseError, ValueError, TypeError) as error:
        raise Refused("The signature is not that of the key") from error
    if claims.get("aud") not in (audience, [audience]):
        raise Refused(f"`aud` is {audience}")
    expires = _seconds(claims, "exp")
    if expires is None or expires <= now:
        raise Refused("`exp` is a time to come")
    if expires > now + LIFETIME_SECONDS_MAX + CLOCK_SKEW_SECONDS:
        raise Refused(f"`exp` is at most {LIFETIME_SECONDS_MAX} seconds ahead")
    for name in ("nbf", "iat"):
        moment = _seconds(claims, name)
        if name in claims and (moment is None or moment > now + CLOCK_SKEW_SECONDS):
            raise Refused(f"`{name}` is a time that has come")
    jti = claims.get("jti")
    # JSON can write half a character, which is no text and not printable.
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARACTERS_MAX or not jti.isprintable():
        raise Refused(f"`jti` is a text of up to {JTI_CHARACTERS_MAX} printable characters")
    return Proof(told.client_id, jti, expires)


def _json(part: str) -> Mapping[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        told = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Refused("The assertion is no signed JWT") from error
    if not isinstance(told, dict):
        raise Refused("The assertion is no signed JWT")
    return told


def _seconds(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
