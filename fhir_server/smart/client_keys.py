"""
The public keys of clients that publish them: fetched where they registered them, kept as long as they say.

The URL was registered by an operator, not chosen by a request, and still it is fetched with care
(published.py). A key that is not among those that are kept is looked for anew, but not more often than every
REFETCH_SECONDS: a request with a made-up key costs no more.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc.jwk import ECKey, RSAKey

from fhir_server.smart.clients import Client
from fhir_server.smart.jwks import JwksError, key_for, key_set
from fhir_server.smart.published import PublishedError, published

REFETCH_SECONDS: Final = 5
"""So long nothing is fetched again where something was not found, or not fetched."""
SETS_MAX: Final = 1_000


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
            found = await published(uri, "The JWK Set", self._private_hosts)
        except PublishedError as error:
            raise JwksError(str(error)) from error
        keys = key_set(found.told)
        self._keep(uri, _Kept(keys, now + found.seconds, now))
        return keys

    def _keep(self, uri: str, kept: _Kept) -> None:
        self._kept[uri] = kept
        self._kept.move_to_end(uri)
        if len(self._kept) > SETS_MAX:
            gone, _ = self._kept.popitem(last=False)
            self._fetching.pop(gone, None)
