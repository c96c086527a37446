"""
The edge believes nobody: not the Host header, not a forwarded address, not a foreign origin, and a
token only when it is whole, ours and in its place.

https://www.rfc-editor.org/rfc/rfc6750, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from pydantic import ValidationError

from fhir_server.api.flood import ADDRESSES_MAX, Flood
from fhir_server.r4.definitions import definitions
from fhir_server.settings import Settings
from fhir_server.smart.keys import load_or_create
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import Grant, Tokens
from tests.databases import a_database
from tests.server.running import BASE, Server, a_patient, an_observation, issues_of, serving

ORIGIN = "https://app.example.org"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file; scripts of one origin may call it."""
    folder = tmp_path_factory.mktemp("data")
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, folder, cors_origins=(ORIGIN,)) as running,
    ):
        async with running.as_() as client:
            await client.put("/Patient/x", json=a_patient(id="x"))
        yield running


def calling_from(server: Server, address: str, token: str | None = None) -> httpx.AsyncClient:
    """A client at this address, at the root of the server."""
    transport = httpx.ASGITransport(server.application, raise_app_exceptions=False, client=(address, 5))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://fhir.example", headers=headers)


FORGED = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "X-Original-URL": "/evil",
    "Forwarded": "host=evil.example;proto=gopher",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example",
}


async def test_no_answer_is_made_from_a_name_that_the_client_chose(server: Server) -> None:
    async with server.as_() as client:
        answers = [
            await client.post("/Observation", json=an_observation("x"), headers=FORGED),
            await client.put("/Patient/x", json=a_patient(id="x", active=True), headers=FORGED),
            await client.get("/Observation?_count=1", headers=FORGED),
            await client.get("/_history?_count=1", headers=FORGED),
            await client.get("/Patient/none", headers=FORGED),
            await client.get("/metadata", headers=FORGED),
            await client.get("/.well-known/smart-configuration", headers=FORGED),
        ]
    at_the_root = ("/", "/health/live/", "/health/live", "/nowhere", "/fhir", "//evil.example/fhir", "/fhir/")
    async with calling_from(server, "127.0.0.1") as client:
        answers += [await client.get(path, headers=FORGED) for path in at_the_root]
    for answer in answers:
        assert "evil" not in answer.text + str(answer.headers)
        assert "gopher" not in answer.text + str(answer.headers)
        assert not answer.is_redirect
    assert answers[0].headers["location"].startswith(f"{BASE}/Observation/")


async def test_metrics_answer_this_machine_alone_and_no_proxy_on_it(server: Server) -> None:
    async with calling_from(server, "127.0.0.1") as client:
        assert (await client.get("/metrics")).status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
            assert (await client.get("/metrics", headers={header: "127.0.0.1"})).status_code == 403
    for address in ("10.0.0.7", "2001:db8::1", "unix", "127.0.0.1.evil.example"):
        async with calling_from(server, address) as client:
            assert (await client.get("/metrics", headers={"Host": "localhost"})).status_code == 403


async def test_what_anybody_may_see_says_nothing_of_the_inside(server: Server) -> None:
    database = server.services.settings.mongodb_database
    async with calling_from(server, "10.0.0.7") as client:
        page, *others = [
            await client.get(path) for path in ("/", "/health/live", "/health/ready", "/fhir/metadata")
        ]
    assert "<script" not in page.text
    assert "javascript:" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for answer in (page, *others):
        for secret in (database, "mongod", "data_dir", "python", "starlette", "uvicorn", "Traceback"):
            assert secret not in answer.text + str(answer.headers)
    assert others[0].json() == {"status": "live"}
    assert others[1].json() == {"status": "ready"}


PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}


async def test_a_configured_origin_may_ask_before_it_has_a_token(server: Server) -> None:
    async with server.bearing(None) as client:
        answer = await client.options("/Patient/x", headers={"Origin": ORIGIN, **PREFLIGHT})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()


