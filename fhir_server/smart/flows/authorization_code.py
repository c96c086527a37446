"""
An app comes with the code that it was given: whether it is the one it was given to.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3, https://www.rfc-editor.org/rfc/rfc7636#section-4.6
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from fhir_server.smart.clients import Client
from fhir_server.smart.grants import Granted
from fhir_server.smart.refusals import OAuthRefused

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_NOT_GOOD: Final = "The code is not one that this client was given, or it holds no more"


def require_code(
    granted: Granted | None, secret: str, client: Client, form: Mapping[str, str], now: datetime
) -> Granted:
    """The grant, if the code with this secret's hash is good for `client`. Raises OAuthRefused."""
    if granted is None or not compare_digest(secret, granted.code) or granted.client != client.id:
        raise OAuthRefused("invalid_grant", _NOT_GOOD)
    if granted.revoked or granted.code_until <= now or granted.made < client.registered:
        raise OAuthRefused("invalid_grant", _NOT_GOOD)
    if form.get("redirect_uri") != granted.redirect_uri:
        raise OAuthRefused("invalid_grant", "`redirect_uri` is the one that the code was asked for with")
    verifier = form.get("code_verifier", "")
    if not _VERIFIER.fullmatch(verifier) or not compare_digest(challenge_of(verifier), granted.challenge):
        raise OAuthRefused("invalid_grant", "`code_verifier` is not that of the `code_challenge`")
    return granted


def challenge_of(verifier: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc7636#section-4.2, S256"""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
