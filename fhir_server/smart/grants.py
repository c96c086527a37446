"""
What a user has granted an app, from the code that the app redeems to the last of its refresh tokens.

A code, and a refresh token, is a handle and a secret. The handle finds the grant, under its hash; of the
secret a hash is kept, so that nobody who reads the database has a token.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1, https://www.rfc-editor.org/rfc/rfc9700#section-4.14
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

CODE_LIFETIME: Final = timedelta(seconds=60)
REFRESH_LIFETIME: Final = timedelta(days=100)
"""From the last time that it was renewed: three months and some days, which apps on phones are promised."""

_TEXT: Final = re.compile(r"([A-Za-z0-9_-]{16,64})\.([A-Za-z0-9_-]{16,64})")


@dataclass(frozen=True, slots=True)
class Granted:
    """
    One grant of a user to an app.

    `account` is the user's id, `user` whom FHIR knows them as; `scope` what was granted; `patient` the id in
    context, `context` what else the launch tells. `session` is the browser's, while what was granted holds as
    long as the person is online. `code` and `refresh` are hashes of secrets; `until` is when the last of them
    stops to hold.
    """

    id: str
    client: str
    account: str
    user: str | None
    scope: str
    patient: str | None
    context: Mapping[str, Any]
    redirect_uri: str
    challenge: str
    nonce: str | None
    auth_time: datetime
    session: str | None
    made: datetime
    code: str
    code_until: datetime
    redeemed: bool
    refresh: str | None
    used: datetime
    until: datetime
    revoked: bool


class Presented(NamedTuple):
    """A code or refresh token as somebody presents it: which grant it would be of, and its secret's hash."""

    grant: str
    secret: str


def token_text(handle: str, secret: str) -> str:
    """The code or refresh token as the app has it."""
    return f"{handle}.{secret}"


def presented(text: str) -> Presented | None:
    """What the text of a code or refresh token says; None when it is none."""
    match = _TEXT.fullmatch(text)
    return None if match is None else Presented(grant_id(match[1]), _hash(match[2]))


def grant_id(handle: str) -> str:
    """What a grant is kept under, and is called in access tokens: it does not tell the handle."""
    return _hash(handle)[:32]


def hash_of_secret(secret: str) -> str:
    """What is kept of a code's or refresh token's secret."""
    return _hash(secret)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
