"""
A real `fhir-server serve`, two workers of it, and clients that do not keep to HTTP.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from tests.server.running import a_patient
from tests.server.served import Served
from tests.server.served import served as serving

SECRET = "Xylophone-Quux"
LIMITS = {"BODY_BYTES_MAX": "200000", "REQUEST_SECONDS_MAX": "2", "REFUSALS_PER_SECOND_MAX": "1000"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests of this file, with one Patient."""
    async with serving(mongodb_url, tmp_path_factory.mktemp("data"), LIMITS) as running:
        async with running.client() as client:
            patient = a_patient(id="x", name=[{"family": SECRET}])
            assert (await client.put("/Patient/x", json=patient)).status_code == 201
        yield running


JSON = b"Content-Type: application/fhir+json\r\n"
SMUGGLED = b"0\r\n\r\nGET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n"
HEADS: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bare line feeds": b"GET /fhir/Patient/x HTTP/1.1\nX: y\n\n",
    "a folded header": b"GET /fhir/Patient/x HTTP/1.1\r\nX: y\r\n z\r\n\r\n",
    "a NUL in a header": b"GET /fhir/Patient/x HTTP/1.1\r\nX: y\0z\r\n\r\n",
    "a CR in a header": b"GET /fhir/Patient/x HTTP/1.1\r\nX-Request-Id: a\rb\r\n\r\n",
    "a space before the colon": b"GET /fhir/Patient/x HTTP/1.1\r\nAuthorization : x\r\n\r\n",
    "two lengths": b"POST /fhir/Patient HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
    "a negative length": b"POST /fhir/Patient HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length and chunks": (
        b"POST /fhir/Patient HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED
    ),
    "chunks and something else": (
        b"POST /fhir/Patient HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED
    ),
    "chunks in another word": b"POST /fhir/Patient HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n"
    + SMUGGLED,
    "a chunk that is none": b"POST /fhir/Patient HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
    "a method that is none": b"G\x00T /fhir/Patient/x HTTP/1.1\r\n\r\n",
    "an address without a slash": b"GET fhir/Patient/x HTTP/1.1\r\n\r\n",
    "a control character in it": b"GET /fhir/Patient/\x01 HTTP/1.1\r\n\r\n",
    "bytes beyond ASCII in it": b"GET /fhir/Patient/\xff HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
    "an address of 200 kB": b"GET /fhir/Patient?name=" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "a header of 200 kB": b"GET /fhir/Patient/x HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    "20,000 headers": b"GET /fhir/Patient/x HTTP/1.1\r\n" + b"X-Ray: y\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_what_is_no_request_gets_one_answer_and_the_connection_is_closed(
    served: Served, head: bytes
) -> None:
    """One: nothing behind it is taken for a request of somebody else's."""
    first, _, rest = head.partition(b"\r\n")
    # With a token, so that what was let through would be answered.
    answered = await served.says(first + b"\r\n" + served.authorization + rest if rest else head)
    assert answered.count(b"HTTP/1.1 ") == 1, answered[:500]
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answered


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET http://evil.example/fhir/Patient/none HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"TRACE /fhir/Patient/x HTTP/1.1", 405),
        (b"GET //fhir/Patient/x HTTP/1.1", 404),
        (b"GET /fhir//Patient/x HTTP/1.1", 404),
        (b"GET /fhir/../fhir/Patient/x HTTP/1.1", 404),
        (b"GET /fhir/%2e%2e/metrics HTTP/1.1", 404),
        (b"GET /fhir/Patient%2fx HTTP/1.1", 404),
        (b"GET /%66hir/Patient/x HTTP/1.1", 200),
        (b"GET /fhir/Patient/%zz HTTP/1.1", 404),
    ],
)
async def test_an_odd_address_names_what_it_says(served: Served, request_line: bytes, status: int) -> None:
    head = request_line + b"\r\nHost: evil.example\r\n" + served.authorization
    answered = await served.says(head + b"Connection: close\r\n\r\n")
    assert answered.startswith(f"HTTP/1.1 {status} ".encode()), answered[:300]
    assert b"evil" not in answered


