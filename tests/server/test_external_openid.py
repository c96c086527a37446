"""
An OpenID provider outside is trusted, and this server issues nothing: docs/external-openid.md.

Each test speaks HTTP to the server, which speaks HTTP to a provider on a socket.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import OctKey, RSAKey
from typer.testing import CliRunner

from fhir_server.api.authorization.endpoints import AUTHORIZATION
from fhir_server.api.authorization.pages import PAGES
from fhir_server.cli import app
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.settings import SettingsRefused, settings
from fhir_server.smart.clients import Client, accepted
from fhir_server.smart.external.trust import trust_of
from fhir_server.smart.revocations import of_token
from fhir_server.smart.tokens import LONGEST
from tests.server.holding import holding
from tests.server.providing import AUDIENCE, RSA, OpenIdProvider, an_ec_key, providing
from tests.server.running import BASE, Server, a_patient, an_observation, issues_of, serving

WARD: Final = (
    a_patient(id="ann"),
    a_patient(id="bob"),
    an_observation("ann", id="of-ann"),
    an_observation("bob", id="of-bob"),
    {"resourceType": "Practitioner", "id": "7"},
)
OTHER: Final = RSAKey.generate_key(2048, {"kid": "rsa"})
TWIN: Final = RSAKey.import_key(RSA.as_pem(private=True), {"kid": "rsa"})
"""The provider's key, which does not say what it is for."""
UNKNOWN: Final = RSAKey.generate_key(2048, {"kid": "unknown"})
P384: Final = an_ec_key("p384", "P-384")
P256: Final = an_ec_key("p256")
PRIVATE: Final = {"jwks_private_hosts": ("fhir.example",)}
TRUSTED: Final = {"oidc_issuer": "https://login.example.org", "oidc_audience": "fhir"}
ORIGIN: Final = "http://fhir.example"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with providing() as found:
        found.keys += [P256.as_dict(private=False), {**P384.as_dict(private=False), "alg": "ES384"}]
        found.keys += [
            {"kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}
        ]
        twice = [an_ec_key("twice").as_dict(private=False) for _ in range(2)]
        found.keys += twice
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(
    provider: OpenIdProvider, mongodb_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    told = {**provider.settings, "refusals_per_second_max": 10_000}
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), WARD, **told) as running:
        yield running


async def status(server: Server, token: str, path: str = "/Patient/ann") -> int:
    async with server.bearing(token) as http:
        return (await http.get(path)).status_code


async def test_a_token_of_the_provider_reads(server: Server, provider: OpenIdProvider) -> None:
    token = provider.token()
    async with server.bearing(token) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        assert (await http.put("/Patient/ann", json=a_patient(id="ann"))).status_code == httpx.codes.FORBIDDEN
    record = (await server.records())[-1]
    assert (record.client, record.subject, record.user) == ("chart", "5f0c", "Practitioner/7")
    assert record.purpose == "TREAT"


