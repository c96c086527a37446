"""
What an app can find out about this server before it has a token: two documents, made of one value.

Nothing is listed that does not work, and both say the same: each member follows from a capability, or from
the address of an endpoint.

https://hl7.org/fhir/smart-app-launch/conformance.html,
https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from fhir_server.r4.resource import Resource
from fhir_server.smart.jwks import ALGORITHMS
from fhir_server.smart.keys import IDENTITY_ALGORITHM

Capability = Literal[
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
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
    "smart-app-state",
]
"""https://hl7.org/fhir/smart-app-launch/conformance.html#capabilities"""


@dataclass(frozen=True, slots=True)
class Served:
    """
    What this deployment serves; what is None is not served.

    All addresses are absolute. `back_end_services` get tokens by the client credentials grant.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    capabilities: frozenset[Capability]
    back_end_services: bool = False
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    registration_endpoint: str | None = None
    management_endpoint: str | None = None
    brand_bundle: str | None = None
    brand_identifier: Mapping[str, str] | None = None

    @property
    def launches(self) -> bool:
        """Do apps get tokens by way of a person?"""
        return not self.capabilities.isdisjoint(("launch-ehr", "launch-standalone"))

    @property
    def tells_who_logs_in(self) -> bool:
        """Is there anything of OpenID Connect?"""
        return "sso-openid-connect" in self.capabilities


def smart_configuration(served: Served) -> Resource:
    """The document at `.well-known/smart-configuration`."""
    told = {
        **_of_either(served),
        "issuer": served.issuer if served.tells_who_logs_in else None,
        "jwks_uri": served.jwks_uri if served.tells_who_logs_in else None,
        "management_endpoint": served.management_endpoint,
        **brands(served),
        "capabilities": [one for one in _ORDER if one in served.capabilities],
    }
    return _stated(told)


def brands(served: Served) -> Resource:
    """Where the brands are, whoever issues the tokens: members of `.well-known/smart-configuration`."""
    told = {
        "user_access_brand_bundle": served.brand_bundle,
        "user_access_brand_identifier": served.brand_identifier,
    }
    return _stated(told)


def openid_configuration(served: Served) -> Resource | None:
    """The document at `.well-known/openid-configuration`; None where nobody is told who logs in."""
    if not served.tells_who_logs_in:
        return None
    told = {
        "issuer": served.issuer,
        "jwks_uri": served.jwks_uri,
        "userinfo_endpoint": served.userinfo_endpoint,
        **_of_either(served),
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [IDENTITY_ALGORITHM],
        "claims_supported": list(CLAIMS),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
    return _stated(told)


CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser")
"""Of an id_token."""


def _of_either(served: Served) -> dict[str, Any]:
    """What both documents have: https://www.rfc-editor.org/rfc/rfc8414#section-2"""
    methods = [method for capability, method in _METHODS.items() if capability in served.capabilities]
    signed = "client-confidential-asymmetric" in served.capabilities
    return {
        "authorization_endpoint": served.authorization_endpoint if served.launches else None,
        "token_endpoint": served.token_endpoint,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS) if signed else None,
        "grant_types_supported": _grants(served),
        "response_types_supported": ["code"] if served.launches else None,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True if served.launches else None,
        "scopes_supported": _scopes(served),
        "registration_endpoint": served.registration_endpoint,
        "revocation_endpoint": served.revocation_endpoint,
        "revocation_endpoint_auth_methods_supported": methods if served.revocation_endpoint else None,
        "introspection_endpoint": served.introspection_endpoint,
        "introspection_endpoint_auth_methods_supported": (
            ["Bearer", "private_key_jwt"] if served.introspection_endpoint else None
        ),
    }


def _grants(served: Served) -> list[str]:
    refreshed = not served.capabilities.isdisjoint(("permission-offline", "permission-online"))
    return [
        *(["authorization_code"] if served.launches else []),
        *(["refresh_token"] if refreshed else []),
        *(["client_credentials"] if served.back_end_services else []),
    ]


def _scopes(served: Served) -> list[str]:
    """Each of them is supported, which is why wildcards stand for the types."""
    found = [
        scope
        for capability, scopes in _SCOPES.items()
        if capability in served.capabilities
        for scope in scopes
    ]
    return [*found, *(["system/*.cruds"] if served.back_end_services else [])]


def _stated(told: Mapping[str, Any]) -> Resource:
    return {name: value for name, value in told.items() if value is not None}


_METHODS: Final[Mapping[Capability, str]] = {
    "client-public": "none",
    "client-confidential-symmetric": "client_secret_basic",
    "client-confidential-asymmetric": "private_key_jwt",
}

_SCOPES: Final[Mapping[Capability, tuple[str, ...]]] = {
    "sso-openid-connect": ("openid", "fhirUser"),
    "launch-ehr": ("launch",),
    "context-standalone-patient": ("launch/patient",),
    "context-ehr-encounter": ("launch/encounter",),
    "permission-offline": ("offline_access",),
    "permission-online": ("online_access",),
    "permission-patient": ("patient/*.cruds",),
    "permission-user": ("user/*.cruds",),
}

_ORDER: Final[tuple[Capability, ...]] = get_args(Capability)
