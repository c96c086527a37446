"""
The public keys of clients that publish them: fetched where they registered them, kept as long as they say.

The URL was registered by an operator, not chosen by a request, and still it leads to public addresses
alone, unless the operator has named its host (`jwks_private_hosts`): what the name resolves to is looked at,
and that very address is connected to. Redirects are not followed. A key that is not among those that are kept
is looked for anew, but not more often than every REFETCH_SECONDS: a request with a made-up key costs no more.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from socket import SOCK_STREAM
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx
from joserfc.jwk import ECKey, RSAKey

from fhir_server.smart.clients import Client
from fhir_server.smart.jwks import JwksError, key_for, key_set

BYTES_MAX: Final = 100_000
FETCH_SECONDS_MAX: Final = 5.0
KEPT_SECONDS_MAX: Final = 3_600
KEPT_SECONDS_UNSAID: Final = 60
"""Where the answer does not say how long it holds."""
REFETCH_SECONDS: Final = 5
"""So long nothing is fetched again where something was not found, or not fetched."""
SETS_MAX: Final = 1_000

_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 as a network translates them: https://www.rfc-editor.org/rfc/rfc6052"""

_MAX_AGE: Final = re.compile(r"max-age=(\d{1,9})")


@dataclass(slots=True)
class _Kept:
    """Keys, until when they may be used, and when they were fetched; in seconds of the process's clock."""

    keys: Mapping[str, Any]
    until: float
    fetched: float


class ClientKeys:
    """The keys of all clients, for one process."""

    def __init__(self, private_hosts: frozenset[str], seconds: Callable[[], float]) -> None:
        self._private_hosts = private_hosts
        self._seconds = seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._fetching: dict[str, asyncio.Lock] = {}

    async def key(self, client: Client, kid: str, algorithm: str) -> RSAKey | ECKey | None:
        """The client's key of that id; None when there is not exactly one. Raises JwksError."""
        if client.jwks_uri is None:
            return key_for(client.jwks or {"keys": []}, kid, algorithm)
        lock = self._fetching.setdefault(client.jwks_uri, asyncio.Lock())
        async with lock:
            kept = self._kept.get(client.jwks_uri)
            now = self._seconds()
            if kept is not None and now < kept.until:
                found = key_for(kept.keys, kid, algorithm)
                if found is not None or now < kept.fetched + REFETCH_SECONDS:
                    return found
            elif kept is not None and now < kept.fetched + REFETCH_SECONDS and not kept.keys["keys"]:
                raise JwksError("The JWK Set could not be fetched a moment ago")
            return key_for(await self._fetched(client.jwks_uri), kid, algorithm)

    async def _fetched(self, uri: str) -> Mapping[str, Any]:
        now = self._seconds()
        # What fails is not tried again at once either.
        self._keep(uri, _Kept({"keys": []}, now, now))
        try:
            async with asyncio.timeout(FETCH_SECONDS_MAX):
                told, seconds = await self._got(uri)
        except (TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise JwksError(f"The JWK Set could not be fetched: {type(error).__name__}") from error
        keys = key_set(told)
        self._keep(uri, _Kept(keys, now + seconds, now))
        return keys

    def _keep(self, uri: str, kept: _Kept) -> None:
        self._kept[uri] = kept
        self._kept.move_to_end(uri)
        if len(self._kept) > SETS_MAX:
            gone, _ = self._kept.popitem(last=False)
            self._fetching.pop(gone, None)

    async def _got(self, uri: str) -> tuple[Mapping[str, Any], float]:
        """The document, and how many seconds it may be kept."""
        parts = urlsplit(uri)
        host, port = _place(parts, self._private_hosts)
        address = await _resolved(host, port, self._private_hosts)
        to = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{to}:{port}", fragment="").geturl()
        headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=FETCH_SECONDS_MAX) as http,
            http.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise JwksError(f"The JWK Set could not be fetched: status {answer.status_code}")
            body = bytearray()
            async for some in answer.aiter_raw():
                body += some
                if len(body) > BYTES_MAX:
                    raise JwksError(f"The JWK Set has more than {BYTES_MAX} bytes")
        try:
            told = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise JwksError("The JWK Set is no JSON") from error
        if not isinstance(told, dict):
            raise JwksError("The JWK Set is no JSON object")
        return told, _lasts(answer.headers.get("cache-control", ""))


def _place(parts: SplitResult, private_hosts: frozenset[str]) -> tuple[str, int]:
    host = parts.hostname
    if host is None or parts.username is not None or parts.password is not None:
        raise JwksError("The URL of the JWK Set names no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in private_hosts):
        raise JwksError("The JWK Set is fetched by https alone")
    return host, parts.port or (443 if parts.scheme == "https" else 80)


async def _resolved(host: str, port: int, private_hosts: frozenset[str]) -> str:
    """The address to connect to. Raises JwksError when one of the host's is not public."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if host not in private_hosts and not all(map(_is_public, addresses)):
        raise JwksError("The host of the JWK Set has an address that is not public")
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