ACCEPTED: Final[dict[str, dict[str, Any]]] = {
    "several audiences": {"aud": ["account", AUDIENCE]},
    "typ at+jwt": {"header": {"typ": "at+jwt"}, "typ": None},
    "no typ": {"header": {"typ": None}, "typ": None},
    "a thumbprint": {"header": {"x5t": "AQAB"}},
    "ES256": {"key": P256},
    "ES384": {"key": P384, "header": {"alg": "ES384"}},
    "a list of scopes": {"scope": ["openid", "user/*.rs"]},
    "client_id": {"azp": None, "client_id": "chart"},
    "no jti": {"jti": None},
    "an absolute user": {"fhirUser": f"{BASE}/Practitioner/7"},
    "a patient as a reference": {"scope": "patient/*.rs", "patient": "Patient/ann"},
    "an absolute patient": {"scope": "patient/*.rs", "patient": f"{BASE}/Patient/ann"},
    "a role": {"scope": "openid", "realm_access": {"roles": ["offline_access", "nurse"]}},
    "a role without scopes": {"scope": None, "realm_access": {"roles": ["nurse"]}},
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_what_providers_write_is_understood(
    server: Server, provider: OpenIdProvider, name: str
) -> None:
    assert await status(server, provider.token(**ACCEPTED[name])) == httpx.codes.OK


def _text(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _unsigned(provider: OpenIdProvider) -> str:
    _, claims, _ = provider.token().split(".")
    return f"{_text({'alg': 'none', 'kid': 'rsa', 'typ': 'JWT'})}.{claims}."


def _by_public_key(provider: OpenIdProvider) -> str:
    """HS256 with the public key's text as the secret."""
    _, claims, _ = provider.token().split(".")
    text = f"{_text({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{claims}"
    signature = hmac.new(RSA.as_pem(private=False), text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _changed(provider: OpenIdProvider) -> str:
    header, _, signature = provider.token().split(".")
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "x", "exp": int(time.time()) + 9}
    return f"{header}.{_text(claims)}.{signature}"


def _with_header(provider: OpenIdProvider, **header: Any) -> str:
    """Its header is another one than what was signed."""
    told, claims, signature = provider.token().split(".")
    before = json.loads(base64.urlsafe_b64decode(told + "=="))
    return f"{_text({**before, **header})}.{claims}.{signature}"


def _now() -> int:
    return int(time.time())


REFUSED: dict[str, Callable[[OpenIdProvider], str]] = {
    "wrong issuer": lambda p: p.token(iss="https://evil.example/realms/hospital"),
    "issuer with a slash": lambda p: p.token(iss=f"{p.issuer}/"),
    "issuer of another case": lambda p: p.token(iss=p.issuer.upper()),
    "no issuer": lambda p: p.token(iss=None),
    "the server's own issuer": lambda p: p.token(iss=BASE, aud=BASE),
    "another audience": lambda p: p.token(aud="another-server"),
    "audiences without ours": lambda p: p.token(aud=["account", f"{AUDIENCE}-2"]),
    "no audience": lambda p: p.token(aud=None),
    "an audience that is no text": lambda p: p.token(aud={"fhir-server": True}),
    "expired": lambda p: p.token(exp=_now() - 1),
    "expires now": lambda p: p.token(exp=_now()),
    "no exp": lambda p: p.token(exp=None),
    "exp is a text": lambda p: p.token(exp=str(_now() + 60)),
    "exp far ahead": lambda p: p.token(exp=_now() + 40 * 86_400),
    "not yet valid": lambda p: p.token(nbf=_now() + 60),
    "nbf is a text": lambda p: p.token(nbf="soon"),
    "issued later": lambda p: p.token(iat=_now() + 60),
    "no iat": lambda p: p.token(iat=None),
    "no sub": lambda p: p.token(sub=None),
    "no client": lambda p: p.token(azp=None),
    "a client that is no text": lambda p: p.token(azp={"$ne": ""}),
    "alg none": _unsigned,
    "alg HS256 with the public key": _by_public_key,
    "alg HS256": lambda p: p.token(key=OctKey.generate_key(256, {"kid": "rsa"})),
    "alg RS512": lambda p: p.token(key=TWIN, header={"alg": "RS512"}),
    "another algorithm than the key's": lambda p: p.token(key=TWIN, header={"alg": "PS256"}),
    "another key of this kid": lambda p: p.token(key=OTHER),
    "changed claims": _changed,
    "unknown kid": lambda p: p.token(key=UNKNOWN),
    "a kid that two keys have": lambda p: p.token(key=P256, header={"kid": "twice"}),
    "a kid of another type": lambda p: p.token(header={"kid": "p256"}),
    "a kid of an encryption key": lambda p: p.token(header={"kid": "enc"}),
    "no kid": lambda p: p.token(header={"kid": None}),
    "a kid that asks the database": lambda p: _with_header(p, kid={"$ne": ""}),
    "its own key in the header": lambda p: p.token(key=OTHER, header={"jwk": OTHER.as_dict(private=False)}),
    "jku": lambda p: p.token(header={"jku": "https://evil.example/jwks"}),
    "x5u": lambda p: p.token(header={"x5u": "https://evil.example/cert"}),
    "crit": lambda p: _with_header(p, crit=["b64"], b64=False),
    "zip": lambda p: _with_header(p, zip="DEF"),
    "an ID token by its claims": lambda p: p.token(typ=None, nonce="n"),
    "an ID token with at_hash": lambda p: p.token(typ=None, at_hash="x"),
    "an ID token by its type": lambda p: p.token(typ="ID"),
    "an ID token for the app": lambda p: p.token(typ="ID", aud="chart", nonce="n", scope=None),
    "a refresh token": lambda p: p.token(typ="Refresh"),
    "a logout token": lambda p: p.token(header={"typ": "logout+jwt"}, typ=None),
    "bound to a key": lambda p: p.token(cnf={"jkt": "x"}),
    "a user of another server": lambda p: p.token(fhirUser="https://other.example/fhir/Practitioner/7"),
    "a user below a similar base": lambda p: p.token(fhirUser=f"{BASE}X/Practitioner/7"),
    "a user of another type": lambda p: p.token(fhirUser="Organization/7"),
    "users": lambda p: p.token(fhirUser=["Practitioner/7"]),
    "a user with a query": lambda p: p.token(fhirUser="Practitioner/7?x=y"),
    "a patient of another server": lambda p: p.token(patient="https://other.example/fhir/Patient/ann"),
    "a patient that is none": lambda p: p.token(patient="Group/1"),
    "large": lambda p: p.token(padding="x" * 20_000),
    "1 MB": lambda p: p.token(padding="x" * 1_000_000),
    "no JWT": lambda p: p.token().rpartition(".")[0],
    "five parts": lambda p: f"{p.token()}.a.b",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_proves_nothing_is_refused_and_recorded(
    server: Server, provider: OpenIdProvider, name: str
) -> None:
    token = REFUSED[name](provider)
    before = len(await server.records())
    async with server.bearing(token) as http:
        answer = await http.get("/Patient/ann")
    assert answer.status_code == httpx.codes.UNAUTHORIZED, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert issues_of(answer)[0]["code"] == "login"
    assert token not in answer.text
    records = await server.records()
    assert len(records) == before + 1
    record = max(records, key=lambda one: one.time)
    assert (record.interaction, record.outcome, record.status) == ("login", "refused", 401)


@pytest.mark.parametrize(
    ("told", "path", "expected"),
    [
        ({"scope": "openid profile"}, "/Patient/ann", 403),
        ({"scope": "user/*.rs", "fhirUser": None}, "/Patient/ann", 403),
        ({"scope": "patient/*.rs"}, "/Patient/ann", 403),
        ({"scope": "system/*.rs"}, "/Patient/ann", 403),
        ({"scope": "system/*.rs", "fhirUser": None}, "/Patient/ann", 200),
        ({"scope": "patient/*.rs", "patient": "ann"}, "/Observation/of-ann", 200),
        ({"scope": "patient/*.rs", "patient": "ann"}, "/Observation/of-bob", 404),
        ({"scope": "patient/*.rs", "patient": "ann", "fhirUser": None}, "/Observation/of-ann", 200),
        ({"scope": "user/*.rs", "fhirUser": "Patient/ann"}, "/Observation/of-bob", 404),
        ({"scope": "user/*.rs", "fhirUser": "Person/1"}, "/Observation/of-bob", 404),
        ({"scope": "user/Observation.rs?status=final"}, "/Observation/of-bob", 200),
        ({"scope": "user/Observation.rs?status=amended"}, "/Observation/of-bob", 404),
        ({"scope": "user/*.dus"}, "/Patient/ann", 403),
        ({"scope": {"user/*.rs": True}}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": ["doctor"]}}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": ["nurse "]}}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": ["nurse"]}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": {"nurse": 1}}}, "/Patient/ann", 403),
        ({"scope": "", "roles": ["nurse"]}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": ["nurse"]}, "fhirUser": None}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": ["warehouse"]}}, "/Patient/ann", 403),
        ({"scope": "", "realm_access": {"roles": ["warehouse"]}, "fhirUser": None}, "/Patient/ann", 200),
        ({"scope": "user/Observation.rs", "realm_access": {"roles": ["nurse"]}}, "/Patient/ann", 200),
    ],
    ids=str,
)
async def test_scopes_are_those_of_the_token_and_its_roles_and_never_wider(
    server: Server, provider: OpenIdProvider, told: dict[str, Any], path: str, expected: int
) -> None:
    assert await status(server, provider.token(**told), path) == expected


