"""Keys that clients publish: fetched over real sockets, kept as they say, from public addresses alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.smart.client_keys import REFETCH_SECONDS, ClientKeys
from fhir_server.smart.clients import Client
from fhir_server.smart.jwks import JwksError
from fhir_server.smart.published import KEPT_SECONDS_MAX, KEPT_SECONDS_UNSAID
from tests.smart.services import an_ec_key

OLD, NEW = an_ec_key("old"), an_ec_key("new")


def published(*keys: Any) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


@dataclass(slots=True)
class Publisher:
    """Answers each request on its port alike, and remembers what it was asked."""

    port: int = 0
    body: bytes = b""
    status: str = "200 OK"
    headers: tuple[str, ...] = ()
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        await asyncio.sleep(self.seconds)
        head = "\r\n".join(
            [
                f"HTTP/1.1 {self.status}",
                "Connection: close",
                f"Content-Length: {len(self.body)}",
                *self.headers,
                "",
                "",
            ]
        )
        writer.write(head.encode() + self.body)
        writer.close()


@dataclass(slots=True)
class Watch:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture(loop_scope="session")
async def publisher() -> AsyncIterator[Publisher]:
    found = Publisher(body=published(OLD))
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def keys(watch: Watch) -> ClientKeys:
    return ClientKeys(frozenset({"127.0.0.1"}), watch)


def a_client(uri: str) -> Client:
    return Client("c", "c", "system/*.rs", None, uri, datetime(2026, 1, 1, tzinfo=UTC))


def at(publisher: Publisher) -> Client:
    return a_client(f"http://127.0.0.1:{publisher.port}/keys.json")


async def test_a_key_is_fetched_where_it_is_published(publisher: Publisher, keys: ClientKeys) -> None:
    """[R338, R339]"""
    key = await keys.key(at(publisher), "old", "ES384")
    assert key is not None
    assert key.as_dict(private=False)["x"] == OLD.as_dict(private=False)["x"]
    [request] = publisher.asked
    assert request.startswith("GET /keys.json HTTP/1.1")
    assert "accept: application/json" in request.lower()
    assert f"host: 127.0.0.1:{publisher.port}" in request.lower()
    assert "authorization" not in request.lower()
    assert await keys.key(at(publisher), "old", "RS384") is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Cache-Control: max-age=90", 90),
        ("Cache-Control: public, max-age=7", 7),
        ("Cache-Control: max-age=99999999", KEPT_SECONDS_MAX),
        ("Cache-Control: no-store", 0),
        ("Cache-Control: no-cache, max-age=90", 0),
        ("X-Nothing: said", KEPT_SECONDS_UNSAID),
    ],
)
async def test_keys_are_kept_as_long_as_the_publisher_says(
    publisher: Publisher, keys: ClientKeys, watch: Watch, header: str, seconds: int
) -> None:
    """[B4, R341, R342]"""
    publisher.headers = (header,)
    await keys.key(at(publisher), "old", "ES384")
    watch.now += max(0, seconds - 1)
    await keys.key(at(publisher), "old", "ES384")
    assert len(publisher.asked) == (1 if seconds else 2)
    watch.now += 1
    await keys.key(at(publisher), "old", "ES384")
    assert len(publisher.asked) == (2 if seconds else 3)


async def test_a_new_key_is_found_and_the_old_one_forgotten(
    publisher: Publisher, keys: ClientKeys, watch: Watch
) -> None:
    """[B4]: keys rotate."""
    publisher.headers = ("Cache-Control: max-age=3600",)
    assert await keys.key(at(publisher), "old", "ES384") is not None
    publisher.body = published(NEW)
    watch.now += REFETCH_SECONDS
    assert await keys.key(at(publisher), "new", "ES384") is not None
    assert await keys.key(at(publisher), "old", "ES384") is None


async def test_made_up_keys_are_not_looked_for_each_time(publisher: Publisher, keys: ClientKeys) -> None:
    publisher.headers = ("Cache-Control: max-age=3600",)
    for number in range(20):
        assert await keys.key(at(publisher), f"made-up-{number}", "ES384") is None
    assert len(publisher.asked) == 1


async def test_many_at_once_fetch_once(publisher: Publisher, keys: ClientKeys) -> None:
    publisher.seconds = 0.1
    found = await asyncio.gather(*(keys.key(at(publisher), "old", "ES384") for _ in range(20)))
    assert all(found)
    assert len(publisher.asked) == 1


async def test_what_fails_is_not_tried_again_at_once(
    publisher: Publisher, keys: ClientKeys, watch: Watch
) -> None:
    publisher.status = "500 Broken"
    for _ in range(3):
        with pytest.raises(JwksError):
            await keys.key(at(publisher), "old", "ES384")
    assert len(publisher.asked) == 1
    publisher.status = "200 OK"
    watch.now += REFETCH_SECONDS
    assert await keys.key(at(publisher), "old", "ES384") is not None


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("302 Found", ("Location: http://127.0.0.1/elsewhere",), b""),
        ("404 Not Found", (), b"{}"),
        ("200 OK", (), b"no json"),
        ("200 OK", (), b"[]"),
        ("200 OK", (), b"{}"),
        ("200 OK", (), b'{"keys": []}'),
        ("200 OK", (), b'{"keys": ["x"]}'),
        ("200 OK", (), b'{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}]}'),
        ("200 OK", (), b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}'),
        ("200 OK", (), b"[" * 90_000),
        ("200 OK", (), b" " * 200_000),
    ],
)
async def test_what_is_no_key_set_is_refused(
    publisher: Publisher, keys: ClientKeys, status: str, headers: tuple[str, ...], body: bytes
) -> None:
    publisher.status, publisher.headers, publisher.body = status, headers, body
    with pytest.raises(JwksError):
        await keys.key(at(publisher), "old", "ES384")
    assert len(publisher.asked) == 1


async def test_a_private_key_that_is_published_is_refused(publisher: Publisher, keys: ClientKeys) -> None:
    """[G2, R305]"""
    publisher.body = json.dumps({"keys": [OLD.as_dict(private=True)]}).encode()
    with pytest.raises(JwksError, match="private"):
        await keys.key(at(publisher), "old", "ES384")


async def test_two_keys_of_one_kid_are_none(publisher: Publisher, keys: ClientKeys) -> None:
    """[B3, R338]"""
    publisher.body = published(OLD, an_ec_key("old"))
    assert await keys.key(at(publisher), "old", "ES384") is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://keys.example.org/jwks",
        "https://127.0.0.1:1/jwks",
        "https://localhost/jwks",
        "https://[::1]/jwks",
        "https://[::ffff:127.0.0.1]/jwks",
        "https://[::ffff:10.0.0.1]/jwks",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/jwks",
        "https://172.16.0.1/jwks",
        "https://192.168.1.1/jwks",
        "https://100.64.0.1/jwks",
        "https://0.0.0.0/jwks",
        "https://[fd00::1]/jwks",
        "https://[fe80::1]/jwks",
        "https://[2002:7f00:1::]/jwks",
        "https://[64:ff9b::7f00:1]/jwks",
        "https://[64:ff9b::10.1.2.3]/jwks",
        "https://224.0.0.1/jwks",
        "https://2130706433/jwks",
        "https://0x7f.1/jwks",
        "https://user@example.org/jwks",
        "https:///jwks",
        "file:///etc/passwd",
        "gopher://example.org/jwks",
    ],
)
async def test_an_address_that_is_not_public_is_not_asked(watch: Watch, uri: str) -> None:
    """[X18]"""
    with pytest.raises(JwksError):
        await ClientKeys(frozenset(), watch).key(a_client(uri), "old", "ES384")
