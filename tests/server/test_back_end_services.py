"""
Back-end services get tokens by their keys: https://hl7.org/fhir/smart-app-launch/backend-services.html

The ids in brackets are those of requirements: D6, B1 to B6 and R240 to R344.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, accepted
from tests.server.holding import holding
from tests.server.running import Server, a_patient, an_observation
from tests.smart.services import ASSERTION_TYPE, BackEnd, an_ec_key, an_rsa_key

TOKEN = "http://fhir.example/auth/token"
WARD = (a_patient(id="ann"), an_observation("ann", id="o"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    async with holding(mongodb_url, folder, WARD, refusals_per_second_max=10_000) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(server: Server) -> BackEnd:
    return await registered(server, "warehouse", "system/Patient.rs system/Observation.rs?status=final")


async def registered(server: Server, id: str, scope: str) -> BackEnd:
    """A service with an RSA and an EC key, known to the server."""
    now = server.services.clock()
    keys: list[RSAKey | ECKey] = [an_rsa_key(f"{id}-rsa"), an_ec_key(f"{id}-ec")]
    service = BackEnd(id, TOKEN, keys, int(now.timestamp()))
    types = definitions().resource_types
    client = accepted(Client(id, id, scope, service.jwks, None, now), types)
    assert await server.services.store.clients.register(client)
    return service


async def ask(server: Server, form: dict[str, str], **headers: str) -> httpx.Response:
    async with server.bearing(None) as http:
        return await http.post(TOKEN, data=form, headers=headers)


def refused(answer: httpx.Response, error: str, status: int) -> None:
    assert (answer.json()["error"], answer.status_code) == (error, status), answer.text
    assert answer.json()["error_description"]
    assert "access_token" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("place", [0, 1], ids=["RS384", "ES384"])
async def test_a_service_proves_itself_and_reads(server: Server, service: BackEnd, place: int) -> None:
    """[B1, B6, R240, R243, R248, R249, R250, R253-262, R310, R335]"""
    answer = await ask(server, service.form(service.assertion(key=service.keys[place])))
    assert answer.status_code == httpx.codes.OK
    told = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert told["token_type"] == "Bearer"
    assert told["expires_in"] == 300
    assert told["scope"] == "system/Patient.rs system/Observation.rs?status=final"
    assert "refresh_token" not in told
    async with server.bearing(told["access_token"]) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK
        assert (await http.get("/Observation/o")).status_code == httpx.codes.OK
        assert (await http.get("/Encounter")).status_code == httpx.codes.FORBIDDEN
        assert (await http.put("/Patient/ann", json=a_patient(id="ann"))).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("system/Patient.rs", "system/Patient.rs"),
        ("system/Patient.read", "system/Patient.read"),
        ("system/Patient.cruds", "system/Patient.rs"),
        ("system/Patient.*", "system/Patient.rs"),
        ("system/Patient.r", "system/Patient.r"),
        ("system/Patient.rs?gender=male", "system/Patient.rs?gender=male"),
        ("system/Observation.rs", "system/Observation.rs?status=final"),
        ("system/Observation.s?code=1", "system/Observation.s?code=1&status=final"),
        ("system/Observation.rs?status=final", "system/Observation.rs?status=final"),
        ("system/*.r", "system/Patient.r system/Observation.r?status=final"),
        ("system/Patient.rs system/Encounter.rs openid", "system/Patient.rs"),
    ],
)
async def test_no_more_is_granted_than_was_agreed_on(
    server: Server, service: BackEnd, asked: str, granted: str
) -> None:
    """[R241, R250, R259]"""
    assert (await ask(server, service.form(scope=asked))).json()["scope"] == granted


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "openid",
        "patient/Patient.rs",
        "user/*.rs",
        "system/Encounter.rs",
        "system/Patient.cud",
        "x" * 10_000,
    ],
)
async def test_nothing_that_was_agreed_on_is_refused(server: Server, service: BackEnd, scope: str) -> None:
    refused(await ask(server, service.form(scope=scope)), "invalid_scope", 400)


def _text(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _with_header(service: BackEnd, **header: Any) -> str:
    """Its header is another one than what was signed."""
    told, claims, signature = service.assertion().split(".")
    before = json.loads(base64.urlsafe_b64decode(told + "=="))
    changed = {name: value for name, value in {**before, **header}.items() if value is not None}
    return f"{_text(changed)}.{claims}.{signature}"


def _unsigned(service: BackEnd) -> str:
    return _with_header(service, alg="none").rpartition(".")[0] + "."


def _by_public_key(service: BackEnd) -> str:
    """HS256 with the public key's text as the secret."""
    public = service.keys[0].as_pem(private=False)
    text = _with_header(service, alg="HS256").rpartition(".")[0]
    signature = hmac.new(public, text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _changed(service: BackEnd) -> str:
    header, _, signature = service.assertion().split(".")
    claims = {"iss": service.id, "sub": service.id, "aud": TOKEN, "exp": service.now + 9, "jti": "x"}
    return f"{header}.{_text(claims)}.{signature}"


NOT_PROVEN: dict[str, Callable[[BackEnd], str]] = {
    "empty": lambda _: "x",
    "no JWT": lambda _: "a.b.c",
    "not JSON": lambda _: "bm8.bm8.bm8",
    "a list": lambda _: "W10.W10.W10",
    "large": lambda s: s.assertion(padding="x" * 10_000),
    "alg none": _unsigned,
    "alg HS256 with the public key": _by_public_key,
    "alg RS256": lambda s: s.assertion(header={"alg": "RS256"}),
    "alg PS384": lambda s: s.assertion(header={"alg": "PS384"}),
    "changed claims": _changed,
    "another key": lambda s: s.assertion(key=an_rsa_key("warehouse-rsa")),
    "another kid": lambda s: s.assertion(header={"kid": "unknown"}),
    "kid of the other type": lambda s: s.assertion(header={"kid": "warehouse-ec"}),
    "no kid": lambda s: _with_header(s, kid=None),
    "a kid that asks the database": lambda s: _with_header(s, kid={"$ne": ""}),
    "typ at+jwt": lambda s: s.assertion(header={"typ": "at+jwt"}),
    "no typ": lambda s: _with_header(s, typ=None),
    "crit": lambda s: _with_header(s, crit=["b64"], b64=True),
    "its own key in the header": lambda s: s.assertion(header={"jwk": s.keys[0].as_dict(private=False)}),
    "x5u": lambda s: s.assertion(header={"x5u": "https://evil.example/cert"}),
    "a foreign jku": lambda s: s.assertion(header={"jku": "https://evil.example/jwks"}),
    "iss is not sub": lambda s: s.assertion(sub="other"),
    "nobody": lambda s: s.assertion(iss="nobody", sub="nobody"),
    "no iss": lambda s: s.assertion(iss=None, sub=None),
    "an iss that asks the database": lambda s: s.assertion(iss={"$ne": ""}, sub={"$ne": ""}),
    "aud of the FHIR base": lambda s: s.assertion(aud="http://fhir.example/fhir"),
    "aud with a slash": lambda s: s.assertion(aud=f"{TOKEN}/"),
    "aud among others": lambda s: s.assertion(aud=[TOKEN, "https://other.example"]),
    "no aud": lambda s: s.assertion(aud=None),
    "expired": lambda s: s.assertion(exp=s.now - 1),
    "expires now": lambda s: s.assertion(exp=s.now),
    "exp far ahead": lambda s: s.assertion(exp=s.now + 86_400),
    "exp is a text": lambda s: s.assertion(exp=str(s.now + 60)),
    "exp is a truth": lambda s: s.assertion(exp=True),
    "no exp": lambda s: s.assertion(exp=None),
    "nbf to come": lambda s: s.assertion(nbf=s.now + 60),
    "iat to come": lambda s: s.assertion(iat=s.now + 60),
    "no jti": lambda s: s.assertion(jti=None),
    "empty jti": lambda s: s.assertion(jti=""),
    "long jti": lambda s: s.assertion(jti="x" * 256),
}


@pytest.mark.parametrize("name", NOT_PROVEN)
async def test_what_proves_nothing_is_refused(server: Server, service: BackEnd, name: str) -> None:
    """[B3, B5, R335-340]"""
    service.now = int(server.services.clock().timestamp())
    refused(await ask(server, service.form(NOT_PROVEN[name](service))), "invalid_client", 401)


@pytest.mark.parametrize(
    ("change", "error", "status"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type", 400),
        ({"grant_type": "authorization_code"}, "unauthorized_client", 400),
        ({"grant_type": ""}, "unsupported_grant_type", 400),
        (
            {"client_assertion_type": ASSERTION_TYPE.replace("jwt", "saml2")},
            "invalid_client",
            401,
        ),
        ({"client_assertion_type": ""}, "invalid_client", 401),
        ({"client_assertion": ""}, "invalid_client", 401),
        ({"client_secret": "x"}, "invalid_client", 401),
        ({"client_id": "other"}, "invalid_client", 401),
    ],
)
async def test_another_form_is_refused(
    server: Server, service: BackEnd, change: dict[str, str], error: str, status: int
) -> None:
    """[B5, R251, R252, R344]"""
    form = {**service.form(), **change}
    refused(await ask(server, form), error, status)


async def test_a_password_in_the_header_is_refused(server: Server, service: BackEnd) -> None:
    """[R344]"""
    refused(await ask(server, service.form(), authorization="Basic eDp5"), "invalid_client", 401)


async def test_a_parameter_is_given_once(server: Server, service: BackEnd) -> None:
    async with server.bearing(None) as http:
        body = f"{httpx.QueryParams(service.form())}&scope=system%2F*.cruds"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await http.post(TOKEN, content=body, headers=headers)
    refused(answer, "invalid_request", 400)


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"]
)
async def test_only_a_form_is_read(server: Server, service: BackEnd, content_type: str) -> None:
    """[T1]"""
    async with server.bearing(None) as http:
        answer = await http.post(
            TOKEN, content=json.dumps(service.form()), headers={"Content-Type": content_type}
        )
    refused(answer, "invalid_request", 415)


