"""
The keys that sign access tokens and id_tokens: in the database, wrapped by a secret that is not.

They come in pairs: an EC key (ES256) signs access tokens, an RSA key beside it (RS256, which SMART asks for)
id_tokens. Both are made, retired and forgotten together. A pair of before there were id_tokens is given its
RSA key when the deployment is opened next; one that had been retired by then needs none.

All processes of one deployment, and the `token` command, find the same keys. The wrapping
secret lives in the data folder (`secret`, readable by its owner alone) or comes from the
environment, so a copy of the database alone signs nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

ALGORITHM: Final = "ES256"
"""Of access tokens."""
IDENTITY_ALGORITHM: Final = "RS256"
RSA_BITS: Final = 2_048
SECRET_BYTES: Final = 32
KEYS_MAX: Final = 50
"""Pairs. Wrapped, they stay below the 64 KiB that joserfc unwraps."""
LOOKED_SECONDS: Final = 1.0
"""A token that names an unknown key has a process look for it, no more often than this."""
_DOCUMENT: Final = ("signing-keys", "current")
_PUBLIC: Final = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
_WRAPPING: Final = {"alg": "dir", "enc": "A256GCM"}


class SecretMismatchError(RuntimeError):
    """The database's keys are wrapped by another secret than the one this process has."""


class TooManyKeysError(RuntimeError):
    """Keys were rotated more often than old ones can be kept."""


