"""
An app registers itself, where the operator lets it: what it may say of itself, and what becomes of it.

Only apps do, with what people decide on each time; and nothing that they name is fetched: keys are told, not
where they are. What is not understood is left out, as RFC 7591 asks.

https://www.rfc-editor.org/rfc/rfc7591#section-2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.smart.clients import Client, InvalidClient, accepted, hash_of
from fhir_server.smart.redirects import InvalidRedirect, require_redirect
from fhir_server.smart.refusals import OAuthRefused

METHODS: Final = ("none", "client_secret_basic", "private_key_jwt")
SCOPE: Final = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access "
    "patient/*.rs user/*.rs"
)
"""What an app is registered for that does not say."""
_GRANT_TYPES: Final = frozenset(("authorization_code", "refresh_token"))


@dataclass(frozen=True, slots=True)
class Registration:
    """A client that may be registered, and its secret where it has one: it is told once."""

    client: Client
    secret: str | None

    def told(self) -> dict[str, Any]:
        """https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1"""
        client = self.client
        told: dict[str, Any] = {
            "client_id": client.id,
            "client_id_issued_at": int(client.registered.timestamp()),
            "client_name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "token_endpoint_auth_method": client.method,
            "grant_types": sorted(_GRANT_TYPES),
            "response_types": ["code"],
            "scope": client.scope,
        }
        if client.launch_uris:
            told["initiate_login_uri"] = client.launch_uris[0]
        if client.jwks is not None:
            told["jwks"] = client.jwks
        if self.secret is not None:
            told["client_secret"] = self.secret
            told["client_secret_expires_at"] = 0
        return told


def registration(
    told: Mapping[str, Any], id: str, secret: str, now: datetime, known_types: frozenset[str]
) -> Registration:
    """
    What the metadata `told` make of a client called `id`; `secret` is the one it gets if it wants one.

    Raises OAuthRefused.
    """
    method = told.get("token_endpoint_auth_method", "client_secret_basic")
    _require_understood(told, method)
    launched = told.get("initiate_login_uri")
    keeps_secret = method == "client_secret_basic"
    try:
        client = Client(
            id,
            told.get("client_name", id),
            told.get("scope", SCOPE),
            told.get("jwks"),
            None,
            now,
            _redirect_uris(told),
            () if launched is None else (launched,),
            hash_of(secret) if keeps_secret else None,
        )
        return Registration(accepted(client, known_types), secret if keeps_secret else None)
    except InvalidClient as refusal:
        raise OAuthRefused("invalid_client_metadata", str(refusal)) from refusal


def _require_understood(told: Mapping[str, Any], method: object) -> None:
    if method not in METHODS:
        _refuse(f"`token_endpoint_auth_method` is one of {', '.join(METHODS)}")
    if (method == "private_key_jwt") != ("jwks" in told):
        _refuse("`jwks` comes with private_key_jwt, and that with it")
    for name in ("jwks_uri", "software_statement"):
        if name in told:
            _refuse(f"`{name}` is not looked at here: an operator registers such an app")
    for name in ("client_name", "scope", "initiate_login_uri"):
        if name in told and not isinstance(told[name], str):
            _refuse(f"`{name}` is a text")
    if "jwks" in told and not isinstance(told["jwks"], dict):
        _refuse("`jwks` is a JWK Set")
    _require_among(told, "grant_types", _GRANT_TYPES)
    _require_among(told, "response_types", frozenset(("code",)))


def _require_among(told: Mapping[str, Any], name: str, known: frozenset[str]) -> None:
    stated = told.get(name, [])
    if not isinstance(stated, list) or not all(isinstance(one, str) and one in known for one in stated):
        _refuse(f"`{name}` is a list of some of {', '.join(sorted(known))}")


def _redirect_uris(told: Mapping[str, Any]) -> tuple[str, ...]:
    stated = told.get("redirect_uris")
    if not isinstance(stated, list) or not stated or not all(isinstance(one, str) for one in stated):
        raise OAuthRefused("invalid_redirect_uri", "`redirect_uris` is a list of at least one address")
    for uri in stated:
        try:
            require_redirect(uri)
        except InvalidRedirect as refusal:
            raise OAuthRefused("invalid_redirect_uri", str(refusal)) from refusal
    return tuple(stated)


def _refuse(description: str) -> None:
    raise OAuthRefused("invalid_client_metadata", description)
