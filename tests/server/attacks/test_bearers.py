"""
What is thrown at endpoints that take an access token: tokens that somebody made or changed, and those that
are good for something else.

The ids in brackets are those of requirements and attacks.
https://www.rfc-editor.org/rfc/rfc8725, https://www.rfc-editor.org/rfc/rfc9068
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from fhir_server.smart.keys import ALGORITHM
from tests.server.attacking import (
    HERE,
    PUBLIC,
    RECORD,
    Watched,
    a_code,
    a_request_id,
    changed,
    logged_in,
    over,
    redeemed,
    refused_as,
    the_app_is_told,
)
from tests.server.launching import AUTHORIZE, add_app
from tests.smart.browsing import BASE, ORIGIN, App, Person, told_to_app

LAUNCH = f"{ORIGIN}/auth/launch"
INTROSPECT = f"{ORIGIN}/auth/introspect"
USERINFO = f"{ORIGIN}/auth/userinfo"
Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def given(server: Watched, ann: Person) -> Json:
    """What an app has by right."""
    return await redeemed(server, ann, PUBLIC, f"openid {RECORD} offline_access")


def part(text: str) -> Json:
    told: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return told


def written(told: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def changed_token(token: str, header: Json, **claims: Any) -> str:
    """With another header or other claims, and the signature that it had."""
    head, body, signature = token.split(".")
    return f"{written({**part(head), **header})}.{written({**part(body), **claims})}.{signature}"


def signed_by_us(server: Watched, token: str, header: Json | None = None, **claims: Any) -> str:
    """By our own key: what would be let in if nobody looked at what it says."""
    head, body, _ = token.split(".")
    told = {name: value for name, value in {**part(body), **claims}.items() if value is not None}
    text = f"{written({**part(head), **(header or {})})}.{written(told)}"
    # As bytes: the library would refuse to sign some of it.
    signature = JWSRegistry.algorithms[ALGORITHM].sign(text.encode(), server.services.keyring.keys.current)
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def by_another_key(token: str, **header: Any) -> str:
    head, body, _ = token.split(".")
    key = ECKey.generate_key("P-256")
    told = {**part(head), **{name: key.as_dict(private=False) if value is ... else value
                             for name, value in header.items()}}  # fmt: skip
    text = f"{written(told)}.{body}"
    signed = jwt.encode({"alg": ALGORITHM}, part(body), key, algorithms=[ALGORITHM])
    return f"{text}.{signed.rpartition('.')[2]}"


def by_the_public_key(server: Watched, token: str) -> str:
    """HS256, with the text of our public key as the secret."""
    head, body, _ = token.split(".")
    text = f"{written({**part(head), 'alg': 'HS256'})}.{body}"
    public = server.services.keyring.keys.current.as_pem(private=False)
    signature = hmac.new(public, text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def unsigned(token: str, algorithm: str) -> str:
    return changed_token(token, {"alg": algorithm}).rpartition(".")[0] + "."


def now(server: Watched) -> int:
    return int(server.services.clock().timestamp())


FORGED: dict[str, Callable[[Watched, Json], str]] = {
    "alg none": lambda _, given: unsigned(given["access_token"], "none"),
    "alg None": lambda _, given: unsigned(given["access_token"], "None"),
    "no signature": lambda _, given: unsigned(given["access_token"], ALGORITHM),
    "HS256 with the public key": lambda server, given: by_the_public_key(server, given["access_token"]),
    "another key": lambda _, given: by_another_key(given["access_token"]),
    "another key in jwk": lambda _, given: by_another_key(given["access_token"], jwk=...),
    "another key in jku": lambda _, given: by_another_key(given["access_token"], jku="https://evil.example/jwks"),
    "another key in x5u": lambda _, given: by_another_key(given["access_token"], x5u="https://evil.example/x"),
    "another key and kid": lambda _, given: by_another_key(given["access_token"], kid="evil"),
    "kid unknown": lambda _, given: changed_token(given["access_token"], {"kid": "unknown"}),
    "kid missing": lambda _, given: changed_token(given["access_token"], {"kid": None}),
    "kid a path": lambda _, given: changed_token(given["access_token"], {"kid": "../../dev/null"}),
    "kid of SQL": lambda _, given: changed_token(given["access_token"], {"kid": "x' UNION SELECT 'key"}),
    "kid an operator": lambda _, given: changed_token(given["access_token"], {"kid": {"$ne": ""}}),
    "kid a list": lambda _, given: changed_token(given["access_token"], {"kid": ["x"]}),
    "more scope": lambda _, given: changed_token(given["access_token"], {}, scope="system/*.cruds"),
    "another patient": lambda _, given: changed_token(given["access_token"], {}, patient="bob"),
    "a longer life": lambda _, given: changed_token(given["access_token"], {}, exp=9_999_999_999),
    "crit": lambda server, given: signed_by_us(server, given["access_token"], {"crit": ["evil"], "evil": 1}),
    "another typ": lambda server, given: signed_by_us(server, given["access_token"], {"typ": "JWT"}),
    "expired": lambda server, given: signed_by_us(server, given["access_token"], exp=now(server) - 1),
    "expires now": lambda server, given: signed_by_us(server, given["access_token"], exp=now(server)),
    "exp a text": lambda server, given: signed_by_us(server, given["access_token"], exp="9999999999"),
    "exp missing": lambda server, given: signed_by_us(server, given["access_token"], exp=None),
    "exp no number": lambda server, given: signed_by_us(server, given["access_token"], exp=True),
    "exp far": lambda server, given: signed_by_us(server, given["access_token"], exp=now(server) + 10**8),
    "not yet issued": lambda server, given: signed_by_us(server, given["access_token"], iat=now(server) + 60),
    "not yet valid": lambda server, given: signed_by_us(server, given["access_token"], nbf=now(server) + 60),
    "aud of another": lambda server, given: signed_by_us(server, given["access_token"], aud="https://evil.example"),
    "aud among others": lambda server, given: signed_by_us(server, given["access_token"], aud=[BASE, "x"]),
    "aud with a slash": lambda server, given: signed_by_us(server, given["access_token"], aud=f"{BASE}/"),
    "aud missing": lambda server, given: signed_by_us(server, given["access_token"], aud=None),
    "iss of another": lambda server, given: signed_by_us(server, given["access_token"], iss="https://evil.example"),
    "no client": lambda server, given: signed_by_us(server, given["access_token"], client_id=None),
    "no jti": lambda server, given: signed_by_us(server, given["access_token"], jti=None),
    "an id_token": lambda _, given: str(given["id_token"]),
    "a refresh token": lambda _, given: str(given["refresh_token"]),
    "a megabyte": lambda _, given: str(given["access_token"]) + "x" * 1_000_000,
    "two tokens": lambda _, given: f"{given['access_token']} {given['access_token']}",
    "in five parts": lambda _, given: f"{given['access_token']}.x.y",
    "no JSON": lambda _, __: "bm8.bm8.bm8",
    "a list": lambda _, __: "W10.W10.W10",
    "deep JSON": lambda _, __: f"{base64.urlsafe_b64encode(b'[' * 2_000).decode()}.e30.e30",
    "empty": lambda _, __: "x",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
async def test_a_token_that_we_have_not_given_opens_nothing(server: Watched, given: Json, name: str) -> None:
    """[F6, R77, R94-96, X17, X26]"""
    request_id = a_request_id()
    headers = {"X-Request-Id": request_id}
    async with server.bearing(FORGED[name](server, given)) as http:
        answers = [
            await http.get("/Patient/ann", headers=headers),
            await http.get(USERINFO, headers=headers),
            await http.post(LAUNCH, json={"client_id": "public"}, headers=headers),
            await http.post(INTROSPECT, data={"token": given["access_token"]}, headers=headers),
        ]
    assert [answer.status_code for answer in answers] == [httpx.codes.UNAUTHORIZED] * 4
    assert all("bearer" in answer.headers["www-authenticate"].lower() for answer in answers)
    records = await server.recorded(request_id)
    assert [(record.outcome, record.status) for record in records] == [("refused", 401)] * 4
    assert all(record.reason for record in records)


WORTH_NOTHING = [name for name in FORGED if name not in ("a refresh token", "a megabyte")]
"""A refresh token of ours is worth something; a megabyte is too large a form."""


@pytest.mark.parametrize("name", WORTH_NOTHING)
async def test_nor_is_it_worth_anything_to_who_asks(server: Watched, given: Json, name: str) -> None:
    """[F5, X17] Whatever is no token of ours is inactive, and nothing else is said."""
    async with server.as_("__introspect") as http:
        answer = await http.post(INTROSPECT, data={"token": FORGED[name](server, given)})
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"active": False})


async def test_a_token_does_not_belong_into_an_address_or_form(server: Watched, given: Json) -> None:
    """[X26]"""
    told = {"access_token": given["access_token"]}
    async with server.bearing(None) as http:
        for url in ("/Patient/ann", USERINFO, INTROSPECT, LAUNCH):
            assert (await http.get(url, params=told)).status_code >= 400
            assert (await http.post(url, data=told)).status_code >= 400


async def test_a_code_is_no_token(server: Watched, ann: Person) -> None:
    """[F6]"""
    async with server.bearing(await a_code(ann, PUBLIC)) as http:
        assert (await http.get("/Patient/ann")).status_code == httpx.codes.UNAUTHORIZED


# Who may ask what a token is worth, and who may launch.


@pytest.mark.parametrize("scope", ["system/*.cruds", "__launch", "system/*.cruds __launch"])
async def test_nobody_asks_what_a_token_is_worth_who_may_not(
    server: Watched, given: Json, scope: str
) -> None:
    """[F5, R282]"""
    headers = {"Authorization": f"Bearer {server.token(scope)}"}
    told = {"token": given["access_token"]}
    await refused_as(server, "insufficient_scope", 401, INTROSPECT, client="test", data=told, headers=headers)


async def test_no_app_asks_what_a_token_is_worth(server: Watched, given: Json) -> None:
    """[F5] Neither with its own token, nor as a client."""
    told = {"token": given["access_token"]}
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    await refused_as(
        server, "insufficient_scope", 401, INTROSPECT, client="public", data=told, headers=headers
    )
    await refused_as(
        server, "unauthorized_client", 401, INTROSPECT, client="public", data={**told, "client_id": "public"}
    )


@pytest.mark.parametrize("scope", ["system/*.cruds", "__introspect", "user/*.cruds"])
async def test_nobody_launches_who_may_not(server: Watched, scope: str) -> None:
    """[A8, X15]"""
    token = server.token(scope, user="Practitioner/dora")
    headers = {"Authorization": f"Bearer {token}"}
    told = {"client_id": "public", "patient": "ann"}
    await refused_as(server, "insufficient_scope", 403, LAUNCH, client="test", json=told, headers=headers)


async def test_no_app_launches(server: Watched, given: Json) -> None:
    """[A8]"""
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    told = {"client_id": "public", "patient": "bob"}
    await refused_as(server, "insufficient_scope", 403, LAUNCH, client="public", json=told, headers=headers)


NOT_LAUNCHED: dict[str, Json] = {
    "a patient who is not there": {"patient": "nobody"},
    "an encounter that is not there": {"patient": "ann", "encounter": "nothing"},
    "an encounter of another patient": {"patient": "bob", "encounter": "ann-visit"},
    "an encounter of nobody": {"encounter": "ann-visit"},
    "an app that is not there": {"client_id": "unknown"},
    "an operator as the app": {"client_id": {"$ne": ""}},
    "an operator as the patient": {"patient": {"$ne": ""}},
    "a path as the patient": {"patient": "../Practitioner/dora"},
    "an address that is not registered": {"launch_uri": "https://evil.example/launch"},
    "a script as the address": {"launch_uri": "javascript:alert(1)"},
    "a script as the style": {"patient": "ann", "smart_style_url": "javascript:alert(1)"},
    "a member that is none": {"scope": "system/*.cruds"},
    "a user that is none": {"user": "Device/x"},
    "a patient in fhirContext": {"fhirContext": [{"reference": "Patient/bob"}]},
    "a banner that is none": {"need_patient_banner": "false"},
    "a tenant with lines": {"tenant": "x\r\ny"},
}


@pytest.mark.parametrize("name", NOT_LAUNCHED)
async def test_an_ehr_launches_what_it_may_see_itself(server: Watched, name: str) -> None:
    """[A8, T6, T7, X1, X18, X21]"""
    headers = {"Authorization": f"Bearer {server.token('__launch system/*.rs')}"}
    told = {"client_id": "public", **NOT_LAUNCHED[name]}
    await refused_as(server, "invalid_request", 400, LAUNCH, client="test", json=told, headers=headers)


@pytest.mark.parametrize("scope", ["__launch", "__launch system/Encounter.rs", "__launch system/Patient.s"])
async def test_an_ehr_that_may_not_read_the_patient_launches_nobody_with_them(
    server: Watched, scope: str
) -> None:
    """[A8, X1]"""
    headers = {"Authorization": f"Bearer {server.token(scope)}"}
    told = {"client_id": "public", "patient": "ann"}
    await refused_as(server, "invalid_request", 400, LAUNCH, client="test", json=told, headers=headers)


BODIES = {
    "nothing": b"",
    "no JSON": b"client_id=public",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "twice": b'{"client_id": "unknown", "client_id": "public"}',
    "deep": b'{"client_id": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "no text": b'{"client_id": "\xff"}',
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_launch_is_refused(server: Watched, name: str) -> None:
    """[A8, X21, X29]"""
    headers = {"Authorization": f"Bearer {server.token('__launch')}"}
    await refused_as(
        server, "invalid_request", 400, LAUNCH, client="test", content=BODIES[name], headers=headers
    )


# What becomes of a launch.


async def a_launch(server: Watched, **told: Any) -> str:
    async with server.as_("__launch system/*.rs") as http:
        answer = await http.post(LAUNCH, json={"client_id": "public", "patient": "ann", **told})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["launch"])


async def test_a_launch_is_used_once(server: Watched, ann: Person) -> None:
    """[A8, X15]"""
    launch = await a_launch(server)
    assert len(launch) > 40, "nobody guesses it"
    assert "ann" not in launch
    scope = "launch patient/*.rs"
    page = await ann.opens(AUTHORIZE, params=PUBLIC.asks(scope, launch=launch))
    assert "code" in told_to_app(await ann.allows(page))
    await the_app_is_told(server, changed(scope=scope, launch=launch), "invalid_request")


async def test_a_launch_holds_for_minutes(server: Watched) -> None:
    """[A8]"""
    launch = await a_launch(server)
    await over(server, "launch", launch)
    await the_app_is_told(server, changed(scope="launch patient/*.rs", launch=launch), "invalid_request")


async def test_a_launch_is_of_one_app(server: Watched) -> None:
    """[A8, X15] Who tries with another one has used it up."""
    await add_app(server, App("launched-too", HERE))
    launch = await a_launch(server, client_id="launched-too")
    for _ in range(2):
        await the_app_is_told(server, changed(scope="launch patient/*.rs", launch=launch), "invalid_request")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bob", {}),
        ("bob", {"patient": "ann", "user": "Practitioner/dora"}),
        ("ann", {"patient": "bob"}),
        ("dora", {"user": "Practitioner/somebody-else"}),
        ("rita", {"patient": "bob"}),
        ("nils", {}),
    ],
    ids=[
        "another patient",
        "another user",
        "not one's own",
        "another practitioner",
        "not spoken for",
        "nobody",
    ],
)
async def test_a_launch_gives_nobody_what_they_may_not_see(server: Watched, name: str, told: Json) -> None:
    """[A8, S7, T5, X1]"""
    launch = await a_launch(server, **told)
    person = await logged_in(server, name)
    answer = await person.opens(AUTHORIZE, params=PUBLIC.asks("launch patient/*.rs", launch=launch))
    assert told_to_app(answer)["error"] == "access_denied"


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 100
    assert await server.told_in_secret() == []
