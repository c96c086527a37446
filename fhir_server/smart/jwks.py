"""
Public keys of clients, as JWK Sets.

A set is taken apart and put together again from what a public key has: nothing else is kept, and a private
part is refused, since whoever sent it has given it away.

https://www.rfc-editor.org/rfc/rfc7517,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

KEYS_MAX: Final = 20
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192

ALGORITHMS: Final[Mapping[str, str]] = {"RS384": "RSA", "ES384": "EC"}
"""What a client may sign with, each with the type of key it takes."""

_PUBLIC: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_CURVE: Final = "P-384"


class JwksError(ValueError):
    """Keys that cannot be used; the message says why, and quotes none of them."""


def key_set(told: Mapping[str, Any]) -> dict[str, Any]:
    """The public keys of the set that a client may sign with. Raises JwksError."""
    keys = told.get("keys")
    if not isinstance(keys, list) or not keys:
        raise JwksError("A JWK Set has a member `keys`, a list of keys")
    if len(keys) > KEYS_MAX:
        raise JwksError(f"A JWK Set has more than {KEYS_MAX} keys")
    found = [public for key in keys if (public := _public(key)) is not None]
    if not found:
        raise JwksError("A JWK Set has an RSA key, or an EC key of P-384, with a `kid`")
    return {"keys": found}


def key_for(keys: Mapping[str, Any], kid: str, algorithm: str) -> RSAKey | ECKey | None:
    """The one key of that id which the algorithm takes; None when there is none, or more than one."""
    alike = [key for key in keys["keys"] if key["kid"] == kid and key["kty"] == ALGORITHMS[algorithm]]
    if len(alike) != 1:
        return None
    return _imported(alike[0])


def _public(key: Any) -> dict[str, Any] | None:
    """What is kept of a key; None for one of a type, or for a use, that signs nothing here."""
    if not isinstance(key, dict):
        raise JwksError("A key of a JWK Set is an object")
    if not _PRIVATE.isdisjoint(key):
        raise JwksError("A key of the JWK Set is private: replace it, and send its public part alone")
    if key.get("use", "sig") != "sig" or key.get("alg", "RS384") not in ALGORITHMS:
        return None
    members = _PUBLIC.get(str(key.get("kty")))
    if members is None or (key["kty"] == "EC" and key.get("crv") != _CURVE):
        return None
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        raise JwksError("A key of a JWK Set has a `kid`")
    if not all(isinstance(key.get(member), str) for member in members):
        raise JwksError(f"A key of type {key['kty']} has the members {', '.join(members)}")
    public = {member: key[member] for member in ("kty", "kid", *members)}
    _imported(public)
    return public


def _imported(key: Mapping[str, Any]) -> RSAKey | ECKey:
    try:
        if key["kty"] == "EC":
            return ECKey.import_key(dict(key))
        rsa = RSAKey.import_key(dict(key))
        bits = rsa.public_key.key_size
    except (JoseError, ValueError, TypeError) as error:
        raise JwksError("A key of the JWK Set is no public key of its type") from error
    if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
        raise JwksError(f"An RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    return rsa
