"""What is told follows from what is served: https://hl7.org/fhir/smart-app-launch/conformance.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.smart.discovery import Capability, Served, openid_configuration, smart_configuration
from fhir_server.smart.scopes import WORDS, granted

EVERYTHING = Served(
    issuer="https://fhir.example/r4",
    authorization_endpoint="https://fhir.example/auth/authorize",
    token_endpoint="https://fhir.example/auth/token",
    jwks_uri="https://fhir.example/auth/jwks",
    userinfo_endpoint="https://fhir.example/auth/userinfo",
    capabilities=frozenset(get_args(Capability)),
    back_end_services=True,
    revocation_endpoint="https://fhir.example/auth/revoke",
    introspection_endpoint="https://fhir.example/auth/introspect",
    registration_endpoint="https://fhir.example/auth/register",
    management_endpoint="https://fhir.example/auth/apps",
    brand_bundle="https://fhir.example/brands",
    brand_identifier={"system": "urn:ietf:rfc:3986", "value": "https://fhir.example"},
)
REQUIRED = {"token_endpoint", "grant_types_supported", "capabilities", "code_challenge_methods_supported"}

some = st.builds(
    replace,
    st.just(EVERYTHING),
    capabilities=st.frozensets(st.sampled_from(get_args(Capability))),
    back_end_services=st.booleans(),
    introspection_endpoint=st.sampled_from((None, EVERYTHING.introspection_endpoint)),
    brand_bundle=st.sampled_from((None, EVERYTHING.brand_bundle)),
)


def _addresses(told: dict[str, Any]) -> list[str]:
    return [
        value for name, value in told.items() if name.endswith(("_endpoint", "_uri", "_bundle", "issuer"))
    ]


@given(served=some)
def test_members_stand_there_with_what_they_belong_to(served: Served) -> None:
    """[D2, D3, D4, D5, D6, R378, R381-385]"""
    told = dict(smart_configuration(served))
    assert told.keys() >= REQUIRED
    assert set(told["capabilities"]) == served.capabilities
    assert told["code_challenge_methods_supported"] == ["S256"]
    launches = not served.capabilities.isdisjoint(("launch-ehr", "launch-standalone"))
    assert (
        ("authorization_endpoint" in told)
        == launches
        == ("authorization_code" in told["grant_types_supported"])
    )
    identified = "sso-openid-connect" in served.capabilities
    assert ("issuer" in told) == ("jwks_uri" in told) == identified
    assert ("private_key_jwt" in told["token_endpoint_auth_methods_supported"]) == (
        "client-confidential-asymmetric" in served.capabilities
    )
    assert None not in told.values()
    assert all(address.startswith("https://") for address in _addresses(told))


@given(served=some)
def test_both_documents_agree(served: Served) -> None:
    """[D3, O1]"""
    smart, openid = smart_configuration(served), openid_configuration(served)
    assert (openid is None) == ("issuer" not in smart)
    if openid is not None:
        common = smart.keys() & openid.keys()
        assert common >= {"issuer", "jwks_uri", "token_endpoint", "scopes_supported"}
        assert {name: smart[name] for name in common} == {name: openid[name] for name in common}


@given(served=some)
def test_each_scope_that_is_listed_is_understood(served: Served) -> None:
    """[D5]"""
    for scope in smart_configuration(served)["scopes_supported"]:
        assert scope in WORDS or granted(scope, definitions().resource_types)


def test_all_that_is_served_makes_a_valid_openid_provider() -> None:
    """[O1, D7]"""
    told = openid_configuration(EVERYTHING)
    assert told is not None
    OpenIDProviderMetadata(told).validate()
    assert told["id_token_signing_alg_values_supported"] == ["RS256"]
    assert told["authorization_response_iss_parameter_supported"] is True
    assert told["request_uri_parameter_supported"] is False


@pytest.mark.parametrize("document", [smart_configuration, openid_configuration])
def test_plain_is_never_listed(document: Any) -> None:
    """[D2, R14, R15]"""
    assert "plain" not in document(EVERYTHING)["code_challenge_methods_supported"]
