"""
JSON documents that others publish: fetched with nothing of ours, from public addresses alone.

Each leads to public addresses, unless the operator has named its host (`jwks_private_hosts`): what the name
resolves to is looked at, and that very address is connected to. Redirects are not followed; a document is
limited in bytes and in time, and says by Cache-Control how long it may be kept.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from socket import SOCK_STREAM
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx

BYTES_MAX: Final = 100_000
FETCH_SECONDS_MAX: Final = 5.0
KEPT_SECONDS_MAX: Final = 3_600
KEPT_SECONDS_UNSAID: Final = 60
"""Where the answer does not say how long it holds."""

_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 as a network translates them: https://www.rfc-editor.org/rfc/rfc6052"""

_MAX_AGE: Final = re.compile(r"max-age=(\d{1,9})")


class PublishedError(ValueError):
    """A document that cannot be had; the message says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Published:
    """A document, and how many seconds it may be kept."""

    told: Mapping[str, Any]
    seconds: float


async def published(url: str, name: str, private_hosts: frozenset[str]) -> Published:
    """The JSON object at the URL; `name` is what refusals call it. Raises PublishedError."""
    try:
        async with asyncio.timeout(FETCH_SECONDS_MAX):
            return await _fetched(url, name, private_hosts)
    except (TimeoutError, OSError, UnicodeError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise PublishedError(f"{name} could not be fetched: {type(error).__name__}") from error


async def _fetched(url: str, name: str, private_hosts: frozenset[str]) -> Published:
    parts = _split(url, name)
    host, port = _place(parts, name, private_hosts)
    address = await _resolved(host, port, name, private_hosts)
    to = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{to}:{port}", fragment="").geturl()
    headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=FETCH_SECONDS_MAX) as http,
        http.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise PublishedError(f"{name} could not be fetched: status {answer.status_code}")
        body = bytearray()
        async for some in answer.aiter_raw():
            body += some
            if len(body) > BYTES_MAX:
                raise PublishedError(f"{name} has more than {BYTES_MAX} bytes")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PublishedError(f"{name} is no JSON") from error
    if not isinstance(told, dict):
        raise PublishedError(f"{name} is no JSON object")
    return Published(told, _lasts(answer.headers.get("cache-control", "")))


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        assert parts.port is None or parts.port >= 0, "looking at it refuses one that is no number"
    except ValueError as error:
        raise PublishedError(f"The URL of {name} is none") from error
    return parts


def _place(parts: SplitResult, name: str, private_hosts: frozenset[str]) -> tuple[str, int]:
    host = parts.hostname
    if host is None or parts.username is not None or parts.password is not None:
        raise PublishedError(f"The URL of {name} names no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in private_hosts):
        raise PublishedError(f"{name} is fetched by https alone")
    return host, parts.port or (443 if parts.scheme == "https" else 80)


async def _resolved(host: str, port: int, name: str, private_hosts: frozenset[str]) -> str:
    """The address to connect to. Raises PublishedError when one of the host's is not public."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if host not in private_hosts and not all(map(_is_public, addresses)):
        raise PublishedError(f"The host of {name} has an address that is not public")
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return _is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast


def _lasts(cache_control: str) -> float:
    told = cache_control.lower()
    if "no-store" in told or "no-cache" in told:
        return 0
    age = _MAX_AGE.search(told)
    return min(int(age[1]), KEPT_SECONDS_MAX) if age else KEPT_SECONDS_UNSAID
