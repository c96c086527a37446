"""
What an app can find out about this server where an OpenID provider issues the tokens: where the provider's
endpoints are, and which of SMART's capabilities the two have together.

A capability is listed when the provider's own configuration says so, or when it follows from the scopes that
it offers and this server understands; what no configuration tells, such as whether the answer with a token
names the patient, is not. What the provider can do beyond SMART (PKCE `plain`, implicit) is left out.

https://hl7.org/fhir/smart-app-launch/conformance.html,
https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.r4.resource import Resource
from fhir_server.smart.external.trust import Trust
from fhir_server.smart.jwks import ALGORITHMS
from fhir_server.smart.scopes import WORDS, Scope, parse

_ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
)
_GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")
_METHODS: Final = ("private_key_jwt", "client_secret_basic")
_VERSION_1: Final = ("read", "write", "*")


def smart_configuration_of(told: Mapping[str, Any], trust: Trust) -> Resource:
    """The document at `.well-known/smart-configuration`; `told` is the provider's configuration."""
    grants = _listed(told, "grant_types_supported", _GRANTS, unsaid=("authorization_code",))
    methods = _listed(
        told, "token_endpoint_auth_methods_supported", _METHODS, unsaid=("client_secret_basic",)
    )
    signed = _listed(told, "token_endpoint_auth_signing_alg_values_supported", tuple(ALGORITHMS))
    capabilities = _capabilities(told, trust, grants, methods, signed)
    identity = "sso-openid-connect" in capabilities
    found = {
        "issuer": told["issuer"] if identity else None,
        "jwks_uri": told["jwks_uri"] if identity else None,
        **{name: told[name] for name in _ENDPOINTS if isinstance(told.get(name), str)},
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signed,
        "scopes_supported": _scopes(told, trust),
        "response_types_supported": ["code"] if "authorization_code" in grants else None,
        "code_challenge_methods_supported": _listed(told, "code_challenge_methods_supported", ("S256",)),
        "capabilities": capabilities,
    }
    return {name: value for name, value in found.items() if value is not None}


def _capabilities(
    told: Mapping[str, Any], trust: Trust, grants: list[str], methods: list[str], signed: list[str]
) -> list[str]:
    offered = _texts(told.get("scopes_supported"))
    rights = [*_understood(offered, trust), *(one for given in trust.role_scopes.values() for one in given)]
    contexts = {scope.context for scope in rights}
    old = {scope.text.rpartition(".")[2] in _VERSION_1 for scope in rights}
    challenged = "S256" in _texts(told.get("code_challenge_methods_supported"))
    standalone = challenged and "authorization_code" in grants and "authorization_endpoint" in told
    holds = {
        "launch-standalone": standalone,
        "client-confidential-symmetric": "client_secret_basic" in methods,
        "client-confidential-asymmetric": "private_key_jwt" in methods and bool(signed),
        "sso-openid-connect": {"openid", "fhirUser"} <= set(offered),
        "permission-offline": "refresh_token" in grants and "offline_access" in offered,
        "permission-patient": "patient" in contexts,
        "permission-user": "user" in contexts,
        "permission-v1": True in old,
        "permission-v2": False in old,
    }
    return [name for name, so in holds.items() if so]


def _scopes(told: Mapping[str, Any], trust: Trust) -> list[str]:
    """Those that the provider offers and that mean something here, or to SMART."""
    offered = _texts(told.get("scopes_supported"))
    understood = {scope.text for scope in _understood(offered, trust)}
    return [text for text in offered if text in understood or text in WORDS]


def _understood(offered: list[str], trust: Trust) -> list[Scope]:
    found = (parse(text, trust.known_types, trust.site) for text in offered)
    return [scope for scope in found if scope is not None]


def _listed(
    told: Mapping[str, Any], name: str, known: tuple[str, ...], unsaid: tuple[str, ...] = ()
) -> list[str]:
    """What the provider lists of what is known; where it lists nothing, what its standard takes that for."""
    listed = _texts(told[name]) if name in told else unsaid
    return [one for one in known if one in listed]


def _texts(told: Any) -> list[str]:
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
