"""
docs/keycloak/realm.json: tokens with the claims that its mappers make are accepted with the settings of
docs/external-openid.md.

Keycloak itself is not run here: what each of its mappers writes is said below, for those types that stand in
the file. https://www.keycloak.org/docs/latest/server_admin/#_protocol-mappers
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.server.holding import holding
from tests.server.providing import OpenIdProvider, providing
from tests.server.running import Server, a_patient, an_observation

DOCS: Final = Path(__file__).parents[2] / "docs"
REALM: Final[dict[str, Any]] = json.loads((DOCS / "keycloak" / "realm.json").read_text())
CLIENTS: Final = {client["clientId"]: client for client in REALM["clients"]}
SCOPES: Final = {scope["name"]: scope for scope in REALM["clientScopes"]}
USERS: Final = {user["username"]: user for user in REALM["users"]}
WARD: Final = (
    a_patient(id="ann"),
    a_patient(id="bob"),
    an_observation("ann", id="of-ann"),
    an_observation("bob", id="of-bob"),
)


def documented() -> dict[str, Any]:
    """The settings that the page says to give, except where the provider is."""
    text = (DOCS / "external-openid.md").read_text()
    told = dict(re.findall(r"^export FHIR_SERVER_(OIDC_\w+)='?(.*?)'?$", text, re.MULTILINE))
    told.pop("OIDC_ISSUER")
    return {
        name.lower(): json.loads(value) if value.startswith("{") else value for name, value in told.items()
    }


def claims(client: str, user: str | None, asked: Iterable[str]) -> dict[str, Any]:
    """Those of the access token that this client gets for the user, or for its service account."""
    roles = USERS[user].get("realmRoles", []) if user else []
    attributes = USERS[user].get("attributes", {}) if user else {}
    names = [*CLIENTS[client]["defaultClientScopes"]]
    names += [name for name in asked if name in CLIENTS[client]["optionalClientScopes"]]
    needed = {one["clientScope"]: one["roles"] for one in REALM["scopeMappings"]}
    used = [SCOPES[name] for name in names if name not in needed or set(needed[name]) & set(roles)]
    told = [one["name"] for one in used if one["attributes"]["include.in.token.scope"] == "true"]
    made: dict[str, Any] = {
        "azp": client,
        "scope": " ".join(told),
        "sub": None,
        "aud": None,
        "fhirUser": None,
    }
    for mapper in (mapper for one in used for mapper in one.get("protocolMappers", [])):
        config = mapper["config"]
        if config["access.token.claim"] == "true":
            match mapper["protocolMapper"]:
                case "oidc-sub-mapper":
                    made["sub"] = user or f"service-account-{client}"
                case "oidc-audience-mapper":
                    made["aud"] = ["account", config["included.custom.audience"]]
                case "oidc-usermodel-realm-role-mapper":
                    outer, inner = config["claim.name"].split(".")
                    made[outer] = {inner: [*roles, "default-roles-hospital"]}
                case "oidc-usermodel-attribute-mapper":
                    if values := attributes.get(config["user.attribute"]):
                        made[config["claim.name"]] = values[0]
                case "oidc-allowed-origins-mapper":
                    made["allowed-origins"] = CLIENTS[client]["webOrigins"]
                case "oidc-usermodel-client-role-mapper" | "oidc-audience-resolve-mapper":
                    pass  # of roles that clients define, and there are none
                case unknown:
                    pytest.fail(f"what {unknown} writes is not said here")
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with providing() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(
    provider: OpenIdProvider, mongodb_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    told = {**documented(), "oidc_issuer": provider.issuer, "jwks_private_hosts": ("127.0.0.1",)}
    async with holding(mongodb_url, tmp_path_factory.mktemp("data"), WARD, **told) as running:
        yield running


@pytest.mark.parametrize(
    ("client", "user", "asked", "expected"),
    [
        ("chart", "nora", "openid fhirUser user/*.rs", (200, 200, 200, 403)),
        ("chart", "nora", "openid user/*.cruds", (403, 403, 403, 403)),
        ("chart", "ann", "openid launch/patient patient/*.rs", (200, 200, 404, 403)),
        ("chart", "ann", "openid patient/*.rs", (403, 403, 403, 403)),
        ("chart", "ann", "openid user/*.rs user/*.cruds", (403, 403, 403, 403)),
        ("chart", "ann", "system/*.rs", (403, 403, 403, 403)),
        ("registry", "ann", "launch/patient patient/*.rs", (200, 200, 404, 403)),
        ("warehouse", None, "", (200, 200, 200, 403)),
    ],
)
async def test_each_client_gets_what_the_page_says(
    server: Server,
    provider: OpenIdProvider,
    client: str,
    user: str | None,
    asked: str,
    expected: tuple[int, ...],
) -> None:
    token = provider.token(**claims(client, user, asked.split()))
    async with server.bearing(token) as http:
        found = [
            (await http.get("/Patient/ann")).status_code,
            (await http.get("/Observation/of-ann")).status_code,
            (await http.get("/Observation/of-bob")).status_code,
            (await http.put("/Patient/ann", json=a_patient(id="ann"))).status_code,
        ]
    assert tuple(found) == expected


async def test_a_token_for_another_service_of_the_realm_opens_nothing(
    server: Server, provider: OpenIdProvider
) -> None:
    told = {**claims("chart", "nora", ["user/*.rs"]), "aud": "account"}
    async with server.bearing(provider.token(**told)) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.UNAUTHORIZED


def test_nobody_edits_who_they_are_and_each_app_proves_itself() -> None:
    [component] = REALM["components"]["org.keycloak.userprofile.UserProfileProvider"]
    profile = json.loads(component["config"]["kc.user.profile.config"][0])
    edited = {one["name"]: one["permissions"]["edit"] for one in profile["attributes"]}
    assert {"username", "email", "fhirUser", "patient"} <= edited.keys()
    assert edited["fhirUser"] == edited["patient"] == ["admin"]
    for client in REALM["clients"]:
        assert not client["implicitFlowEnabled"]
        assert not client["directAccessGrantsEnabled"]
        assert "secret" not in client
        if client["standardFlowEnabled"]:
            assert client["attributes"]["pkce.code.challenge.method"] == "S256"
        assert {*client["defaultClientScopes"], *client["optionalClientScopes"]} <= SCOPES.keys()
    assert all("credentials" not in user for user in REALM["users"])
