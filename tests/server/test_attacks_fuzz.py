"""
Nobody can send anything that breaks the server, and no refusal repeats what was sent.

A server in processes of its own is asked for some thirty seconds; FUZZ_TIMES makes it longer. A
failure prints the example; Hypothesis finds the smallest. After each test its processes are the
same as before, none ever had more memory than it may, and the log has no error.

501 is the one answer beyond 4xx: what R4 has and this server has not is refused by name with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from tests.server.fuzz.bodies import (
    BODIES,
    JSON_TEXTS,
    JSON_TOKENS,
    SECRET,
    VALID,
    XML_TEXTS,
    XML_TOKENS,
    bundles,
    resources,
    tampered,
)
from tests.server.fuzz.requests import Headers, Thrown, heads, requests
from tests.server.hiding import put
from tests.server.served import Served, served

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
RESIDENT_BYTES_MAX = 500_000_000
LIMITS = {"REFUSALS_PER_SECOND_MAX": "1000000", "REQUEST_SECONDS_MAX": "20"}
DIAGNOSTICS_CHARACTERS_MAX = 500


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests of this file, with something at the addresses that are asked for."""
    async with served(mongodb_url, tmp_path_factory.mktemp("data"), LIMITS) as running:
        async with running.client() as client:
            for resource in VALID[:-1]:
                await put(client, resource)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def unhurt(server: Served) -> Iterator[None]:
    """After each test: the same processes, none of which ever grew too large, and no error in the log."""
    before, told = server.peaks().keys(), len(list(server.logged()))
    yield
    peaks = server.peaks()
    assert before <= peaks.keys()
    assert {name: peak for name, peak in peaks.items() if peak > RESIDENT_BYTES_MAX} == {}
    errors = [line for line in list(server.logged())[told:] if line.get("level") in ("error", "critical")]
    assert errors == []


def require_right(answer: httpx.Response) -> None:
    """An answer that a server may give: no failure of ours, and a refusal that says why and no more."""
    told = f"{answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500 or answer.status_code == 501, told
    assert "Traceback" not in answer.text, told
    if answer.status_code < 400 or answer.request.method == "HEAD":
        return
    if answer.headers["content-type"].startswith("application/fhir+xml"):
        assert '<OperationOutcome xmlns="http://hl7.org/fhir">' in answer.text, told
    else:
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome", told
        assert all(len(issue["diagnostics"]) < DIAGNOSTICS_CHARACTERS_MAX for issue in outcome["issue"]), told
    assert SECRET not in answer.text, told


async def throw(client: httpx.AsyncClient, thrown: Thrown) -> None:
    require_right(
        await client.request(
            thrown.method, thrown.address, content=thrown.body, headers=thrown.headers or None
        )
    )


def _writes(body: bytes, media: str, type: str, id: str) -> list[Thrown]:
    """Everything that takes such a body."""
    headers: Headers = [(b"Content-Type", media.encode()), (b"Prefer", b"return=minimal")]
    asked = [
        ("POST", f"/{type}"),
        ("PUT", f"/{type}/{id}"),
        ("PUT", f"/{type}?identifier=fuzzed"),
        ("PATCH", f"/{type}/d0"),
        ("POST", "/"),
        ("POST", f"/{type}/$validate"),
        ("POST", "/Patient/d0/$meta-add"),
        ("POST", "/Binary"),
    ]
    return [Thrown(method, address, headers, body) for method, address in asked]


@fuzz(60)
@given(resource=resources(), update=st.booleans())
async def test_a_resource_that_was_tampered_with_is_taken_or_refused(
    client: httpx.AsyncClient, resource: dict[str, object], update: bool
) -> None:
    stated = resource.get("resourceType")
    type = stated if isinstance(stated, str) and stated in definitions().resource_types else "Patient"
    body = {**resource, "id": "fuzzed"} if update else resource
    for method, address in (
        ("PUT", f"/{type}/fuzzed") if update else ("POST", f"/{type}"),
        ("POST", f"/{type}/$validate"),
        ("POST", "/"),
    ):
        headers: Headers = [(b"Content-Type", b"application/fhir+json"), (b"Prefer", b"return=minimal")]
        await throw(client, Thrown(method, address, headers, json.dumps(body).encode()))


@fuzz(50)
@given(body=st.sampled_from(JSON_TEXTS).flatmap(lambda text: tampered(text, JSON_TOKENS)))
async def test_json_that_was_tampered_with_is_taken_or_refused(
    client: httpx.AsyncClient, body: bytes
) -> None:
    for thrown in _writes(body, "application/fhir+json", "Observation", "fuzzed"):
        await throw(client, thrown)


@fuzz(50)
@given(body=st.sampled_from(XML_TEXTS).flatmap(lambda text: tampered(text, XML_TOKENS)))
async def test_xml_that_was_tampered_with_is_taken_or_refused(client: httpx.AsyncClient, body: bytes) -> None:
    for thrown in _writes(body, "application/fhir+xml", "Observation", "fuzzed"):
        await throw(client, thrown)


@fuzz(250)
@given(data=st.data(), media=st.sampled_from([media for media in BODIES if "form" not in media]))
async def test_a_patch_of_any_kind_is_applied_or_refused(
    client: httpx.AsyncClient, data: st.DataObject, media: str
) -> None:
    headers: Headers = [(b"Content-Type", media.encode())]
    address = data.draw(st.sampled_from(["/Patient/d0", "/Observation/o-d0", "/Patient?_id=d0", "/Group/x"]))
    await throw(client, Thrown("PATCH", address, headers, data.draw(BODIES[media])))


@fuzz(250)
@given(body=bundles())
async def test_a_bundle_of_anything_is_done_or_refused(client: httpx.AsyncClient, body: bytes) -> None:
    await throw(client, Thrown("POST", "/", [(b"Content-Type", b"application/fhir+json")], body))


@fuzz(600)
@given(thrown=requests())
async def test_any_request_to_any_route_is_answered(client: httpx.AsyncClient, thrown: Thrown) -> None:
    await throw(client, thrown)


@fuzz(60)
@given(head=heads(), body=st.binary(max_size=40))
async def test_bytes_that_are_hardly_http_are_answered_or_cut_off(
    server: Served, head: bytes, body: bytes
) -> None:
    """https://www.rfc-editor.org/rfc/rfc9112"""
    answered = await server.says(head + b"\r\n" + server.authorization + b"\r\n" + body)
    for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered):
        assert int(status) < 500 or status == b"501", answered[:500]
    assert b"Traceback" not in answered
