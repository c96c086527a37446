"""Programs in Python, written with the libraries that people take, over a real socket."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from authlib.deprecate import AuthlibDeprecationWarning
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import ForbiddenError, ResourceNotFound
from joserfc.jwk import ECKey, RSAKey

from fhir_server.population.demo import demo_people
from tests.apps.demo import Demo
from tests.smart.browsing import App, Person, told_to_app

with warnings.catch_warnings():
    # It announces its next version's httpx as it is imported.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client

REDIRECT_URI: Final = "https://app.example/callback"
SCOPE: Final = "launch/patient patient/Patient.rs patient/Observation.rs?category=laboratory"
ASSERTION_SECONDS: Final = 240
"""https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html: five minutes at most."""


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as made:
        yield made


async def standalone(demo: Demo, http: httpx.AsyncClient) -> dict[str, Any]:
    """What a standalone launch of the patient comes to."""
    app = App(await demo.registers("Notebook", REDIRECT_URI, SCOPE), REDIRECT_URI)
    person = Person(http, demo.origin, demo.origin)
    page = await person.opens(f"{demo.origin}/auth/authorize", params=app.asks(SCOPE, aud=demo.base))
    page = await person.logs_in(page, "patient", demo.passwords["patient"])
    code = told_to_app(await person.allows(page))["code"]
    answer = await http.post(f"{demo.origin}/auth/token", **app.redeems(code))
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_fhirpy_reads_what_a_person_granted(demo: Demo, http: httpx.AsyncClient) -> None:
    """[D7, S5, S7]"""
    told = await standalone(demo, http)
    client = AsyncFHIRClient(demo.base, authorization=f"Bearer {told['access_token']}")
    patient = await client.get("Patient", told["patient"])
    assert patient["name"][0]["family"] == "Green"
    found = await client.resources("Observation").search(patient=told["patient"]).limit(20).fetch_all()
    assert {one["category"][0]["coding"][0]["code"] for one in found} == {"laboratory"}
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", demo_people().somebody_else)
    with pytest.raises(ForbiddenError):
        await client.resources("Condition").fetch()


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_a_back_end_service_gets_a_token_by_its_key(
    demo: Demo, http: httpx.AsyncClient, tmp_path: Path, algorithm: str
) -> None:
    """[D6, B1, B6]"""
    key = _key(algorithm)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**key.as_dict(private=False), "alg": algorithm, "use": "sig"}]}))
    id = await demo.server.operated(
        "client", "register", "--name", "Warehouse", "--scope", "system/Patient.rs", "--jwks", str(jwks)
    )
    discovered = (await http.get(f"{demo.base}/.well-known/smart-configuration")).json()
    assert algorithm in discovered["token_endpoint_auth_signing_alg_values_supported"]
    client = AsyncOAuth2Client(id, key, token_endpoint_auth_method="private_key_jwt")
    async with client:
        for _ in range(2):
            client.register_client_auth_method(_proof(key, algorithm, discovered["token_endpoint"]))
            token = await client.fetch_token(
                discovered["token_endpoint"], grant_type="client_credentials", scope="system/Patient.rs"
            )
        assert token["scope"] == "system/Patient.rs"
        found = (await client.get(f"{demo.base}/Patient", params={"_summary": "count"})).json()
        assert found["total"] == 12
        refused = await client.get(f"{demo.base}/Observation")
        assert refused.status_code == httpx.codes.FORBIDDEN


def _key(algorithm: str) -> RSAKey | ECKey:
    if algorithm == "RS384":
        return RSAKey.generate_key(2048, auto_kid=True)
    return ECKey.generate_key("P-384", auto_kid=True)


def _proof(key: RSAKey | ECKey, algorithm: str, token_endpoint: str) -> PrivateKeyJWT:
    """An assertion that is used once; the library signs for an hour unless it is told otherwise."""
    claims = {"exp": int(time.time()) + ASSERTION_SECONDS}
    return PrivateKeyJWT(token_endpoint, claims=claims, headers={"kid": key.kid, "typ": "JWT"}, alg=algorithm)
