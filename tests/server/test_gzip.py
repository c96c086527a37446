"""
gzip over HTTP, both ways.

https://www.rfc-editor.org/rfc/rfc9110#name-content-codings, docs/decisions/0019
"""

from __future__ import annotations

import gzip
import json
import random
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.r4.xml import from_xml
from tests.server.running import Server, a_patient, issues_of, serving

SENT = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
LONG = "The quick brown fox jumps over the lazy dog. " * 60


def gzipped(content: bytes) -> bytes:
    """Without the time of packing: a test is called by what it sends, the same in each process."""
    return gzip.compress(content, mtime=0)


def a_long_patient(**stated: Any) -> dict[str, Any]:
    return a_patient(name=[{"text": LONG}], **stated)


async def raw(
    client: httpx.AsyncClient, method: str, path: str, **headers: str
) -> tuple[httpx.Response, bytes]:
    """The answer and its body as it came over the wire."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream(method, path, headers=named) as answer:
        return answer, b"".join([chunk async for chunk in answer.aiter_raw()])


async def test_a_packed_body_is_unpacked(server: Server) -> None:
    text = json.dumps(a_long_patient(id="p")).encode()
    xml = f'<Patient xmlns="http://hl7.org/fhir"><id value="x"/><name><text value="{LONG}"/></name></Patient>'
    async with server.as_() as client:
        members = gzipped(text[:700]) + gzipped(text[700:])
        for body in (gzipped(text), members):
            assert (await client.put("/Patient/p", content=body, headers=SENT)).is_success
        sent = SENT | {"Content-Type": "application/fhir+xml"}
        assert (await client.put("/Patient/x", content=gzipped(xml.encode()), headers=sent)).is_success
        found = [(await client.get(f"/Patient/{id}")).json()["name"][0]["text"] for id in ("p", "x")]
        form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "x-gzip"}
        search = await client.post("/Patient/_search", content=gzipped(b"_id=p"), headers=form)
    assert found == [LONG, LONG]
    assert len(search.json()["entry"]) == 1


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzipped(b'{"resourceType":"Patient"}')[:-4], 400),
        ("gzip", gzipped(b'{"resourceType":"Patient"}')[:12], 400),
        ("gzip", gzipped(b'{"resourceType":"Patient"}') + b"x", 400),
        ("gzip", b'{"resourceType":"Patient"}', 400),
        ("gzip", b"", 400),
        ("gzip", gzipped(b""), 400),
        ("gzip", gzipped(gzipped(b'{"resourceType":"Patient"}')), 400),
        ("gzip", zlib.compress(b'{"resourceType":"Patient"}'), 400),
        ("gzip, gzip", gzipped(gzipped(b'{"resourceType":"Patient"}')), 415),
        ("deflate", zlib.compress(b'{"resourceType":"Patient"}'), 415),
        ("br", b"x", 415),
        ("", b'{"resourceType":"Patient"}', 201),
        ("identity", b'{"resourceType":"Patient"}', 201),
        ("GZip", gzipped(b'{"resourceType":"Patient"}'), 201),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(
    server: Server, coding: str, body: bytes, status: int
) -> None:
    async with server.as_() as client:
        answer = await client.post("/Patient", content=body, headers=SENT | {"Content-Encoding": coding})
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert issues_of(answer)
    assert answer.headers.get("accept-encoding") == ("gzip" if status == 415 else None)


async def test_a_bomb_is_refused_before_it_goes_off(server: Server) -> None:
    """A gigabyte of zeros, sent in pieces; most of it is never read."""
    packing = zlib.compressobj(9, wbits=31)
    wire = b"".join(packing.compress(bytes(1 << 20)) for _ in range(1024)) + packing.flush()
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, len(wire), 16_384):
            sent += 1
            yield wire[start : start + 16_384]

    started = time.process_time()
    async with server.as_() as client:
        request = client.build_request("POST", "/Patient", content=pieces(), headers=SENT)
        answer = await client.send(request)
    assert answer.status_code == 413
    assert issues_of(answer)[0]["code"] == "too-long"
    assert sent <= 3
    assert time.process_time() - started < 1


async def test_the_limit_of_a_body_is_that_of_what_is_unpacked(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    filler = random.Random(5).randbytes(30_000).hex()
    body = {"resourceType": "Basic", "code": {"text": filler}}
    text = json.dumps(body).encode()
    assert len(gzipped(text)) < 50_000 < len(text)
    async with (
        serving(mongodb_url, database_name, tmp_path, body_bytes_max=50_000) as server,
        server.as_() as client,
    ):
        packed = await client.post("/Basic", content=gzipped(text), headers=SENT)
        assert packed.status_code == 413
        assert (await client.post("/Basic", json=body)).status_code == 413


async def test_a_large_answer_is_packed_for_whom_wants_it(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_long_patient(id="p"))
        await client.put("/Patient/short", json=a_patient(id="short"))
        plain, text = await raw(client, "GET", "/Patient/p", Accept_Encoding="identity")
        packed, wire = await raw(client, "GET", "/Patient/p", Accept_Encoding="gzip")
        short, _ = await raw(client, "GET", "/Patient/short", Accept_Encoding="gzip")
        refused, _ = await raw(client, "GET", "/Patient/p", Accept_Encoding="gzip;q=0, br")
        xml, packed_xml = await raw(client, "GET", "/Patient/p?_format=xml", Accept_Encoding="gzip")
        page, packed_page = await raw(client, "GET", "/Patient?_id=p", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(wire) == text
    assert packed.headers["content-length"] == str(len(wire))
    assert len(wire) < len(text) / 5
    assert packed.headers["etag"] == plain.headers["etag"] == 'W/"1"'
    for answer in (plain, short, refused):
        assert "content-encoding" not in answer.headers
    for answer in (plain, packed, short, refused, xml, page):
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert from_xml(gzip.decompress(packed_xml))["id"] == "p"
    assert json.loads(gzip.decompress(packed_page))["entry"][0]["resource"]["id"] == "p"
    assert xml.headers["content-type"] == "application/fhir+xml; charset=utf-8"


async def test_what_has_no_body_is_not_packed(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_long_patient(id="p"))
        head, body = await raw(client, "HEAD", "/Patient/p", Accept_Encoding="gzip")
        same, nothing = await raw(client, "GET", "/Patient/p", Accept_Encoding="gzip", If_None_Match='W/"1"')
    assert (head.status_code, body) == (200, b"")
    # As GET would say, but for a length that only packing would tell.
    assert head.headers["content-encoding"] == "gzip"
    assert "content-length" not in head.headers
    assert (same.status_code, nothing) == (304, b"")
    assert "content-encoding" not in same.headers


async def test_a_very_large_answer_is_packed_aside(server: Server) -> None:
    data = "QUJD" * 100_000
    async with server.as_() as client:
        await client.put(
            "/DocumentReference/d",
            json={
                "resourceType": "DocumentReference",
                "id": "d",
                "status": "current",
                "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
            },
        )
        answer, wire = await raw(client, "GET", "/DocumentReference/d", Accept_Encoding="gzip")
    assert len(wire) < 50_000
    assert json.loads(gzip.decompress(wire))["content"][0]["attachment"]["data"] == data
    assert answer.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("header", ["gzip," * 50_000, "x" * 100_000, "gzip;q=" + "0" * 100_000])
async def test_a_wish_that_is_too_long_is_not_read(server: Server, header: str) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_long_patient(id="p"))
        answer, _ = await raw(client, "GET", "/Patient/p", Accept_Encoding=header)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
