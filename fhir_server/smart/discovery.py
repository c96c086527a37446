"""
What a SMART app can find out about this server before it has a token.

https://hl7.org/fhir/smart-app-launch/conformance.html
"""

from __future__ import annotations

from fhir_server.r4.resource import Resource


def smart_configuration() -> Resource:
    """Only what works is listed: tokens come from the operator until there is an authorization server."""
    return {
        "capabilities": ["permission-patient", "permission-user", "permission-v1", "permission-v2"],
        "scopes_supported": ["patient/*.cruds", "user/*.cruds", "system/*.cruds"],
        "grant_types_supported": [],
    }
