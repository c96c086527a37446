"""
Whatever is sent: a 4xx that says why in an OperationOutcome, never a failure of ours, and nothing
of what was sent beyond a short name.

https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.pipeline.links import Cursors
from fhir_server.store.positions import Position
from tests.databases import a_database
from tests.server.running import Server, a_patient, issues_of, serving
from tests.server.test_search import ids_of

JSON = {"Content-Type": "application/fhir+json"}
DIAGNOSTICS_CHARACTERS_MAX = 300
SECRET = "Xylophone-Quux"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file, with one Patient."""
    limits: dict[str, Any] = {"body_bytes_max": 200_000, "request_seconds_max": 2.0, "bundle_entries_max": 20}
    folder = tmp_path_factory.mktemp("data")
    async with a_database(mongodb_url) as name, serving(mongodb_url, name, folder, **limits) as running:
        async with running.as_() as client:
            await client.put("/Patient/x", json=a_patient(id="x", name=[{"family": SECRET}]))
        yield running


def require_refused(answer: httpx.Response, *statuses: int) -> None:
    """A refusal as it must be."""
    told = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in (statuses or range(400, 500)), told
    assert SECRET not in answer.text, told
    for issue in issues_of(answer):
        assert len(issue["diagnostics"]) <= DIAGNOSTICS_CHARACTERS_MAX, told


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "an array": b"[]",
    "a string": b'"x"',
    "half an object": b'{"resourceType":"Patient"',
    "something behind it": b'{"resourceType":"Patient"} x',
    "two objects": b'{"resourceType":"Patient"}{}',
    "a key twice": b'{"resourceType":"Patient","active":true,"active":false}',
    "half a character as a key, twice": b'{"\\ud800":1,"\\ud800":2}',
    "a NUL": b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
    "half a character": b'{"resourceType":"Patient","name":[{"family":"\\ud83d"}]}',
    "half a character as a key": b'{"resourceType":"Patient","\\ud800":1}',
    "a raw control character": b'{"resourceType":"Patient","name":[{"family":"a\x01b"}]}',
    "100,000 levels": b'{"a":' * 30_000,
    "5,000 levels, closed": b'{"resourceType":"Patient","a":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a huge exponent": b'{"resourceType":"Observation","valueQuantity":{"value":1e99999999999}}',
    "a long number": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 100_000 + b"}",
    "NaN": b'{"resourceType":"Patient","multipleBirthInteger":NaN}',
    "a byte order mark": b'\xef\xbb\xbf{"resourceType":"Patient"}',
    "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "Latin-1": b'{"resourceType":"Patient","name":[{"family":"\xe9"}]}',
    "no type": b"{}",
    "a number for a type": b'{"resourceType":5}',
    "a type that R4 has not": b'{"resourceType":"SubscriptionTopic"}',
    "an operator of MongoDB": b'{"resourceType":"Patient","$where":"1"}',
    "a dotted name": b'{"resourceType":"Patient","a.b":{"$gt":1}}',
    "a long name": b'{"resourceType":"Patient","' + b"k" * 100_000 + b'":1}',
    "an id that is none": b'{"resourceType":"Patient","id":{"$gt":""}}',
    "meta that is none": b'{"resourceType":"Patient","meta":[1]}',
    "entries that are none": b'{"resourceType":"Bundle","type":"transaction","entry":[1,null]}',
    "an entry without a resource": (
        b'{"resourceType":"Bundle","type":"transaction","entry":'
        b'[{"request":{"method":"POST","url":"Patient"}}]}'
    ),
    "a leap second": (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/x",'
        b'"ifModifiedSince":"2016-12-31T23:59:60Z"}}]}'
    ),
    "another server's address": (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET",'
        b'"url":"http://evil.example/fhir/Patient/x"}}]}'
    ),
    "too many entries": json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 21}).encode(),
    "too many bytes": b" " * 200_001,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_no_resource_is_refused(server: Server, body: bytes) -> None:
    async with server.as_() as client:
        for method, path in (("POST", "Patient"), ("PUT", "Patient/x"), ("POST", "Provenance"), ("POST", "")):
            require_refused(await client.request(method, f"/{path}", content=body, headers=JSON))