async def test_only_post_is_there(server: Server) -> None:
    async with server.bearing(None) as http:
        answer = await http.get(f"{TOKEN}?grant_type=client_credentials")
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert answer.headers["allow"] == "POST"


async def test_a_large_form_is_refused(server: Server, service: BackEnd) -> None:
    refused(await ask(server, service.form(padding="x" * 100_000)), "invalid_request", 413)


async def test_an_assertion_is_good_for_one_token(server: Server, service: BackEnd) -> None:
    """[B2, R336]: also when many workers get it at once, and for another form."""
    form = service.form()
    answers = await asyncio.gather(*(ask(server, form) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    refused(await ask(server, form), "invalid_client", 401)


async def test_two_clients_may_use_the_same_jti(server: Server, service: BackEnd) -> None:
    other = await registered(server, "other", "system/*.rs")
    for each in (service, other):
        answer = await ask(server, each.form(each.assertion(jti="the-same-0001")))
        assert answer.status_code == httpx.codes.OK


async def test_a_scope_that_is_refused_uses_the_assertion_up(server: Server, service: BackEnd) -> None:
    assertion = service.assertion()
    refused(await ask(server, service.form(assertion, scope="openid")), "invalid_scope", 400)
    refused(await ask(server, service.form(assertion)), "invalid_client", 401)


async def test_who_was_removed_gets_no_token(server: Server) -> None:
    gone = await registered(server, "gone", "system/*.rs")
    assert (await ask(server, gone.form())).status_code == httpx.codes.OK
    assert await server.services.store.clients.remove("gone")
    refused(await ask(server, gone.form()), "invalid_client", 401)


async def test_each_token_and_each_refusal_is_recorded(server: Server, service: BackEnd) -> None:
    await ask(server, service.form())
    await ask(server, service.form(scope="openid"))
    await ask(server, service.form(service.assertion(aud="elsewhere")))
    async with server.bearing(None) as http:
        await http.post(TOKEN, content=b"{}", headers={"Content-Type": "application/json"})
    given, unwanted, unproven, no_form = (await server.records())[-4:]
    assert (no_form.interaction, no_form.outcome, no_form.status) == ("token", "refused", 415)
    assert (given.interaction, given.outcome, given.client) == ("token", "success", "warehouse")
    assert (unwanted.outcome, unwanted.client) == ("refused", "warehouse")
    assert (unproven.outcome, unproven.client, unproven.status) == ("refused", "warehouse", 401), "it says so"
    assert unproven.reason is not None
    assert unproven.reason.startswith("invalid_client")


async def revoke(server: Server, form: dict[str, str]) -> httpx.Response:
    async with server.bearing(None) as http:
        return await http.post("http://fhir.example/auth/revoke", data=form)


async def test_a_service_gives_its_token_back(server: Server, service: BackEnd) -> None:
    """[F4] RFC 7009"""
    token = (await ask(server, service.form())).json()["access_token"]
    answer = await revoke(server, service.form(token=token))
    assert (answer.status_code, answer.content) == (httpx.codes.OK, b"")
    async with server.bearing(token) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.UNAUTHORIZED
    assert (await server.records())[-2].interaction == "revocation"


async def test_nobody_takes_another_ones_token_back(server: Server, service: BackEnd) -> None:
    other = await registered(server, "taker", "system/*.rs")
    token = (await ask(server, service.form())).json()["access_token"]
    for given in (token, "nonsense", server.token(client="operator")):
        assert (await revoke(server, other.form(token=given))).status_code == httpx.codes.OK
    async with server.bearing(token) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK


async def test_who_proves_nothing_takes_nothing_back(server: Server, service: BackEnd) -> None:
    token = (await ask(server, service.form())).json()["access_token"]
    form = service.form(service.assertion(aud="elsewhere"), token=token)
    refused(await revoke(server, form), "invalid_client", 401)
    refused(await revoke(server, service.form()), "invalid_request", 400)
    async with server.bearing(token) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.OK


async def test_discovery_says_how_to_get_a_token(server: Server) -> None:
    """[D1, D2, D4, D6, R228, R285-289, R378-380]"""
    async with server.bearing(None) as http:
        for accept in ("application/json", "application/fhir+json", "text/html", ""):
            answer = await http.get("/.well-known/smart-configuration", headers={"Accept": accept})
            assert answer.status_code == httpx.codes.OK
            assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["token_endpoint"] == TOKEN
    assert told["revocation_endpoint"] == "http://fhir.example/auth/revoke"
    assert "client-confidential-asymmetric" in told["capabilities"]
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert "client_credentials" in told["grant_types_supported"]
    assert told["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize("half", [{"iss": "\ud800", "sub": "\ud800"}, {"jti": "\ud800"}], ids=["iss", "jti"])
async def test_half_a_character_breaks_nothing(
    server: Server, service: BackEnd, half: dict[str, str]
) -> None:
    """[B5, R340] JSON can write what is no text: a lone surrogate."""
    key = service.keys[0]
    said = {"iss": service.id, "sub": service.id, "aud": TOKEN, "exp": service.now + 200, "jti": "x", **half}
    header = {"alg": "RS384", "typ": "JWT", "kid": key.kid}
    assertion = jws.serialize_compact(header, json.dumps(said).encode(), key, algorithms=["RS384"])
    refused(await ask(server, service.form(assertion)), "invalid_client", 401)
