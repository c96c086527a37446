"""
What a SMART app can find out about this server before it has a token.

https://hl7.org/fhir/smart-app-launch/conformance.html
"""

from __future__ import annotations

from fhir_server.r4.resource import Resource
from fhir_server.smart.jwks import ALGORITHMS


def smart_configuration(token_endpoint: str, revocation_endpoint: str) -> Resource:
    """Only what works is listed: tokens come from here for back-end services, else from the operator."""
    return {
        "token_endpoint": token_endpoint,
        "revocation_endpoint": revocation_endpoint,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["patient/*.cruds", "user/*.cruds", "system/*.cruds"],
        "capabilities": [
            "client-confidential-asymmetric",
            "permission-patient",
            "permission-user",
            "permission-v1",
            "permission-v2",
        ],
    }
