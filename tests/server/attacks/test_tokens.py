"""
What is thrown at /auth/token with a code: whoever is not the one it was given to gets nothing, and a code
that is used twice takes along what it gave.

The ids in brackets are those of requirements and attacks.
https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3, https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1
"""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, accepted
from fhir_server.smart.grants import presented
from tests.server.attacking import (
    CONFIDENTIAL,
    FORM,
    OTHER,
    PUBLIC,
    RECORD,
    Watched,
    a_code,
    a_request_id,
    redeemed,
    refused_as,
    works,
)
from tests.server.launching import PASSWORD, TOKEN
from tests.smart.browsing import App, Person, challenge
from tests.smart.services import BackEnd, an_ec_key

GRANT = {"grant_type": "authorization_code"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(server: Watched) -> BackEnd:
    now = server.services.clock()
    made = BackEnd("service", TOKEN, [an_ec_key("k")], int(now.timestamp()))
    client = Client(made.id, made.id, "system/*.rs", made.jwks, None, now)
    assert await server.services.store.clients.register(accepted(client, definitions().resource_types))
    return made


def basic(id: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{id}:{secret}'.encode()).decode()}"}


WRONG: dict[str, dict[str, str | None]] = {
    "no verifier": {"code_verifier": None},
    "empty verifier": {"code_verifier": ""},
    "another verifier": {"code_verifier": "x" * 64},
    "the challenge": {"code_verifier": challenge(PUBLIC.verifier)},
    "verifier of another app": {"code_verifier": OTHER.verifier},
    "verifier too short": {"code_verifier": "x" * 42},
    "verifier too long": {"code_verifier": "x" * 129},
    "verifier with a space": {"code_verifier": f"{PUBLIC.verifier} "},
    "verifier in capitals": {"code_verifier": PUBLIC.verifier.upper()},
    "verifier beyond ASCII": {"code_verifier": "\u00fc" * 50},
    "an operator": {"code_verifier": None, "code_verifier[$ne]": "x"},
    "no redirect_uri": {"redirect_uri": None},
    "empty redirect_uri": {"redirect_uri": ""},
    "another redirect_uri": {"redirect_uri": "https://evil.example/"},
    "redirect_uri of another app": {"redirect_uri": OTHER.redirect_uri},
    "redirect_uri with a slash": {"redirect_uri": f"{PUBLIC.redirect_uri}/"},
    "no code": {"code": None},
    "empty code": {"code": ""},
    "code unknown": {"code": f"{'x' * 24}.{'y' * 43}"},
    "code without its end": {"code": "x" * 24},
    "code that is no text of one": {"code": '{"$ne": null}'},
    "code of operators": {"code": None, "code[$ne]": "", "code[$regex]": ".*"},
    "code of ten kilobytes": {"code": "x" * 10_000},
    "code with a NUL": {"code": "x" * 24 + "\0." + "y" * 43},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_code_alone_is_worth_nothing(server: Watched, ann: Person, name: str) -> None:
    """[T3, R31, X14, X15, X21] And whoever it was given to can still redeem it."""
    code = await a_code(ann, PUBLIC)
    told = {**PUBLIC.redeems(code)["data"], **WRONG[name]}
    data = {field: value for field, value in told.items() if value is not None}
    await refused_as(server, "invalid_grant", 400, client="public", data=data)
    async with server.bearing(None) as http:
        assert (await http.post(TOKEN, **PUBLIC.redeems(code))).status_code == httpx.codes.OK


async def test_a_verifier_of_another_request_does_not_fit(server: Watched, ann: Person) -> None:
    """[T3, X15] Code injection: the app's own code, in another browser."""
    mine, injected = App("public"), App("public")
    code = await a_code(ann, injected)
    await refused_as(server, "invalid_grant", 400, client="public", **mine.redeems(code))


async def test_the_end_of_a_code_is_that_of_no_other(server: Watched, ann: Person) -> None:
    """[T3, X15]"""
    one, two = await a_code(ann, PUBLIC), await a_code(ann, PUBLIC)
    mixed = f"{one.partition('.')[0]}.{two.partition('.')[2]}"
    await refused_as(server, "invalid_grant", 400, client="public", **PUBLIC.redeems(mixed))


THIEVES = {
    "public": (PUBLIC, CONFIDENTIAL),
    "confidential": (CONFIDENTIAL, PUBLIC),
    "other": (CONFIDENTIAL, OTHER),
}


@pytest.mark.parametrize("name", THIEVES)
async def test_a_code_is_of_one_app(server: Watched, ann: Person, name: str) -> None:
    """[T3, X15]"""
    owner, thief = THIEVES[name]
    code = await a_code(ann, owner)
    told = thief.redeems(code, redirect_uri=owner.redirect_uri, code_verifier=owner.verifier)
    await refused_as(server, "invalid_grant", 400, client=thief.id, **told)


async def test_a_code_holds_for_a_minute(server: Watched, ann: Person) -> None:
    """[A7, R57]"""
    code = await a_code(ann, PUBLIC)
    told = presented(code)
    assert told is not None
    granted = await server.services.store.grants.get(told.grant)
    assert granted is not None
    assert granted.code_until - granted.made == timedelta(seconds=60)
    past = datetime.now(UTC) - timedelta(milliseconds=1)
    await server.services.store._database.grants.update_one(
        {"_id": told.grant}, {"$set": {"code_until": past}}
    )
    await refused_as(server, "invalid_grant", 400, client="public", **PUBLIC.redeems(code))


@pytest.mark.parametrize("app", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
async def test_a_code_that_comes_twice_takes_along_what_it_gave(
    server: Watched, second: Watched, ann: Person, app: App
) -> None:
    """[A7, R57, X15] In each process, from the next request on."""
    code = await a_code(ann, app, f"{RECORD} offline_access")
    async with server.bearing(None) as http:
        told = (await http.post(TOKEN, **app.redeems(code))).json()
    assert await works(server, told["access_token"])
    assert await works(second, told["access_token"])
    await refused_as(second, "invalid_grant", 400, client=app.id, **app.redeems(code))
    assert not await works(server, told["access_token"])
    assert not await works(second, told["access_token"])
    for one in (server, second):
        await refused_as(one, "invalid_grant", 400, client=app.id, **app.refreshes(told["refresh_token"]))


async def test_of_twenty_who_come_at_once_with_a_code_one_is_given_what_then_holds_no_more(
    server: Watched, second: Watched, ann: Person
) -> None:
    """[A7, R57, X15]"""
    code = await a_code(ann, PUBLIC, f"{RECORD} offline_access")
    async with server.bearing(None) as one, second.bearing(None) as other:
        posts = [http.post(TOKEN, **PUBLIC.redeems(code)) for _ in range(10) for http in (one, other)]
        answers = await asyncio.gather(*posts)
    given = [answer.json() for answer in answers if answer.status_code == httpx.codes.OK]
    assert len(given) == 1
    assert all(answer.json()["error"] == "invalid_grant" for answer in answers if answer.is_error)
    for server_ in (server, second):
        assert not await works(server_, given[0]["access_token"])
    await refused_as(
        server, "invalid_grant", 400, client="public", **PUBLIC.refreshes(given[0]["refresh_token"])
    )


# Who the client is.

SECRET = str(CONFIDENTIAL.secret)
UNPROVEN: dict[str, tuple[dict[str, str], dict[str, str], str | None]] = {
    "no secret": ({"client_id": "confidential"}, {}, "confidential"),
    "nobody": ({}, {}, None),
    "an unknown client": ({"client_id": "unknown"}, {}, None),
    "a client as an operator": ({"client_id[$ne]": ""}, {}, None),
    "a wrong secret": ({}, basic("confidential", "wrong"), "confidential"),
    "an empty secret": ({}, basic("confidential", ""), "confidential"),
    "the secret of another app": ({}, basic("confidential", str(OTHER.secret)), "confidential"),
    "the secret in capitals": ({}, basic("confidential", SECRET.upper()), "confidential"),
    "the secret and a NUL": ({}, basic("confidential", f"{SECRET}\0"), "confidential"),
    "the secret and a colon": ({}, basic("confidential", f"{SECRET}:"), "confidential"),
    "the secret and a percent sign": ({}, basic("confidential", f"{SECRET}%"), "confidential"),
    "the secret and a plus": ({}, basic("confidential", f"{SECRET}+"), "confidential"),
    "its hash": ({}, basic("confidential", "0" * 64), "confidential"),
    "the secret in the form": ({"client_id": "confidential", "client_secret": SECRET}, {}, None),
    "the secret twice": ({"client_secret": SECRET}, basic("confidential", SECRET), None),
    "two clients": ({"client_id": "public"}, basic("confidential", SECRET), "confidential"),
    "a public app with a secret": ({}, basic("public", "x"), "public"),
    "a public app with none": ({}, basic("public", ""), "public"),
    "a service with a secret": ({}, basic("service", "x"), "service"),
    "a service without a key": ({"client_id": "service"}, {}, "service"),
    "no base64": ({}, {"Authorization": "Basic ?"}, None),
    "no colon": ({}, {"Authorization": f"Basic {base64.b64encode(b'confidential').decode()}"}, None),
    "no UTF-8": ({}, {"Authorization": f"Basic {base64.b64encode(b'a:' + bytes([255])).decode()}"}, None),
    "ten kilobytes": ({}, basic("confidential", "x" * 10_000), None),
    "a bearer": ({"client_id": "public"}, {"Authorization": "Bearer x"}, None),
    "another scheme": ({"client_id": "public"}, {"Authorization": "Digest x"}, None),
    "an empty header": ({"client_id": "public"}, {"Authorization": ""}, None),
    "an assertion of another kind": (
        {"client_assertion": "x", "client_assertion_type": "urn:ietf:params:oauth:grant-type:saml2-bearer"},
        {},
        None,
    ),
    "an assertion without its kind": ({"client_assertion": "x.y.z"}, {}, None),
    "an assertion without itself": (
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
        {},
        None,
    ),
    "a secret and an assertion": ({"client_assertion": "x.y.z"}, basic("confidential", SECRET), None),
}


@pytest.mark.parametrize("name", UNPROVEN)
async def test_who_does_not_prove_to_be_the_client_gets_nothing(
    server: Watched, service: BackEnd, ann: Person, name: str
) -> None:
    """[T4, R344, X15, X17] The record names the registered client that it says it is."""
    form, headers, client = UNPROVEN[name]
    told = CONFIDENTIAL.redeems(await a_code(ann, CONFIDENTIAL))["data"]
    answer = await refused_as(
        server, "invalid_client", 401, client=client, data={**told, **form}, headers=headers
    )
    told_basic = headers.get("Authorization", "").startswith("Basic")
    if told_basic and "client_secret" not in form and "client_assertion" not in form:
        assert answer.headers["www-authenticate"] == 'Basic realm="SMART"'


async def test_what_is_said_of_a_wrong_secret_does_not_tell_whether_there_is_a_client(
    server: Watched,
) -> None:
    """[T4]"""
    told = {**GRANT, "code": "x"}
    async with server.bearing(None) as http:
        answers = [
            await http.post(TOKEN, data=told, headers=basic(id, "wrong"))
            for id in ("confidential", "unknown", "public", "service")
        ]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1


OTHERWISE: dict[str, tuple[App, dict[str, str], str, str | None]] = {
    "an app as a service": (CONFIDENTIAL, {"grant_type": "client_credentials", "scope": "system/*.rs"},
                            "unauthorized_client", "confidential"),
    "a public app as a service": (PUBLIC, {"grant_type": "client_credentials", "scope": "system/*.rs"},
                                  "unauthorized_client", "public"),
    "by a password": (PUBLIC, {"grant_type": "password", "username": "ann", "password": PASSWORD},
                      "unsupported_grant_type", None),
    "implicit": (PUBLIC, {"grant_type": "implicit"}, "unsupported_grant_type", None),
    "token exchange": (PUBLIC, {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"},
                       "unsupported_grant_type", None),
    "in capitals": (PUBLIC, {"grant_type": "AUTHORIZATION_CODE"}, "unsupported_grant_type", None),
    "nothing": (PUBLIC, {}, "unsupported_grant_type", None),
    "an operator": (PUBLIC, {"grant_type[$ne]": ""}, "unsupported_grant_type", None),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERWISE)
async def test_an_app_asks_by_a_code_and_in_no_other_way(server: Watched, name: str) -> None:
    """[T4, R251, R344]"""
    app, form, error, client = OTHERWISE[name]
    posted: dict[str, Any] = {"data": form}
    if app.secret is None:
        posted["data"] = {"client_id": app.id, **form}
    else:
        posted["headers"] = basic(app.id, app.secret)
    await refused_as(server, error, 400, client=client, **posted)


async def test_a_service_has_no_codes(server: Watched, service: BackEnd, ann: Person) -> None:
    """[T4, R251]"""
    code = await a_code(ann, PUBLIC)
    form = service.form(grant_type="authorization_code", code=code, redirect_uri=PUBLIC.redirect_uri)
    await refused_as(server, "unauthorized_client", 400, client="service", data=form)


async def test_a_code_of_another_app_does_not_choose_how_the_client_is_proven(
    server: Watched, ann: Person
) -> None:
    """[T4, F1] Only a refresh token of a public client says whose it is."""
    code = await a_code(ann, PUBLIC)
    await refused_as(server, "invalid_client", 401, **PUBLIC.redeems(code, client_id=None))
    given = await redeemed(server, ann, CONFIDENTIAL, f"{RECORD} offline_access")
    told = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    await refused_as(server, "invalid_client", 401, client="confidential", data=told)


@pytest.mark.parametrize("name", sorted(PUBLIC.redeems("x")["data"]))
async def test_each_parameter_is_told_once(server: Watched, ann: Person, name: str) -> None:
    """[T1] RFC 6749, 3.2"""
    told = PUBLIC.redeems(await a_code(ann, PUBLIC))["data"]
    twice = {**told, name: [told[name], told[name]]}
    await refused_as(server, "invalid_request", 400, data=twice)


BODIES = {
    "JSON": (b'{"grant_type": "authorization_code", "code": {"$ne": ""}}', "application/json", 415),
    "parts": (b"--x--", "multipart/form-data; boundary=x", 415),
    "no type": (b"grant_type=authorization_code", "", 415),
    "no text": (b"grant_type=%ff", FORM["Content-Type"], 400),
    "a token in the form": (b"access_token=x", FORM["Content-Type"], 400),
    "a megabyte": (b"a=" + b"x" * 1_000_000, FORM["Content-Type"], 413),
    "a thousand fields": (b"&".join(b"a%d=1" % number for number in range(1_000)), FORM["Content-Type"], 400),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_form_is_refused_as_one(server: Watched, name: str) -> None:
    """[T1, R84, X21, X29]"""
    body, kind, status = BODIES[name]
    headers = {"Content-Type": kind} if kind else {}
    await refused_as(server, "invalid_request", status, content=body, headers=headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_a_token_is_asked_for_by_post(server: Watched, ann: Person, method: str) -> None:
    """[T1, X26] Nor does a code in an address give one."""
    told = PUBLIC.redeems(await a_code(ann, PUBLIC))["data"]
    async with server.bearing(None) as http:
        answer = await http.request(method, TOKEN, params=told, headers={"X-Request-Id": a_request_id()})
        posted = await http.post(TOKEN, params=told, headers=FORM)
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert "POST" in answer.headers["allow"]
    assert answer.headers["cache-control"] == "no-store"
    assert posted.json()["error"] == "unsupported_grant_type"


async def test_no_secret_stands_in_a_log_or_record(server: Watched) -> None:
    """[X25, X26] Of all that the tests of this file sent and got."""
    assert len(server.secrets) > 100
    assert await server.told_in_secret() == []