FOREIGN = [
    "null",
    "https://evil.example",
    f"{ORIGIN}.evil.example",
    "https://evil-app.example.org",
    f"{ORIGIN}:444",
    ORIGIN.replace("https", "http"),
    f"{ORIGIN}/",
    ORIGIN.upper(),
    "*",
    "",
    f"{ORIGIN}, https://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_no_other_origin_may(server: Server, origin: str) -> None:
    async with server.as_() as client:
        before = await client.options("/Patient/x", headers={"Origin": origin, **PREFLIGHT})
        after = await client.get("/Patient/x", headers={"Origin": origin})
    assert "access-control-allow-origin" not in before.headers
    assert "access-control-allow-origin" not in after.headers


async def test_without_an_origin_configured_there_is_no_cors(
    mongodb_url: str, database_name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with serving(mongodb_url, database_name, tmp_path_factory.mktemp("data")) as plain:
        async with plain.bearing(None) as client:
            before = await client.options("/Patient/x", headers={"Origin": ORIGIN, **PREFLIGHT})
        async with plain.as_() as client:
            after = await client.get("/Patient/x", headers={"Origin": ORIGIN})
    assert before.status_code == 400
    assert "access-control-allow-origin" not in {*before.headers, *after.headers}


@pytest.mark.parametrize(
    "origin", ["*", "null", "", "https://*.example.org", "https://a/", "javascript://a", "a.b"]
)
def test_only_whole_origins_can_be_configured(origin: str) -> None:
    with pytest.raises(ValidationError, match="origin"):
        Settings(cors_origins=(origin,))


async def a_token(server: Server, *, audience: str = BASE, later: int = 0) -> str:
    """Signed by this server's own key, for another audience or time."""
    services = server.services
    secret = wrapping_secret(services.settings.data_dir, None)
    keys = await load_or_create(services.store.state, secret, services.clock())
    grant = Grant("test", "system/*.cruds", 60)
    now = int(services.clock().timestamp()) + later
    return Tokens(keys, audience, definitions().resource_types).issue(grant, now=now, token_id="t")


async def test_a_token_holds_only_when_it_is_ours_and_of_now(server: Server) -> None:
    good = await a_token(server)
    wrong = {
        "for another server": await a_token(server, audience="https://evil.example/fhir"),
        "for a longer address": await a_token(server, audience=f"{BASE}/"),
        "over": await a_token(server, later=-61),
        "not yet": await a_token(server, later=3600),
        "cut": good[:-1],
        "twice": f"{good}{good}",
        "two": f"{good} {good}",
        "long": "a" * 9_000,
        "very long": f"{good.partition('.')[0]}.{'a' * 1_000_000}.b",
        "no token": "",
        "spaces": "   ",
        "no JWT": "...",
        "not ASCII": "\u00e9".encode("latin-1").decode("latin-1"),
    }
    async with server.bearing(good) as client:
        assert (await client.get("/Patient/x")).status_code == 200
    for what, token in wrong.items():
        async with calling_from(server, f"10.1.0.{len(what)}") as client:
            authorization = f"Bearer {token}".encode("latin-1")
            answer = await client.get("/fhir/Patient/x", headers=[(b"Authorization", authorization)])
        assert answer.status_code == 401, what
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert not token.strip() or token not in answer.text
        assert issues_of(answer)[0]["code"] == "login"


@pytest.mark.parametrize(
    ("scheme", "status"),
    [
        ("Bearer", 200),
        ("bearer", 200),
        ("BEARER", 200),
        ("Basic", 401),
        ("DPoP", 401),
        ("", 401),
        ("Bear er", 401),
    ],
)
async def test_the_scheme_is_bearer_in_any_case(server: Server, scheme: str, status: int) -> None:
    async with calling_from(server, "10.2.0.1") as client:
        headers = {"Authorization": f"{scheme} {server.token()}"}
        assert (await client.get("/fhir/Patient/x", headers=headers)).status_code == status


async def test_a_token_anywhere_else_is_none(server: Server) -> None:
    token = server.token()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    before = len(await server.records())
    async with calling_from(server, "10.3.0.1") as client:
        answers = [
            await client.get(f"/fhir/Patient/x?access_token={token}"),
            await client.post("/fhir/Patient/_search", content=f"access_token={token}", headers=form),
            await client.get("/fhir/Patient/x", headers={"Cookie": f"access_token={token}"}),
            await client.get("/fhir/Patient/x", headers={"X-Access-Token": token}),
            await client.get("/fhir/Patient/x", headers=[("Authorization", f"Bearer {token}")] * 2),
        ]
    assert {answer.status_code for answer in answers} == {401}
    async with server.bearing(token) as client:
        query = await client.get(f"/Patient?access_token={token}")
        body = await client.post("/Patient/_search", content=f"_id=x&access_token={token}", headers=form)
    assert (query.status_code, body.status_code) == (400, 400)
    assert token not in query.text + body.text + str((await server.records())[before:])


async def test_many_refused_calls_cost_few_records_and_no_valid_one(server: Server) -> None:
    """Whatever is refused of whoever shows no token: 401, 405, 406, 400 or methods nobody knows."""
    before = len(await server.records())
    asked = [("GET", "/fhir/Patient/x"), ("DELETE", "/fhir/metadata"), ("GET", "/fhir/metadata?_format=ttl"),
             ("GET", "/fhir/metadata?name=%ff"), ("GET", "/fhir/nowhere")]  # fmt: skip
    answers = []
    async with calling_from(server, "10.4.0.1") as client:
        for number in range(200):
            method, path = asked[number % len(asked)] if number % 2 else (f"M{number}", "/fhir/metadata")
            answers.append(await client.request(method, path))
        # On a busy machine the last ones may be the first of another second.
        throttled = [answer for answer in answers if answer.status_code == 429]
        assert len(throttled) > len(answers) / 4
        assert all(answer.headers["retry-after"] == "1" for answer in throttled)
        assert all(issues_of(answer)[0]["code"] == "throttled" for answer in throttled)
        valid = {"Authorization": f"Bearer {server.token()}"}
        assert (await client.get("/fhir/Patient/x", headers=valid)).status_code == 200
    records = (await server.records())[before:]
    # What was only counted is written down in a second, or when the server stops.
    assert len(records) <= 2 * server.services.settings.refusals_per_second_max + 10


def test_what_is_counted_is_bounded_whoever_calls_from_wherever() -> None:
    flood = Flood(refusals_per_second_max=1)
    for number in range(3 * ADDRESSES_MAX):
        flood.is_too_many(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "GET")
    counted = list(flood.turn())
    assert [(source.address, source.route) for source, _ in counted] == [("others", "GET")]


def test_a_network_of_ipv6_is_one_caller() -> None:
    flood = Flood(refusals_per_second_max=1)
    assert not flood.is_too_many("2001:db8:0:1::1", "GET")
    assert flood.is_too_many("2001:db8:0:1:ffff::2", "GET")
    assert not flood.is_too_many("2001:db8:0:2::1", "GET")
    assert [source.address for source, _ in flood.turn()] == ["2001:db8:0:1::/64"]


@pytest.mark.parametrize("id", ["a b", "x" * 65, "<script>", "a\tb", "\u00e9", "", "a%0d%0ab", "{}"])
async def test_a_request_id_that_is_no_plain_word_is_replaced(server: Server, id: str) -> None:
    async with server.as_() as client:
        answer = await client.get("/Patient/x", headers=[(b"X-Request-Id", id.encode("latin-1"))])
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_a_request_id_that_comes_again_is_a_request_of_its_own(server: Server) -> None:
    before = len(await server.records())
    async with server.as_() as client:
        for _ in range(3):
            answer = await client.get("/Patient/x", headers={"X-Request-Id": "again"})
            assert answer.headers["x-request-id"] == "again"
    # Refusals that were only counted before may be written down meanwhile.
    recorded = [record for record in (await server.records())[before:] if record.count == 1]
    assert [record.request_id for record in recorded] == ["again"] * 3
