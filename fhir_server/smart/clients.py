"""
Registered clients: who may ask for tokens, how they prove who they are, and what they may get at most.

An app has redirect URIs, and people give it what it may see; it keeps a key, a secret, or neither. A back-end
service has none: it keeps a key, and what it may see is agreed on beforehand.

https://hl7.org/fhir/smart-app-launch/app-launch.html#register-app-with-ehr,
https://hl7.org/fhir/smart-app-launch/backend-services.html, https://www.rfc-editor.org/rfc/rfc7591
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Literal

from fhir_server.smart.jwks import JwksError, key_set
from fhir_server.smart.redirects import URIS_MAX, InvalidRedirect, origin_of, require_redirect
from fhir_server.smart.scopes import EXTENSIONS, SCOPE_CHARACTERS_MAX, SCOPES_MAX, WORDS, context_of, granted
from fhir_server.smart.state_codes import InvalidStateCode, state_codes

NAME_CHARACTERS_MAX: Final = 200
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

Method = Literal["none", "client_secret_basic", "private_key_jwt"]
"""How a client proves who it is: not at all (a public one), by a secret, by a key."""


class InvalidClient(ValueError):
    """A registration that cannot be accepted; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Client:
    """
    A registered client; one with `redirect_uris` is an app, one without is a back-end service.

    Its public keys are in `jwks`, or at `jwks_uri`; `secret` is the hash of its secret (`hash_of`). `scope`
    is what it may get at most. An EHR launches it at one of `launch_uris`. It keeps app state under
    `state_codes` (state_codes.py). With `decided_for_clinicians` the organisation has said yes for those
    whom an EHR launches it for. Raises InvalidClient for keys that cannot be used.
    """

    id: str
    name: str
    scope: str
    jwks: Mapping[str, Any] | None
    jwks_uri: str | None
    registered: datetime
    redirect_uris: tuple[str, ...] = ()
    launch_uris: tuple[str, ...] = ()
    secret: str | None = None
    state_codes: tuple[str, ...] = ()
    decided_for_clinicians: bool = False

    def __post_init__(self) -> None:
        if self.jwks is not None:
            try:
                object.__setattr__(self, "jwks", key_set(self.jwks))
            except JwksError as error:
                raise InvalidClient(str(error)) from error

    @property
    def is_app(self) -> bool:
        """Do people give it what it may see?"""
        return bool(self.redirect_uris)

    @property
    def method(self) -> Method:
        if self.jwks is not None or self.jwks_uri is not None:
            return "private_key_jwt"
        return "none" if self.secret is None else "client_secret_basic"

    @property
    def origins(self) -> frozenset[str]:
        """Where its scripts come from."""
        found = (origin_of(uri) for uri in (*self.redirect_uris, *self.launch_uris))
        return frozenset(origin for origin in found if origin is not None)

    def knows(self, secret: str) -> bool:
        """Is this its secret? Told in the same time for each that is not."""
        return compare_digest(hash_of(secret), self.secret or hash_of(""))


def hash_of(secret: str) -> str:
    """
    What is kept of a secret that we made ourselves.

    It has 256 bits that nobody chose, so that there is nothing to guess from its hash.
    """
    return sha256(secret.encode()).hexdigest()


def accepted(client: Client, known_types: frozenset[str]) -> Client:
    """`client`, if it may be registered. Raises InvalidClient."""
    if not CLIENT_ID.fullmatch(client.id):
        raise InvalidClient("A client_id has up to 64 letters, digits, dots, hyphens and underscores")
    if not client.name or len(client.name) > NAME_CHARACTERS_MAX or not client.name.isprintable():
        raise InvalidClient(f"A client has a name of up to {NAME_CHARACTERS_MAX} printable characters")
    _require_addresses(client.redirect_uris, client.launch_uris)
    _require_scope(client.scope, known_types, is_app=client.is_app)
    _require_proof(client)
    try:
        state_codes(client.state_codes)
    except InvalidStateCode as error:
        raise InvalidClient(str(error)) from error
    return client


def _require_addresses(redirect_uris: tuple[str, ...], launch_uris: tuple[str, ...]) -> None:
    if len(redirect_uris) > URIS_MAX or len(launch_uris) > URIS_MAX:
        raise InvalidClient(f"A client has at most {URIS_MAX} redirect URIs, and as many to be launched at")
    if launch_uris and not redirect_uris:
        raise InvalidClient("An app that is launched has a redirect URI")
    for uri in (*redirect_uris, *launch_uris):
        try:
            require_redirect(uri)
        except InvalidRedirect as error:
            raise InvalidClient(f"`{uri[:100]}`: {error}") from error


def _require_scope(scope: str, known_types: frozenset[str], *, is_app: bool) -> None:
    if len(scope) > SCOPE_CHARACTERS_MAX or len(scope.split(" ")) > SCOPES_MAX:
        raise InvalidClient(f"A client has at most {SCOPES_MAX} scopes, of {SCOPE_CHARACTERS_MAX} characters")
    for word in scope.split(" "):
        found = granted(word, known_types)
        known = word in EXTENSIONS if not is_app else word in WORDS or context_of(word) is not None
        if not found and not known:
            raise InvalidClient(f"`{word[:100]}` is no scope that this server knows")
        if found and is_app == (found[0].context == "system"):
            whose = (
                "an app begin with patient/ or user/" if is_app else "a back-end service begin with system/"
            )
            raise InvalidClient(f"`{word[:100]}`: the scopes of {whose}")


def _require_proof(client: Client) -> None:
    told = [one for one in (client.jwks, client.jwks_uri, client.secret) if one is not None]
    if len(told) > 1:
        raise InvalidClient("A client has a JWK Set, the URL of one, or a secret: one of them")
    # https://hl7.org/fhir/smart-app-launch/client-confidential-symmetric.html#profile-audience-and-scope
    if not client.is_app and (not told or client.secret is not None):
        raise InvalidClient("The public keys are told as a JWK Set or by its URL: one of the two")
    if client.jwks_uri is not None and not client.jwks_uri.startswith(("https://", "http://")):
        raise InvalidClient("The URL of a JWK Set begins with https://")
