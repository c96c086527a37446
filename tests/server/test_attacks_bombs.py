"""
What is small when it is sent and large when it is read: each is refused, at once and in little memory.

A server in processes of its own; after each test its processes are the same as before, and none
ever had more memory than it may.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.server.running import a_patient, an_observation, issues_of
from tests.server.served import Served, served

RESIDENT_BYTES_MAX = 500_000_000
ANSWER_SECONDS_MAX = 20.0
"""On a busy machine; each takes milliseconds."""

JSON = "application/fhir+json"
XML = "application/fhir+xml"
LEVELS = 100_000
HUGE = "1e2000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests of this file, with its usual limits and one Patient."""
    async with served(mongodb_url, tmp_path_factory.mktemp("data"), {}) as running:
        async with running.client() as client:
            assert (await client.put("/Patient/x", json=a_patient(id="x"))).status_code == 201
            observation = an_observation("x", id="o", valueQuantity={"value": 1})
            assert (await client.put("/Observation/o", json=observation)).status_code == 201
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def unhurt(server: Served) -> Iterator[None]:
    """After each test: the same processes, none of which ever grew too large, and no error in the log."""
    before, told, began = server.peaks().keys(), len(list(server.logged())), time.monotonic()
    yield
    assert time.monotonic() - began < ANSWER_SECONDS_MAX
    peaks = server.peaks()
    assert before <= peaks.keys()
    assert {name: peak for name, peak in peaks.items() if peak > RESIDENT_BYTES_MAX} == {}
    errors = [line for line in list(server.logged())[told:] if line.get("level") in ("error", "critical")]
    assert errors == []


async def require_refused_everywhere(client: httpx.AsyncClient, body: bytes, media: str) -> None:
    """Whatever takes such a body says no to this one."""
    headers = {"Content-Type": media}
    for method, address in (
        ("POST", "/Observation"),
        ("PUT", "/Observation/o"),
        ("PUT", "/Observation?identifier=x"),
        ("PATCH", "/Observation/o"),
        ("POST", "/"),
        ("POST", "/Observation/$validate"),
        ("POST", "/Observation/o/$meta-add"),
    ):
        answer = await client.request(method, address, content=body, headers=headers)
        told = f"{method} {address}: {answer.status_code} {answer.text[:300]}"
        if address.endswith("$validate") and answer.status_code == 200:
            # It could be read, and $validate tells what is wrong with it.
            assert any(issue["severity"] == "error" for issue in issues_of(answer)), told
        else:
            assert 400 <= answer.status_code < 500, told
        assert all(len(issue["diagnostics"]) < 500 for issue in issues_of(answer)), told


QUANTITY = (
    '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
    '"valueQuantity":{"value":%s}}'
)
HUGE_NUMBERS = {
    "a huge exponent": HUGE,
    "a huge negative exponent": "1e-2000000000",
    "a million digits": "9" * 1_000_000,
    "a million places": "0." + "0" * 1_000_000 + "1",
}


@pytest.mark.parametrize("number", HUGE_NUMBERS.values(), ids=HUGE_NUMBERS)
async def test_a_number_that_no_machine_holds_is_refused(client: httpx.AsyncClient, number: str) -> None:
    await require_refused_everywhere(client, (QUANTITY % number).encode(), JSON)
    entry = '{"resource":%s,"request":{"method":"POST","url":"Observation"}}' % (QUANTITY % number)
    for kind in ("batch", "transaction"):
        bundle = f'{{"resourceType":"Bundle","type":"{kind}","entry":[{entry}]}}'
        answer = await client.post("/", content=bundle, headers={"Content-Type": JSON})
        assert 400 <= answer.status_code < 500, answer.text[:300]
    text = (
        '<Observation xmlns="http://hl7.org/fhir"><id value="o"/><status value="final"/><code>'
        f'<text value="x"/></code><valueQuantity><value value="{number}"/></valueQuantity></Observation>'
    )
    await require_refused_everywhere(client, text.encode(), XML)


