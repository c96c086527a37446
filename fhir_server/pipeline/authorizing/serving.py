"""
What this deployment serves of SMART and OpenID Connect: the one place that says so.

A capability is added to the list when it works; the documents (smart/discovery.py) follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.pipeline.authorizing.addresses import (
    APPS_PATH,
    AUTHORIZE_PATH,
    INTROSPECTION_PATH,
    JWKS_PATH,
    REGISTRATION_PATH,
    USERINFO_PATH,
    beside,
    revocation_url,
    token_url,
)
from fhir_server.settings import Settings
from fhir_server.smart.brands.bundle import BRANDS_PATH, brand_identifier
from fhir_server.smart.discovery import Capability, Served

CAPABILITIES: Final[frozenset[Capability]] = frozenset(
    (
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-style",
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "permission-offline",
        "permission-online",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
        "smart-app-state",
    )
)


def served(settings: Settings) -> Served:
    """As the settings have it."""
    base_url = settings.base_url
    return Served(
        issuer=base_url,
        authorization_endpoint=beside(base_url, AUTHORIZE_PATH),
        token_endpoint=token_url(base_url),
        jwks_uri=beside(base_url, JWKS_PATH),
        userinfo_endpoint=beside(base_url, USERINFO_PATH),
        revocation_endpoint=revocation_url(base_url),
        registration_endpoint=(
            beside(base_url, REGISTRATION_PATH) if settings.dynamic_registration else None
        ),
        management_endpoint=beside(base_url, APPS_PATH),
        introspection_endpoint=beside(base_url, INTROSPECTION_PATH),
        capabilities=CAPABILITIES,
        back_end_services=True,
        brand_bundle=None if settings.brands_file is None else beside(base_url, BRANDS_PATH),
        brand_identifier=_brand_identifier(settings),
    )


def _brand_identifier(settings: Settings) -> Mapping[str, str] | None:
    if settings.brands_file is None or settings.brand_identifier is None:
        return None
    return brand_identifier(settings.brand_identifier).told()
