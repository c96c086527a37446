"""A back-end service as a client writes it: its keys, and the assertions that it signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def an_rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


def an_ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-384", {"kid": kid})


@dataclass(slots=True)
class BackEnd:
    """One that signs with the first of its keys."""

    id: str
    audience: str
    keys: list[RSAKey | ECKey]
    now: int
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def jwks(self) -> dict[str, Any]:
        """What it publishes."""
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def assertion(self, *, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Signed by the first key, or by `key`; a member of None is left out."""
        signing = key or self.keys[0]
        algorithm = "ES384" if signing.key_type == "EC" else "RS384"
        told = {"alg": algorithm, "typ": "JWT", "kid": signing.kid, **(header or {})}
        said = {
            "iss": self.id,
            "sub": self.id,
            "aud": self.audience,
            "exp": self.now + 240,
            "jti": uuid4().hex,
            **claims,
        }
        told = {name: value for name, value in told.items() if value is not None}
        said = {name: value for name, value in said.items() if value is not None}
        allowed = ["RS384", "ES384", "RS256", "HS256", "none", "PS384", "ES256"]
        return jwt.encode(told, said, signing, algorithms=allowed)

    def form(self, assertion: str | None = None, **others: str) -> dict[str, str]:
        """What it posts to the token endpoint."""
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
            "scope": "system/*.rs",
            **others,
        }