async def test_a_token_is_verified_once(server: Server, provider: OpenIdProvider) -> None:
    token, now = provider.token(), _now()
    bearers = server.services.bearers
    first = await bearers.caller_of(token, now=now)
    assert await bearers.caller_of(token, now=now) is first


async def test_a_remembered_token_expires(server: Server, provider: OpenIdProvider) -> None:
    token = provider.token(exp=_now() + 2)
    assert await status(server, token) == httpx.codes.OK
    await asyncio.sleep(2)
    assert await status(server, token) == httpx.codes.UNAUTHORIZED


async def test_an_operator_on_this_machine_still_makes_tokens(server: Server) -> None:
    assert await status(server, server.token("system/*.rs")) == httpx.codes.OK


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", sorted(AUTHORIZATION | PAGES))
async def test_nothing_is_issued_here(server: Server, method: str, path: str) -> None:
    async with server.bearing(None) as http:
        answer = await http.request(method, f"{ORIGIN}{path}", data={"grant_type": "client_credentials"})
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert "access_token" not in answer.text


async def test_apps_find_the_providers_endpoints(server: Server, provider: OpenIdProvider) -> None:
    """[D1, D2, D3, D4, D6, D7]"""
    at = f"{provider.issuer}/protocol/openid-connect"
    async with server.bearing(provider.token()) as http:
        await http.get("/Patient/ann")
        answer = await http.get("/.well-known/smart-configuration", headers={"Authorization": ""})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "issuer": provider.issuer,
        "jwks_uri": f"{at}/certs",
        "authorization_endpoint": f"{at}/auth",
        "token_endpoint": f"{at}/token",
        "revocation_endpoint": f"{at}/revoke",
        "introspection_endpoint": f"{at}/token/introspect",
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": ["openid", "fhirUser", "launch/patient", "patient/*.rs", "user/*.rs"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": [
            "launch-standalone",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "sso-openid-connect",
            "permission-patient",
            "permission-user",
            "permission-v2",
        ],
    }


async def test_nothing_is_issued_either_where_the_base_is_the_root(
    provider: OpenIdProvider, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    told = {**provider.settings, "base_url": ORIGIN}
    async with (
        serving(mongodb_url, database_name, tmp_path, **told) as running,
        running.bearing(provider.token()) as http,
    ):
        for path in sorted(AUTHORIZATION | PAGES):
            assert (await http.get(f"{ORIGIN}{path}")).status_code == httpx.codes.NOT_FOUND
        assert (await http.get(f"{ORIGIN}/Patient")).status_code == httpx.codes.OK


async def test_this_server_is_no_provider_itself(server: Server) -> None:
    async with server.bearing(None) as http:
        answer = await http.get("/.well-known/openid-configuration")
    assert answer.status_code == httpx.codes.NOT_FOUND


async def test_an_operator_revokes_a_token_of_the_provider(server: Server, provider: OpenIdProvider) -> None:
    """By its jti; one without is known by what the record of a request has."""
    for told in ({"jti": "one-of-theirs"}, {"jti": None}):
        token = provider.token(**told)
        assert await status(server, token) == httpx.codes.OK
        token_id = max(await server.records(), key=lambda one: one.time).token_id
        assert token_id is not None
        now = server.services.clock()
        await server.services.store.revocations.add(of_token(token_id, now, now + LONGEST))
        assert await status(server, token) == httpx.codes.UNAUTHORIZED
        assert await status(server, provider.token()) == httpx.codes.OK


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"oidc_audience": "x"}, "oidc_issuer"),
        ({"oidc_algorithms": ("RS256",)}, "oidc_issuer"),
        ({"oidc_issuer": "https://login.example.org"}, "oidc_audience"),
        ({"oidc_issuer": "login.example.org", "oidc_audience": "x"}, "URL"),
        ({"oidc_issuer": "https://login.example.org?x=y", "oidc_audience": "x"}, "URL"),
        ({"oidc_issuer": "http://login.example.org", "oidc_audience": "x"}, "jwks_private_hosts"),
        ({"oidc_issuer": BASE, "oidc_audience": "x", "base_url": BASE, **PRIVATE}, "another server"),
        ({**TRUSTED, "oidc_algorithms": ("none",)}, "oidc_algorithms"),
        ({**TRUSTED, "oidc_algorithms": ("HS256",)}, "oidc_algorithms"),
        ({**TRUSTED, "oidc_algorithms": ()}, "oidc_algorithms"),
        ({**TRUSTED, "oidc_roles_claim": "roles"}, "oidc_role_scopes"),
        ({**TRUSTED, "oidc_role_scopes": {"nurse": "user/*.rs"}}, "oidc_roles_claim"),
        ({**TRUSTED, "oidc_user_claim": ""}, "oidc_user_claim"),
    ],
    ids=range(13),
)
def test_settings_that_cannot_work_are_refused_with_the_reason(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsRefused, match=reason):
        settings(told)


def test_a_role_that_would_give_no_scope_is_refused_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    told = {
        **TRUSTED,
        "oidc_roles_claim": "roles",
        "oidc_role_scopes": {"nurse": "user/*.rs user/Nothing.rs"},
    }
    with pytest.raises(ValueError, match=r"user/Nothing\.rs"):
        trust_of(settings(told), definitions().resource_types, Site())
    environment = {f"FHIR_SERVER_{name.upper()}": value for name, value in TRUSTED.items()}
    roles = {"FHIR_SERVER_OIDC_ROLES_CLAIM": "roles", "FHIR_SERVER_OIDC_ROLE_SCOPES": '{"nurse": "openid"}'}
    refused = CliRunner().invoke(app, ["serve"], env={**environment, **roles})
    assert refused.exit_code == 1
    assert "`openid`, which is none" in refused.output


async def test_an_app_of_the_provider_keeps_state_of_its_own_users(
    server: Server, provider: OpenIdProvider
) -> None:
    """[P1]"""
    code = {"system": "http://chart.example", "code": "prefs"}
    client = Client("chart", "Chart", "user/*.cruds", None, None, server.services.clock())
    chart = replace(
        client, redirect_uris=("https://chart.example/",), state_codes=("http://chart.example|prefs",)
    )
    assert await server.services.store.clients.register(accepted(chart, definitions().resource_types))
    kept = {
        "resourceType": "Basic",
        "code": {"coding": [code]},
        "subject": {"reference": f"{BASE}/Patient/ann"},
    }
    token = provider.token(scope="user/Basic.cruds", fhirUser="Patient/ann")
    async with server.bearing(token) as http:
        made = await http.post("/Basic", json=kept)
        assert made.status_code == httpx.codes.CREATED, made.text
        assert (await http.get("/Basic?_total=accurate")).json()["total"] == 1
    other = provider.token(scope="user/Basic.cruds", fhirUser="Patient/ann", azp="another")
    async with server.bearing(other) as http:
        assert (await http.get("/Basic?_total=accurate")).json()["total"] == 0
