"""
Registered clients: who may ask for tokens, by what keys they are known, and what they may get at most.

Only back-end services can be registered so far: they hold a private key, and a system's scopes are agreed on
beforehand.

https://hl7.org/fhir/smart-app-launch/backend-services.html, https://www.rfc-editor.org/rfc/rfc7591
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.smart.jwks import JwksError, key_set
from fhir_server.smart.scopes import granted

NAME_CHARACTERS_MAX: Final = 200
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class InvalidClient(ValueError):
    """A registration that cannot be accepted; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Client:
    """
    A registered back-end service.

    Its public keys are in `jwks`, or at `jwks_uri`: one of the two. `scope` is what it may get at most.
    """

    id: str
    name: str
    scope: str
    jwks: Mapping[str, Any] | None
    jwks_uri: str | None
    registered: datetime

    def __post_init__(self) -> None:
        if self.jwks is not None:
            object.__setattr__(self, "jwks", key_set(self.jwks))


def registration(
    id: str,
    *,
    name: str,
    scope: str,
    jwks: Mapping[str, Any] | None,
    jwks_uri: str | None,
    now: datetime,
    known_types: frozenset[str],
) -> Client:
    """The client that is asked for. Raises InvalidClient."""
    if not CLIENT_ID.fullmatch(id):
        raise InvalidClient("A client_id has up to 64 letters, digits, dots, hyphens and underscores")
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidClient(f"A client has a name of up to {NAME_CHARACTERS_MAX} printable characters")
    unknown = [word for word in scope.split(" ") if not granted(word, known_types)]
    if unknown or not scope:
        raise InvalidClient(f"`{unknown[0][:100] if unknown else ''}` is no scope that this server knows")
    others = [one.text for one in granted(scope, known_types) if one.context != "system"]
    if others:
        raise InvalidClient(f"`{others[0]}`: the scopes of a back-end service begin with system/")
    if (jwks is None) == (jwks_uri is None):
        raise InvalidClient("The public keys are told as a JWK Set or by its URL: one of the two")
    if jwks_uri is not None and not jwks_uri.startswith(("https://", "http://")):
        raise InvalidClient("The URL of a JWK Set begins with https://")
    try:
        return Client(id, name, scope, jwks, jwks_uri, now)
    except JwksError as error:
        raise InvalidClient(str(error)) from error