class State(Protocol):
    """Where the wrapped keys are kept."""

    async def get(self, kind: str, id: str) -> Mapping[str, Any] | None:
        """The document, or None."""

    async def insert(self, kind: str, id: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The document that is there, which is `value` when there was none."""

    async def replace(self, kind: str, id: str, known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
        """Make `value` the document if it still is `known`, and say whether it was."""


class SigningKeys:
    """
    The current signing keys and those whose signatures still verify, by the `kid` of the EC key of each pair.

    `renew` makes it what another process has made of them; `generation` counts how often that was.
    """

    def __init__(
        self, keys: Mapping[str, ECKey], current: str, rsa: Mapping[str, RSAKey] | None = None
    ) -> None:
        self._keys = dict(keys)
        self._rsa = dict(rsa or {})
        self.current_id = current
        self.generation = 0

    @property
    def current(self) -> ECKey:
        return self._keys[self.current_id]

    @property
    def of_id_tokens(self) -> RSAKey:
        """The RSA key that signs now."""
        return self._rsa[self.current_id]

    @property
    def all(self) -> list[ECKey | RSAKey]:
        """Those of either kind that sign, and those whose signatures still verify."""
        return [*self._keys.values(), *self._rsa.values()]

    def find(self, kid: str) -> ECKey | None:
        """The key of that id, None when it is not ours."""
        return self._keys.get(kid)

    def derived(self, purpose: str, *, bytes_count: int) -> list[bytes]:
        """A secret of each key for something else than tokens: the current one first."""
        keys = [self.current, *(key for kid, key in self._keys.items() if kid != self.current_id)]
        return [_derived(key, purpose, bytes_count) for key in keys]

    def renew(self, newer: SigningKeys) -> bool:
        """Take over what is newer, and say whether anything was."""
        known = (self.current_id, self._keys.keys(), self._rsa.keys())
        if known == (newer.current_id, newer._keys.keys(), newer._rsa.keys()):
            return False
        self._keys, self._rsa, self.current_id = newer._keys, newer._rsa, newer.current_id
        self.generation += 1
        return True


def public_jwks(keys: SigningKeys) -> dict[str, Any]:
    """
    A JWK Set of all that sign, or have signed what may still hold: https://www.rfc-editor.org/rfc/rfc7517

    Bare keys, without certificates, as SMART asks. They are put together from the members that a public key
    has: nothing else of a key can get out.
    """
    told = [key.as_dict(private=False) for key in keys.all]
    return {"keys": [{name: key[name] for name in _PUBLIC if name in key} for key in told]}


async def load_or_create(state: State, secret: bytes, now: datetime) -> SigningKeys:
    """
    The signing keys of this deployment; the first process to ask makes them.

    Raises SecretMismatchError when they cannot be unwrapped.
    """
    document = await state.get(*_DOCUMENT)
    if document is None:
        wrapped = _wrap([await _made()], secret)
        await state.insert(*_DOCUMENT, {"wrapped": wrapped, "made": now})
    return await _loaded(state, secret)


async def rotate(state: State, secret: bytes, now: datetime, *, kept: timedelta) -> str:
    """
    Sign with a new key from now on, and return its id.

    One that signs no more verifies for as long as it is `kept`. Raises SecretMismatchError, and
    TooManyKeysError when as many were made within this time.
    """
    await load_or_create(state, secret, now)
    while True:
        document = await state.get(*_DOCUMENT)
        assert document is not None, "it is never removed"
        before, *older = _unwrap(document["wrapped"], secret)
        still = [one for one in older if one.retired is not None and one.retired > now - kept]
        if len(still) + 2 > KEYS_MAX:
            raise TooManyKeysError(f"More than {KEYS_MAX} keys within {kept.days} days would have to be kept")
        new = await _made()
        wrapped = _wrap([new, before.retired_at(now), *still], secret)
        if await state.replace(*_DOCUMENT, document, {"wrapped": wrapped, "made": now}):
            return str(new.key.kid)


class Keyring:
    """The keys of one process, kept up with those of the others."""

    def __init__(self, keys: SigningKeys, state: State, secret: bytes, seconds: Callable[[], float]) -> None:
        self.keys = keys
        self._state = state
        self._secret = secret
        self._seconds = seconds
        self._looked = seconds()
        self._looking = asyncio.Lock()
        self._seen: Mapping[str, Any] | None = None

    async def renewed(self) -> bool:
        """
        Look whether keys were rotated, and say so; at most once in LOOKED_SECONDS, however often it is asked.
        """
        generation = self.keys.generation
        async with self._looking:
            if self.keys.generation != generation:
                # Somebody else has looked meanwhile.
                return True
            if self._seconds() < self._looked + LOOKED_SECONDS:
                return False
            self._looked = self._seconds()
            document = await self._state.get(*_DOCUMENT)
            if document == self._seen:
                # To read an RSA key takes tens of milliseconds.
                return False
            newer = await _loaded(self._state, self._secret)
            self._seen = document
            return self.keys.renew(newer)


class _Pair(NamedTuple):
    """
    Keys that sign at the same time, and since when they sign no more: None for those that do.

    Of an RSA key that signs no more the public part is left. The EC key is kept whole: it opens seals, too.
    """

    key: ECKey
    rsa: RSAKey | None
    retired: datetime | None

    def retired_at(self, now: datetime) -> _Pair:
        rsa = None if self.rsa is None else RSAKey.import_key(self.rsa.as_dict(private=False))
        return _Pair(self.key, rsa, now)


async def _made() -> _Pair:
    ec = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    return _Pair(ec, await _rsa_made(), None)


async def _rsa_made() -> RSAKey:
    """In a thread: looking for primes takes up to a second, and lets go of the interpreter."""
    return await asyncio.to_thread(
        RSAKey.generate_key, RSA_BITS, {"use": "sig", "alg": IDENTITY_ALGORITHM}, auto_kid=True
    )


async def _loaded(state: State, secret: bytes) -> SigningKeys:
    """
    The keys that the database holds; those that sign are given an RSA key if they have none.

    Of several processes that make one at once, the first one's is taken by all.
    """
    while True:
        document = await state.get(*_DOCUMENT)
        assert document is not None, "it is never removed"
        current, *older = pairs = _unwrap(document["wrapped"], secret)
        if current.rsa is not None:
            return _signing_keys(pairs)
        wrapped = _wrap([current._replace(rsa=await _rsa_made()), *older], secret)
        await state.replace(*_DOCUMENT, document, {**document, "wrapped": wrapped})


def _signing_keys(pairs: Sequence[_Pair]) -> SigningKeys:
    keys = {str(pair.key.kid): pair.key for pair in pairs}
    rsa = {str(pair.key.kid): pair.rsa for pair in pairs if pair.rsa is not None}
    return SigningKeys(keys, str(pairs[0].key.kid), rsa)


def _derived(key: ECKey, purpose: str, bytes_count: int) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc5869"""
    number = key.as_dict(private=True)["d"]
    return HKDF(SHA256(), bytes_count, None, purpose.encode()).derive(str(number).encode())


def _wrap(pairs: Sequence[_Pair], secret: bytes) -> str:
    """The first is the one that signs."""
    content = {
        "current": pairs[0].key.kid,
        "keys": [pair.key.as_dict(private=True) for pair in pairs],
        "rsa": {
            pair.key.kid: pair.rsa.as_dict(private=pair.rsa.is_private)
            for pair in pairs
            if pair.rsa is not None
        },
        "retired": {pair.key.kid: pair.retired.isoformat() for pair in pairs if pair.retired is not None},
    }
    return jwe.encrypt_compact(_WRAPPING, json.dumps(content).encode(), _wrapping_key(secret))


def _unwrap(wrapped: str, secret: bytes) -> list[_Pair]:
    """All of them, the one that signs first."""
    try:
        opened = jwe.decrypt_compact(wrapped, _wrapping_key(secret), algorithms=["dir", "A256GCM"])
    except (JoseError, ValueError) as error:
        raise SecretMismatchError(
            "The signing keys in this database are wrapped by another secret: "
            "start with the data folder or the FHIR_SERVER_SECRET they were made with"
        ) from error
    content = json.loads(opened.plaintext or b"{}")
    retired = {kid: datetime.fromisoformat(text) for kid, text in content.get("retired", {}).items()}
    rsa = {kid: RSAKey.import_key(key) for kid, key in content.get("rsa", {}).items()}
    keys = [ECKey.import_key(key) for key in content["keys"]]
    pairs = [_Pair(key, rsa.get(str(key.kid)), retired.get(str(key.kid))) for key in keys]
    return sorted(pairs, key=lambda pair: pair.key.kid != content["current"])


def _wrapping_key(secret: bytes) -> OctKey:
    if len(secret) != SECRET_BYTES:
        raise SecretMismatchError(f"The secret must have {SECRET_BYTES} bytes, this one has {len(secret)}")
    return OctKey.import_key(secret)