async def test_a_number_that_no_machine_holds_comes_by_no_patch_and_no_search(
    client: httpx.AsyncClient,
) -> None:
    operation = f'{{"op":"replace","path":"/valueQuantity/value","value":{HUGE}}}'
    parts = (
        '{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.value.value"},'
        f'{{"name":"value","valueDecimal":{HUGE}}}'
    )
    fhirpath = f'{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{parts}]}}]}}'
    diff = (
        '<diff xmlns:f="http://hl7.org/fhir">'
        f'<replace sel="f:Observation/f:valueQuantity/f:value/@value">{HUGE}</replace></diff>'
    )
    for media, body in (
        ("application/json-patch+json", f"[{operation}]"),
        (JSON, fhirpath),
        ("application/xml-patch+xml", diff),
    ):
        answer = await client.patch("/Observation/o", content=body, headers={"Content-Type": media})
        assert 400 <= answer.status_code < 500, (media, answer.text[:300])
        assert issues_of(answer)
    for query in (
        f"value-quantity={HUGE}",
        f"value-quantity=ap{HUGE}",
        f"value-quantity=ge{HUGE}|http://x|y",
    ):
        answer = await client.get(f"/Observation?{query}")
        assert 400 <= answer.status_code < 500, (query, answer.text[:300])
        assert issues_of(answer)
    assert (await client.get("/Observation/o")).json()["valueQuantity"]["value"] == 1


NESTED_JSON = {
    "brackets": b"[" * LEVELS + b"]" * LEVELS,
    "brackets that are never closed": b"[" * LEVELS,
    "objects": b'{"a":' * LEVELS + b"1" + b"}" * LEVELS,
    "in a resource": b'{"resourceType":"Observation","a":' + b"[" * LEVELS + b"]" * LEVELS + b"}",
    "extensions": (
        b'{"resourceType":"Observation",'
        + b'"extension":[{"url":"x",' * LEVELS
        + b'"id":"x"'
        + b"}]" * LEVELS
        + b"}"
    ),
    "in an entry": (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":'
        + b'{"a":[' * LEVELS
        + b"]}" * LEVELS
        + b',"request":{"method":"POST","url":"Patient"}}]}'
    ),
}


@pytest.mark.parametrize("body", NESTED_JSON.values(), ids=NESTED_JSON)
async def test_a_hundred_thousand_brackets_are_refused(client: httpx.AsyncClient, body: bytes) -> None:
    await require_refused_everywhere(client, body, JSON)
    patch = {"Content-Type": "application/json-patch+json"}
    operation = b'[{"op":"add","path":"/note","value":' + body + b"}]"
    assert (await client.patch("/Observation/o", content=operation, headers=patch)).status_code in (400, 422)


XHTML = b'<div xmlns="http://www.w3.org/1999/xhtml">'
NESTED_XML = {
    "elements": b"<a>" * LEVELS + b"</a>" * LEVELS,
    "elements that are never closed": b"<a>" * LEVELS,
    "in a resource": (
        b'<Observation xmlns="http://hl7.org/fhir">'
        + b'<extension url="x">' * LEVELS
        + b"</extension>" * LEVELS
        + b"</Observation>"
    ),
    "in the narrative": (
        b'<Observation xmlns="http://hl7.org/fhir"><text><status value="generated"/>'
        + XHTML
        + b"<p>" * LEVELS
        + b"x"
        + b"</p>" * LEVELS
        + b'</div></text><status value="final"/><code><text value="x"/></code></Observation>'
    ),
    "attributes": b'<Observation xmlns="http://hl7.org/fhir"'
    + b"".join(b' a%d=""' % n for n in range(LEVELS))
    + b"/>",
    "namespaces": b"<a" + b"".join(b' xmlns:n%d="x"' % n for n in range(LEVELS)) + b"/>",
}


@pytest.mark.parametrize("body", NESTED_XML.values(), ids=NESTED_XML)
async def test_a_hundred_thousand_elements_in_each_other_are_refused(
    client: httpx.AsyncClient, body: bytes
) -> None:
    await require_refused_everywhere(client, body, XML)
    patch = {"Content-Type": "application/xml-patch+xml"}
    diff = b'<diff xmlns:f="http://hl7.org/fhir"><add sel="f:Observation">' + body + b"</add></diff>"
    for content in (body, diff):
        answer = await client.patch("/Observation/o", content=content, headers=patch)
        assert answer.status_code in (400, 413, 422), answer.text[:300]


async def test_a_narrative_of_a_hundred_thousand_levels_is_refused_in_json_too(
    client: httpx.AsyncClient,
) -> None:
    div = XHTML.decode() + "<p>" * LEVELS + "x" + "</p>" * LEVELS + "</div>"
    body = an_observation("x", id="o", text={"status": "generated", "div": div})
    await require_refused_everywhere(client, json.dumps(body).encode(), JSON)


def _entities(count: int) -> bytes:
    """Each entity is the one before, ten times; the last would be ten to the power of `count`."""
    declared = b"".join(
        b'<!ENTITY e%d "%s">' % (number, b"&e%d;" % (number - 1) * 10) for number in range(1, count)
    )
    return b'<!ENTITY e0 "lol">' + declared