async def test_requests_in_a_row_are_answered_in_a_row(served: Served) -> None:
    each = b"GET /fhir/Patient/x HTTP/1.1\r\nHost: x\r\n" + served.authorization
    answered = await served.says(b"".join(each + b"X-Request-Id: row-%d\r\n\r\n" % n for n in range(5)))
    told = [line for line in answered.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert told == [b"x-request-id: row-%d" % n for n in range(5)]


def a_create(request_id: str, length: int) -> bytes:
    return (
        b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\n"
        b"Content-Length: %d\r\nX-Request-Id: %b\r\n" % (length, request_id.encode())
    )


async def test_who_hangs_up_in_the_middle_of_a_body_leaves_a_record(served: Served) -> None:
    await served.says(a_create("hang-up-1", 1_000) + served.authorization + b"\r\n{", hang_up=True)
    (event,) = await served.recorded("hang-up-1")
    assert event["outcome"] == "4"


async def test_who_hangs_up_before_the_answer_leaves_the_record_of_what_was_done(served: Served) -> None:
    body = b'{"resourceType":"Patient","identifier":[{"value":"hung-up"}]}'
    create = a_create("hang-up-2", len(body)) + served.authorization + b"\r\n" + body
    search = (
        b"GET /fhir/Patient?_id=x HTTP/1.1\r\nHost: x\r\nX-Request-Id: hang-up-3\r\n" + served.authorization
    )
    await served.says(create, hang_up=True)
    await served.says(search + b"\r\n", hang_up=True)
    for request_id in ("hang-up-2", "hang-up-3"):
        (event,) = await served.recorded(request_id)
        assert event["outcome"] == "0"
    async with served.client() as client:
        found = (await client.get("/Patient?identifier=hung-up&_total=accurate")).json()
    assert found["total"] == 1


async def test_a_forwarded_address_is_believed_of_no_one(served: Served) -> None:
    """Unless --behind-proxy names who may say so."""
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Request-Id": "forwarded"}
    async with served.client() as client:
        await client.get("/Patient/x", headers=forwarded)
    (event,) = await served.recorded("forwarded")
    assert "203.0.113.9" not in json.dumps(event)
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"


async def test_a_body_that_does_not_come_is_not_waited_for(served: Served) -> None:
    head = a_create("slow", 1_000) + served.authorization + b"\r\n"
    answered = await served.says(head, *([b" "] * 12), pause_seconds=0.2)
    assert answered.startswith(b"HTTP/1.1 408 ")
    (event,) = await served.recorded("slow")
    assert event["outcomeDesc"].startswith("HTTP 408")


async def test_chunks_are_counted(served: Served) -> None:
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\n" + JSON + b"Transfer-Encoding: chunked\r\n"
    chunk = b"%x\r\n%b\r\n" % (60_000, b" " * 60_000)
    answered = await served.says(head + served.authorization + b"\r\n", *([chunk] * 6))
    assert answered.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("begin", [b"GET /fhir/", b"GET /fhir/Patient/x HTTP/1.1\r\nX: "])
async def test_a_head_without_an_end_is_cut_off(served: Served, begin: bytes) -> None:
    """Without a token, nobody may fill the memory."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(begin)
    sent = 0
    with suppress(ConnectionError):
        while sent < 20_000_000:
            writer.write(b"x" * 60_000)
            await writer.drain()
            sent += 60_000
    assert sent < 10_000_000
    with suppress(ConnectionError):
        assert (await reader.read(100)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


FAULTY: Sequence[tuple[str, str, Any]] = [
    ("POST", "Patient", {"resourceType": "Patient", "name": [{"family": SECRET, "use": SECRET}]}),
    ("POST", "Patient", {"resourceType": "Patient", "birthDate": SECRET, "gender": SECRET}),
    ("POST", "Patient", {"resourceType": "Patient", "name": SECRET, "text": {"status": "x", "div": SECRET}}),
    ("PUT", "Patient/x", {"resourceType": "Patient", "id": "x", "name": [{"family": SECRET, "given": 1}]}),
    ("PUT", "Patient/x", {"resourceType": "Patient", "id": "y", "name": [{"family": SECRET}]}),
    ("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"name": SECRET}}]}),
    ("POST", "Observation", {"resourceType": "Observation", "valueString": SECRET, "status": SECRET}),
    ("GET", f"Patient?birthdate={SECRET}", None),
    ("GET", f"Patient?family={SECRET}&_sort=name", None),
    ("GET", f"Patient?_id={SECRET}{SECRET}", None),
    ("GET", "Patient/x", None),
]


async def test_no_name_and_no_token_is_ever_in_the_log(served: Served) -> None:
    async with served.client() as client:
        for method, path, body in FAULTY:
            answer = await client.request(method, f"/{path}", json=body)
            assert answer.status_code < 500
            if answer.status_code >= 400:
                assert SECRET not in answer.text, path
        await client.post(
            "/Patient", content=f'{{"name":"{SECRET}'.encode(), headers={"Content-Type": "application/json"}
        )
        await client.get(f"/Patient?access_token={served.token}")
    lines = served.log.read_bytes()
    assert b"interaction" in lines
    for kept in (
        SECRET.encode(),
        served.token.encode(),
        served.token[-40:].encode(),
        b"Traceback",
        b"family",
    ):
        assert kept not in lines
    events = [json.loads(line) for line in lines.splitlines()]
    assert not [event for event in events if event.get("level") in ("error", "critical")]
