"""Where the endpoints of the authorization server are: beside the FHIR base, on its origin."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

AUTHORIZE_PATH: Final = "/auth/authorize"
TOKEN_PATH: Final = "/auth/token"  # noqa: S105 - an address
REVOCATION_PATH: Final = "/auth/revoke"
INTROSPECTION_PATH: Final = "/auth/introspect"
USERINFO_PATH: Final = "/auth/userinfo"
JWKS_PATH: Final = "/auth/jwks"
REGISTRATION_PATH: Final = "/auth/register"
LAUNCH_PATH: Final = "/auth/launch"
LOGIN_PATH: Final = "/auth/login"
SECOND_FACTOR_PATH: Final = "/auth/second-factor"
PATIENT_PATH: Final = "/auth/patient"
CONSENT_PATH: Final = "/auth/consent"
APPS_PATH: Final = "/auth/apps"
LOGOUT_PATH: Final = "/auth/logout"


def beside(base_url: str, path: str) -> str:
    """The absolute URL of `path` on the origin of the FHIR base."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}{path}"


def token_url(base_url: str) -> str:
    """Where tokens are asked for, which is the audience of assertions too."""
    return beside(base_url, TOKEN_PATH)


def revocation_url(base_url: str) -> str:
    """Where tokens are taken back."""
    return beside(base_url, REVOCATION_PATH)
