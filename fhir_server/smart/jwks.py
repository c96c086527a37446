"""
Public keys of others, as JWK Sets: of clients, and of an OpenID provider that is trusted.

A set is taken apart and put together again from what a public key has: nothing else is kept, and a private
part is refused, since whoever sent it has given it away.

https://www.rfc-editor.org/rfc/rfc7517,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

KEYS_MAX: Final = 20
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192

ALGORITHMS: Final[Mapping[str, str]] = {"RS384": "RSA", "ES384": "EC"}
"""What a client may sign with, each with the type of key it takes."""

_TAKES: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
}
"""The type of key that an algorithm takes, and its curve."""

_PUBLIC: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))


class JwksError(ValueError):
    """Keys that cannot be used; the message says why, and quotes none of them."""


def key_set(told: Mapping[str, Any], algorithms: Collection[str] = tuple(ALGORITHMS)) -> dict[str, Any]:
    """The public keys of the set that sign with one of these algorithms. Raises JwksError."""
    keys = told.get("keys")
    if not isinstance(keys, list) or not keys:
        raise JwksError("A JWK Set has a member `keys`, a list of keys")
    if len(keys) > KEYS_MAX:
        raise JwksError(f"A JWK Set has more than {KEYS_MAX} keys")
    found = [public for key in keys if (public := _public(key, algorithms)) is not None]
    if not found:
        raise JwksError(f"A JWK Set has a key for {' or '.join(algorithms)}, with a `kid`")
    return {"keys": found}


def key_for(keys: Mapping[str, Any], kid: str, algorithm: str) -> RSAKey | ECKey | None:
    """The one key of that id which the algorithm takes; None when there is none, or more than one."""
    kind, curve = _TAKES[algorithm]
    alike = [key for key in keys["keys"] if key["kid"] == kid and key["kty"] == kind]
    if len(alike) != 1 or alike[0].get("crv") != curve or alike[0].get("alg", algorithm) != algorithm:
        return None
    return _imported(alike[0])


def _public(key: Any, algorithms: Collection[str]) -> dict[str, Any] | None:
    """What is kept of a key; None for one of a type, or for a use, that signs nothing here."""
    if not isinstance(key, dict):
        raise JwksError("A key of a JWK Set is an object")
    if not _PRIVATE.isdisjoint(key):
        raise JwksError("A key of the JWK Set is private: replace it, and send its public part alone")
    if key.get("use", "sig") != "sig" or ("alg" in key and key["alg"] not in algorithms):
        return None
    members = _PUBLIC.get(str(key.get("kty")))
    if members is None or (key["kty"], key.get("crv")) not in [_TAKES[each] for each in algorithms]:
        return None
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        raise JwksError("A key of a JWK Set has a `kid`")
    if not all(isinstance(key.get(member), str) for member in members):
        raise JwksError(f"A key of type {key['kty']} has the members {', '.join(members)}")
    public = {member: key[member] for member in ("kty", "kid", "alg", *members) if member in key}
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
