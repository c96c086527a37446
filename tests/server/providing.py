"""An OpenID provider on a socket of its own: its configuration, its keys, and the tokens that it signs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

AUDIENCE: Final = "fhir-server"
REALM: Final = "/realms/hospital"
CERTS: Final = f"{REALM}/protocol/openid-connect/certs"
CONFIGURATION: Final = f"{REALM}/.well-known/openid-configuration"

SigningKey = RSAKey | ECKey | OctKey
RSA: Final = RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS256", "use": "sig"})


def an_ec_key(kid: str, curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": kid, "use": "sig"})


@dataclass(slots=True)
class OpenIdProvider:
    """What it publishes can be changed, and it counts what it is asked."""

    port: int = 0
    keys: list[dict[str, Any]] = field(default_factory=lambda: [RSA.as_dict(private=False)])
    told: dict[str, Any] = field(default_factory=dict)
    """What its configuration says otherwise."""
    status: str = "200 OK"
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}{REALM}"

    @property
    def settings(self) -> dict[str, Any]:
        """What a server that trusts it is told."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_audience": AUDIENCE,
            "oidc_roles_claim": "realm_access.roles",
            "oidc_role_scopes": {"nurse": "user/*.rs", "warehouse": "system/*.rs"},
            "jwks_private_hosts": ("127.0.0.1",),
        }

    @property
    def configuration(self) -> dict[str, Any]:
        at = f"{self.issuer}/protocol/openid-connect"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{at}/auth",
            "token_endpoint": f"{at}/token",
            "introspection_endpoint": f"{at}/token/introspect",
            "userinfo_endpoint": f"{at}/userinfo",
            "revocation_endpoint": f"{at}/revoke",
            "jwks_uri": f"http://127.0.0.1:{self.port}{CERTS}",
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "implicit",
            ],
            "response_types_supported": ["code", "none", "id_token"],
            "scopes_supported": [
                "openid",
                "fhirUser",
                "launch/patient",
                "patient/*.rs",
                "user/*.rs",
                "email",
            ],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384", "HS256"],
            "code_challenge_methods_supported": ["plain", "S256"],
            **self.told,
        }

    def token(
        self, *, key: SigningKey | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token for a practitioner; a member of None is left out."""
        signing = key or RSA
        algorithm = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}[signing.key_type]
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "5f0c",
            "azp": "chart",
            "iat": now,
            "exp": now + 300,
            "jti": uuid4().hex,
            "typ": "Bearer",
            "scope": "openid user/*.rs",
            "fhirUser": "Practitioner/7",
            **claims,
        }
        told = {"alg": algorithm, "typ": "JWT", "kid": signing.kid, **(header or {})}
        told = {name: value for name, value in told.items() if value is not None}
        said = {name: value for name, value in said.items() if value is not None}
        allowed = [str(told.get("alg"))]
        return jwt.encode(told, said, signing, algorithms=allowed)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        self.asked.append(path)
        if not self.away:
            body = {CONFIGURATION: self.configuration, CERTS: {"keys": self.keys}}.get(path)
            text = json.dumps(body).encode()
            head = [f"HTTP/1.1 {self.status if path == CERTS else '200 OK'}", "Connection: close"]
            head += ["Cache-Control: no-cache", f"Content-Length: {len(text)}", *self.headers.get(path, ())]
            writer.write("\r\n".join([*head, "", ""]).encode() + text)
        writer.close()


@asynccontextmanager
async def providing() -> AsyncIterator[OpenIdProvider]:
    """One that answers until the block ends."""
    found = OpenIdProvider()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
