"""
The keys that sign access tokens: in the database, wrapped by a secret that is not.

All processes of one deployment, and the `token` command, find the same keys. The wrapping
secret lives in the data folder (`secret`, readable by its owner alone) or comes from the
environment, so a copy of the database alone signs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

ALGORITHM: Final = "ES256"
SECRET_BYTES: Final = 32
_DOCUMENT: Final = ("signing-keys", "current")
_WRAPPING: Final = {"alg": "dir", "enc": "A256GCM"}


class SecretMismatchError(RuntimeError):
    """The database's keys are wrapped by another secret than the one this process has."""


class State(Protocol):
    """Where the wrapped keys are kept."""

    async def get(self, kind: str, id: str) -> Mapping[str, Any] | None:
        """The document, or None."""

    async def insert(self, kind: str, id: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The document that is there, which is `value` when there was none."""


class SigningKeys:
    """The current signing key and those whose signatures still verify, by `kid`."""

    def __init__(self, keys: Mapping[str, ECKey], current: str) -> None:
        self._keys = dict(keys)
        self.current_id = current

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


async def load_or_create(state: State, secret: bytes, now: datetime) -> SigningKeys:
    """
    The signing keys of this deployment; the first process to ask makes them.

    Raises SecretMismatchError when they cannot be unwrapped.
    """
    document = await state.get(*_DOCUMENT)
    if document is None:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        wrapped = _wrap({"current": key.kid, "keys": [key.as_dict(private=True)]}, secret)
        document = await state.insert(*_DOCUMENT, {"wrapped": wrapped, "made": now})
    return _unwrap(document["wrapped"], secret)


def _derived(key: ECKey, purpose: str, bytes_count: int) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc5869"""
    number = key.as_dict(private=True)["d"]
    return HKDF(SHA256(), bytes_count, None, purpose.encode()).derive(str(number).encode())


def _wrap(keys: Mapping[str, Any], secret: bytes) -> str:
    return jwe.encrypt_compact(_WRAPPING, json.dumps(keys).encode(), _wrapping_key(secret))


def _unwrap(wrapped: str, secret: bytes) -> SigningKeys:
    try:
        opened = jwe.decrypt_compact(wrapped, _wrapping_key(secret), algorithms=["dir", "A256GCM"])
    except (JoseError, ValueError) as error:
        raise SecretMismatchError(
            "The signing keys in this database are wrapped by another secret: "
            "start with the data folder or the FHIR_SERVER_SECRET they were made with"
        ) from error
    content = json.loads(opened.plaintext or b"{}")
    keys = [ECKey.import_key(key) for key in content["keys"]]
    return SigningKeys({str(key.kid): key for key in keys}, content["current"])


def _wrapping_key(secret: bytes) -> OctKey:
    if len(secret) != SECRET_BYTES:
        raise SecretMismatchError(f"The secret must have {SECRET_BYTES} bytes, this one has {len(secret)}")
    return OctKey.import_key(secret)
