"""
The keys that sign access tokens: in the database, wrapped by a secret that is not.

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
from joserfc.jwk import ECKey, OctKey

ALGORITHM: Final = "ES256"
SECRET_BYTES: Final = 32
KEYS_MAX: Final = 50
LOOKED_SECONDS: Final = 1.0
"""A token that names an unknown key has a process look for it, no more often than this."""
_DOCUMENT: Final = ("signing-keys", "current")
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
    The current signing key and those whose signatures still verify, by `kid`.

    `renew` makes it what another process has made of them; `generation` counts how often that was.
    """

    def __init__(self, keys: Mapping[str, ECKey], current: str) -> None:
        self._keys = dict(keys)
        self.current_id = current
        self.generation = 0

    @property
    def current(self) -> ECKey:
        return self._keys[self.current_id]

    def find(self, kid: str) -> ECKey | None:
        """The key of that id, None when it is not ours."""
        return self._keys.get(kid)

    def derived(self, purpose: str, *, bytes_count: int) -> list[bytes]:
        """A secret of each key for something else than tokens: the current one first."""
        keys = [self.current, *(key for kid, key in self._keys.items() if kid != self.current_id)]
        return [_derived(key, purpose, bytes_count) for key in keys]

    def renew(self, newer: SigningKeys) -> bool:
        """Take over what is newer, and say whether anything was."""
        if newer.current_id == self.current_id and newer._keys.keys() == self._keys.keys():
            return False
        self._keys, self.current_id = newer._keys, newer.current_id
        self.generation += 1
        return True


async def load_or_create(state: State, secret: bytes, now: datetime) -> SigningKeys:
    """
    The signing keys of this deployment; the first process to ask makes them.

    Raises SecretMismatchError when they cannot be unwrapped.
    """
    document = await state.get(*_DOCUMENT)
    if document is None:
        wrapped = _wrap([_Signing(_made(), None)], secret)
        document = await state.insert(*_DOCUMENT, {"wrapped": wrapped, "made": now})
    return _signing_keys(_unwrap(document["wrapped"], secret))


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
        new = _Signing(_made(), None)
        wrapped = _wrap([new, _Signing(before.key, now), *still], secret)
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
            assert document is not None, "it is never removed"
            return self.keys.renew(_signing_keys(_unwrap(document["wrapped"], self._secret)))


class _Signing(NamedTuple):
    """A key, and since when it signs no more; None for the one that does."""

    key: ECKey
    retired: datetime | None


def _made() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def _signing_keys(keys: Sequence[_Signing]) -> SigningKeys:
    return SigningKeys({str(one.key.kid): one.key for one in keys}, str(keys[0].key.kid))


def _derived(key: ECKey, purpose: str, bytes_count: int) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc5869"""
    number = key.as_dict(private=True)["d"]
    return HKDF(SHA256(), bytes_count, None, purpose.encode()).derive(str(number).encode())


def _wrap(keys: Sequence[_Signing], secret: bytes) -> str:
    content = {
        "current": keys[0].key.kid,
        "keys": [one.key.as_dict(private=True) for one in keys],
        "retired": {one.key.kid: one.retired.isoformat() for one in keys if one.retired is not None},
    }
    return jwe.encrypt_compact(_WRAPPING, json.dumps(content).encode(), _wrapping_key(secret))


def _unwrap(wrapped: str, secret: bytes) -> list[_Signing]:
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
    keys = [ECKey.import_key(key) for key in content["keys"]]
    found = [_Signing(key, retired.get(str(key.kid))) for key in keys]
    return sorted(found, key=lambda one: one.key.kid != content["current"])


def _wrapping_key(secret: bytes) -> OctKey:
    if len(secret) != SECRET_BYTES:
        raise SecretMismatchError(f"The secret must have {SECRET_BYTES} bytes, this one has {len(secret)}")
    return OctKey.import_key(secret)