PATHS = [
    "Patient/%00",
    "Patient/%252e",
    "Patient/%2e%2e%2f",
    "Patient%2Fx",
    "%50atient%2Fx",
    "Patient/%ff%fe",
    "%ff",
    "Patient//x",
    "Patient/a%0d%0ab",
    "Patient/" + "x" * 65,
    "Patient/" + "x" * 10_000,
    "x" * 20_000,
    "x/" * 5_000,
    "patient",
    "Patient/x/_history/99999999999999",
    "Patient/x/_history/-1",
    "Patient/x/_history/%D9%A3",
    "Patient/x/$everything",
    "$export",
    "Patient/_search",
    "_search",
    "metadata/x",
    "Patient/x/y/z/w",
    ".well-known/jwks.json",
    "Patient/.well-known/smart-configuration",
    "Patient/$where",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30])
async def test_an_address_that_is_none_is_refused(server: Server, path: str) -> None:
    async with server.as_() as client:
        require_refused(await client.get(f"/{path}"), 404, 405)


QUERIES = [
    "_count=1e9",
    "_count=-1",
    "_count=",
    "_count=%D9%A3",
    "_sort=",
    "_sort=-",
    "_sort=$where",
    "_sort=a.b",
    "_sort=name,name,name,name,name",
    "$where=1",
    "name[$ne]=x",
    "code[$ne]=",
    "__proto__=1",
    "name=%ff",
    "=x",
    "name=%ed%a0%80",
    "name=a%5c",
    "birthdate=0000",
    "birthdate=2020-02-30",
    "_lastUpdated=0000",
    "birthdate=$gt",
    "_id=" + ",".join(map(str, range(1001))),
    "name=" + ",".join(["x"] * 5_000),
    "_id=%2F",
    "_id=",
    "_id=$ne",
    "_include=:::",
    "_include=Patient:name",
    "_include=Patient:" + "x" * 5_000,
    "_total=x",
    "identifier=|",
    "identifier=a|b|c",
    "name:exact=",
    "name:foo=x",
    "name:=x",
    "name:" + "x" * 5_000 + "=x",
    "x" * 10_000 + "=1",
    "&".join(f"name=a{number}" for number in range(150)),
    "&".join(f"name=a{number}" for number in range(250)),
    "name=" + "x" * 3_000,
    "name=" + "x" * 17_000,
    "_cursor=x",
    "_cursor=",
    "_cursor=" + "A" * 1_000,
    "_cursor=" + "A" * 1_001,
    "_cursor=WzEsIngiLDFd",
    "_sort=name&_cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIngiLC05MjIzMzcyMDM2ODU0Nzc1ODA4XQ",
    "_format=turtle",
    "_format=application/fhir%2Bturtle",
    "_format=json&_format=xml",
    "_format=$json",
    "access_token=secret",
    "_sort=_id&_sort=name",
    "_type=Patient",
    "name:missing=maybe",
    "gender:not=",
    "deceased=maybe",
    "general-practitioner=Patient/../x",
    "_count=1&_count=2",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
async def test_a_query_that_is_none_is_refused(server: Server, query: str) -> None:
    async with server.as_() as client:
        require_refused(await client.get(f"/Patient?{query}"))
        by_post = {"Content-Type": "application/x-www-form-urlencoded"}
        require_refused(await client.post("/Patient/_search", content=query, headers=by_post))


UNSUPPORTED = """
    _content=x _query=x
    _score=1 _contained=true&_sort=name
""".split()


@pytest.mark.parametrize("query", UNSUPPORTED)
async def test_what_r4_has_and_this_server_has_not_is_named(server: Server, query: str) -> None:
    async with server.as_() as client:
        require_refused(await client.get(f"/Patient?{query}"), 501)


async def test_a_long_chain_is_not_repeated(server: Server) -> None:
    async with server.as_() as client:
        require_refused(await client.get("/Patient?organization." + "x" * 10_000 + "=1"), 413)


ODD_BUT_RIGHT = [
    ("_count=0", False),
    ("_count=99999999999999999999999", True),
    ("name=$ne", False),
    ("name=x.*", True),
    ("name=y.*", False),
    ("name=%00", False),
    ("name={$gt:1}", False),
    ("&&&", True),
    ("birthdate=gt9999", False),
    ("birthdate=9999-12-31", False),
    ("_lastUpdated=gt9999-12-31T23:59:59.999Z", False),
    ("name:missing=true", False),
    ("name:missing=false", True),
    ("birthdate=lt0001-01-01T00:00:00%2B14:00", False),
    ("birthdate=2016-12-31T23:59:60Z", False),
    ("_total=estimate", True),
]
"""And whether the Patient is found by it."""


@pytest.mark.parametrize(("query", "found"), ODD_BUT_RIGHT, ids=lambda value: str(value)[:30])
async def test_an_odd_value_is_a_value(server: Server, query: str, *, found: bool) -> None:
    async with server.as_() as client:
        answer = await client.get(f"/Patient?{query}&_id=x")
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "searchset"
    assert ids_of(answer) == (["x"] if found else [])


async def test_a_cursor_of_extremes_has_everything_behind_it_or_nothing(server: Server) -> None:
    """Sealed as the server would: what was sealed is judged all the same."""
    caller = server.services.tokens.verify(server.token(), now=int(server.services.clock().timestamp()))
    async with server.as_() as client:
        for path, used in (
            ("AuditEvent", ()),
            ("_history", ()),
            ("AuditEvent/_history", ()),
            ("Observation", (("_sort", "date"),)),
            ("Observation", (("_sort", "status"),)),
        ):
            cursors = Cursors(server.services.seals, caller, path, used)
            for value, as_of, back in product((-(2**63), 2**63 - 1), (-5, None, 9, 2**63 - 1), (False, True)):
                parameters = [*used, ("_cursor", cursors.of(Position(value, "x", as_of, back)) or "")]
                answer = await client.get(f"/{path}", params=parameters)
                assert answer.status_code == 200, answer.text
                # The newest come first, so all of them come after the latest moment, and before the earliest.
                expected = path != "Observation" and (value > 0) != back
                assert bool(answer.json().get("entry")) == expected


async def test_a_lenient_search_says_what_it_ignored(server: Server) -> None:
    async with server.as_() as client:
        lenient = {"Prefer": "handling=lenient"}
        answer = await client.get(
            "/Patient?$where=1&name[$ne]=x&_id=x&organization.nothing=y", headers=lenient
        )
    body = answer.json()
    (self_link,) = [link["url"] for link in body["link"] if link["relation"] == "self"]
    assert self_link.endswith("/Patient?_id=x")
    *found, outcome = body["entry"]
    assert [entry["resource"]["id"] for entry in found] == ["x"]
    assert outcome["search"]["mode"] == "outcome"
    told = outcome["resource"]["issue"][0]["diagnostics"]
    assert all(f"`{name}`" in told for name in ("$where", "name[$ne]", "organization.nothing"))


async def test_a_search_by_post_adds_its_form_to_the_query(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with server.as_() as client:
        both = await client.post("/Patient/_search?_id=x", content=f"family={SECRET}", headers=form)
        neither = await client.post("/Patient/_search?_id=x", content="family=other", headers=form)
        require_refused(await client.post("/Patient/_search?_count=1", content="_count=2", headers=form), 400)
        require_refused(await client.post("/Patient/_search", content="_format=ttl", headers=form), 406)
        require_refused(await client.post("/Patient/_search", content="{}", headers=JSON), 415)
    assert len(both.json()["entry"]) == 1
    assert "entry" not in neither.json()


HEADERS: list[tuple[str, str, list[tuple[str, str]], tuple[int, ...]]] = [
    ("GET", "Patient/x", [("If-None-Match", "x")], (400,)),
    ("GET", "Patient/x", [("If-None-Match", 'W/"' + "1" * 100 + '"')], (400,)),
    ("GET", "Patient/x", [("If-Modified-Since", "yesterday")], (400,)),
    ("GET", "Patient/x", [("If-Modified-Since", "Mon, 99 Xxx 99999 99:99:99 GMT")], (400,)),
    ("GET", "Patient/x", [("If-Modified-Since", "Mon, 01 Jan 2020 00:00:00 +9999999999")], (400,)),
    ("GET", "Patient/x", [("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 -2359")], (304,)),
    ("GET", "Patient/x", [("If-Modified-Since", "Mon, 01 Jan 0001 00:00:00 +2359")], (200,)),
    ("GET", "Patient/x", [("Accept", "application/fhir+turtle")], (406,)),
    ("GET", "Patient/x", [("Accept", "application/fhir+json;fhirVersion=3.0")], (406,)),
    ("GET", "Patient/x", [("Accept", ";;;,,,")], (406,)),
    ("GET", "Patient/x", [("Accept", "application/fhir+xml"), ("Accept", "application/json")], (200,)),
    ("GET", "Patient/x", [("Prefer", "x=y;;,=,return"), ("Prefer", "handling=foo")], (200,)),
    ("PUT", "Patient/x", [("If-Match", "1")], (400,)),
    ("PUT", "Patient/x", [("If-Match", 'W/"1"'), ("If-Match", 'W/"2"')], (400,)),
    ("PUT", "Patient/x", [("If-Match", 'W/"1", W/"2"')], (400,)),
    ("PUT", "Patient/x", [("If-Match", 'W/"99999999999999999999"')], (412,)),
    ("PUT", "Patient/x", [("If-None-Match", "*")], (412,)),
    ("POST", "Patient", [("If-None-Exist", "identifier=1")], (201,)),
    ("POST", "Patient", [("Content-Encoding", "gzip")], (400,)),
    ("POST", "Patient", [("Content-Encoding", "br")], (415,)),
    ("POST", "Patient", [("Content-Type", "application/fhir+json; charset=utf-16")], (415,)),
    ("POST", "Patient", [("Content-Type", "application/fhir+xml")], (400,)),
    ("POST", "Patient", [("Content-Type", "")], (415,)),
    ("POST", "Patient", [("Content-Type", "text/xml"), ("Content-Type", "text/json")], (400,)),
    ("POST", "Patient", [("Content-Length", "99999999999999999999")], (413,)),
    ("GET", "Patient/x", [("X-HTTP-Method-Override", "DELETE")], (200,)),
    ("GET", "Patient/x", [("Authorization", "Bearer other")], (401,)),
]


@pytest.mark.parametrize(("method", "path", "headers", "statuses"), HEADERS)
async def test_a_header_means_what_it_says_or_is_refused(
    server: Server, method: str, path: str, headers: list[tuple[str, str]], statuses: tuple[int, ...]
) -> None:
    body = None if method == "GET" else b'{"resourceType":"Patient","id":"x"}'
    given = headers if body is None or "Content-Type" in dict(headers) else [*JSON.items(), *headers]
    token = ("Authorization", f"Bearer {server.token()}")
    async with server.bearing(None) as client:
        answer = await client.request(method, f"/{path}", content=body, headers=[token, *given])
    if answer.status_code >= 400:
        require_refused(answer, *statuses)
    assert answer.status_code in statuses


METHODS = "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE CONNECT PROPFIND FOO".split()
ADDRESSES = """
    _search _history Patient Patient/_search Patient/_history Patient/x Patient/x/_history
    Patient/x/_history/1 metadata .well-known/smart-configuration
""".split()


async def test_a_method_that_an_address_has_not_is_refused_with_those_that_it_has(server: Server) -> None:
    refused = 0
    async with server.as_("system/Basic.cruds") as client:
        for address in ("", *ADDRESSES):
            for method in METHODS:
                answer = await client.request(method, f"/{address}", content=b"")
                assert answer.status_code < 500, f"{method} {address}"
                if answer.status_code == 405:
                    refused += 1
                    assert method not in answer.headers["allow"].split(", ")
                    if method != "HEAD":
                        assert issues_of(answer)
    assert refused > len(ADDRESSES) * 5


async def test_head_is_get_without_the_body(server: Server) -> None:
    async with server.as_() as client:
        for path in ("Patient/x", "Patient?_id=x", "Patient/none", "metadata", "Patient?_count=x"):
            head, get = await client.head(f"/{path}"), await client.get(f"/{path}")
            assert head.status_code == get.status_code
            assert head.content == b""
            if "content-encoding" in get.headers:
                # How long the packed body would be is not found out.
                assert head.headers.keys() == get.headers.keys() - {"content-length"}
            else:
                assert head.headers.keys() == get.headers.keys()
                assert head.headers["content-length"] == str(len(get.content))


async def test_a_body_of_unknown_length_is_cut_at_the_limit(server: Server) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b" " * 10_000

    async with server.as_() as client:
        request = client.build_request("POST", "/Patient", content=endless(), headers=JSON)
        del request.headers["transfer-encoding"]
        require_refused(await client.send(request), 413)
    assert sent <= 250_000


async def test_what_is_refused_unread_is_recorded(server: Server) -> None:
    before = len(await server.records())
    async with server.as_() as client:
        await client.post("/Patient", content=b"{", headers=JSON)
        await client.get("/nowhere")
        await client.get("/Patient?access_token=abcdefgh")
        await client.request("FOO" * 10_000, "/Patient")
    records = (await server.records())[before:]
    assert [record.outcome for record in records] == ["refused"] * 4
    assert "abcdefgh" not in str(records)
    assert len(str(records)) < 4_000