OBSERVATION = b'<Observation xmlns="http://hl7.org/fhir"><id value="o"/><comment value="%s"/></Observation>'
ENTITIES = {
    "a billion laughs": b"<!DOCTYPE x [" + _entities(10) + b"]>" + OBSERVATION % b"&e9;",
    "one entity, often": b'<!DOCTYPE x [<!ENTITY e "%s">]>' % (b"x" * 100_000)
    + OBSERVATION % (b"&e;" * 10_000),
    "a parameter entity": b'<!DOCTYPE x [<!ENTITY % a "b">%a;]>' + OBSERVATION % b"",
    "a file": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + OBSERVATION % b"&e;",
    "an address": b'<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:1/x">]>' + OBSERVATION % b"&e;",
    "a document type elsewhere": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + OBSERVATION % b"",
    "an unknown entity": OBSERVATION % b"&nbsp;",
    "an entity in a narrative": (
        b'<!DOCTYPE x [<!ENTITY e "y">]><Observation xmlns="http://hl7.org/fhir">'
        b'<text><status value="generated"/>' + XHTML + b"&e;</div></text></Observation>"
    ),
}


@pytest.mark.parametrize("body", ENTITIES.values(), ids=ENTITIES)
async def test_entities_and_document_types_are_refused_unread(client: httpx.AsyncClient, body: bytes) -> None:
    await require_refused_everywhere(client, body, XML)
    answer = await client.patch(
        "/Observation/o", content=body, headers={"Content-Type": "application/xml-patch+xml"}
    )
    assert answer.status_code == 400
    assert "root:" not in answer.text


async def test_entities_in_a_narrative_of_json_are_refused_unread(client: httpx.AsyncClient) -> None:
    for div in (
        "<!DOCTYPE div [" + _entities(10).decode() + "]>" + XHTML.decode() + "&e9;</div>",
        XHTML.decode() + "&e9;</div>",
    ):
        body = an_observation("x", id="o", text={"status": "generated", "div": div})
        await require_refused_everywhere(client, json.dumps(body).encode(), JSON)


GIGABYTE = 1 << 30
BLOCK = 1 << 20


async def _zeros() -> AsyncIterator[bytes]:
    """A gigabyte of zeros as one gzip member; a megabyte on the wire, made as it is sent."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield head
    # After a full flush, each block is packed alike.
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(GIGABYTE // BLOCK - 1):
        yield block


async def _members() -> AsyncIterator[bytes]:
    """A gigabyte of zeros as a thousand gzip members."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = packer.compress(bytes(BLOCK)) + packer.flush()
    for _ in range(GIGABYTE // BLOCK):
        yield member


async def _spaces() -> AsyncIterator[bytes]:
    """Spaces around a resource are JSON, and a gigabyte of them is too much, too."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(GIGABYTE // BLOCK):
        yield packer.compress(b" " * BLOCK) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("media", [JSON, XML, "application/json-patch+json", "application/octet-stream"])
@pytest.mark.parametrize("bomb", [_zeros, _members, _spaces])
async def test_a_gigabyte_in_a_megabyte_is_refused_as_it_comes(
    server: Served, bomb: Callable[[], AsyncIterator[bytes]], media: str
) -> None:
    method, address = (
        ("POST", "Binary") if media == "application/octet-stream" else ("PATCH", "Observation/o")
    )
    head = (
        f"{method} /fhir/{address} HTTP/1.1\r\nHost: x\r\nContent-Type: {media}\r\n"
        "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
    ).encode()
    answered, sent = await _answer_to(server, head + server.authorization + b"\r\n", bomb())
    assert answered.startswith(b"HTTP/1.1 413 "), answered[:300]
    assert b'"OperationOutcome"' in answered
    # What comes after the refusal is not waited for.
    assert sent < GIGABYTE // 500


async def _answer_to(server: Served, head: bytes, body: AsyncIterator[bytes]) -> tuple[bytes, int]:
    """What is answered while a body in chunks is on its way, and how much of it was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answering = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    sent = 0
    writer.write(head)
    async for part in body:
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
        sent += len(part)
        await asyncio.sleep(0)
        if answering.done():
            break
    answered = await asyncio.wait_for(answering, ANSWER_SECONDS_MAX)
    [length] = re.findall(rb"content-length: (\d+)", answered)
    answered += await asyncio.wait_for(reader.readexactly(int(length)), ANSWER_SECONDS_MAX)
    writer.close()
    await writer.wait_closed()
    return answered, sent
