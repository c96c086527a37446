"""
The second factor: a code of six digits that an authenticator app makes anew every 30 seconds (TOTP).

A code is taken one step before and after its time, for clocks that differ, and once: `step` says which
step it is of, and the store remembers the last one (store/users.py). Secrets are kept encrypted, by a key
derived from the deployment's wrapping secret and bound to their user: a copy of the database alone logs
nobody in, and a secret that was put to another user does not open.

https://www.rfc-editor.org/rfc/rfc6238, https://github.com/google/google-authenticator/wiki/Key-Uri-Format
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from typing import Final, NamedTuple

import pyotp
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from fhir_server.smart.keys import SecretMismatchError
from fhir_server.smart.secret import derived

STEP_SECONDS: Final = 30
DIGITS: Final = 6
DRIFT_STEPS: Final = 1
SECRET_CHARACTERS: Final = 32
"""160 bits in base 32, as RFC 4226 recommends."""

_PURPOSE: Final = "secrets of second factors"
_WRAPPING: Final = {"alg": "dir", "enc": "A256GCM"}


class Enrolment(NamedTuple):
    """A new second factor: what the app is told, once, and what is kept."""

    uri: str
    sealed: str


class SecondFactors:
    """Those of one deployment."""

    def __init__(self, secret: bytes) -> None:
        self._key = OctKey.import_key(derived(secret, _PURPOSE))

    def enrolled(self, user_id: str, *, name: str, issuer: str) -> Enrolment:
        """A new secret for a user; `name` and `issuer` are what the app shows."""
        secret = pyotp.random_base32(SECRET_CHARACTERS)
        content = json.dumps({"sub": user_id, "secret": secret}).encode()
        uri = _totp(secret).provisioning_uri(name=name, issuer_name=issuer)
        return Enrolment(uri, jwe.encrypt_compact(_WRAPPING, content, self._key))

    def step(self, user_id: str, sealed: str, code: str, now: datetime) -> int | None:
        """
        The time step that the code is of; None when it is of none that is near.

        Raises SecretMismatchError when the secret was sealed by another deployment, or for another user.
        """
        totp = _totp(self._opened(user_id, sealed))
        told = "".join(code.split()).encode("utf-8", "surrogatepass")
        current = int(now.timestamp()) // STEP_SECONDS
        near = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
        found = [step for step in near if hmac.compare_digest(totp.generate_otp(step).encode(), told)]
        return found[-1] if found else None

    def _opened(self, user_id: str, sealed: str) -> str:
        try:
            opened = jwe.decrypt_compact(sealed, self._key, algorithms=["dir", "A256GCM"])
        except (JoseError, ValueError) as error:
            raise SecretMismatchError(
                "The second factors in this database are sealed by another secret: "
                "start with the data folder or the FHIR_SERVER_SECRET they were made with"
            ) from error
        content = json.loads(opened.plaintext or b"{}")
        if content.get("sub") != user_id:
            raise SecretMismatchError("A second factor in this database was made for another user")
        return str(content["secret"])


def _totp(secret: str) -> pyotp.TOTP:
    # SHA-1 is what every app knows; HMAC does not need it to resist collisions (RFC 6238, 1.2).
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)
