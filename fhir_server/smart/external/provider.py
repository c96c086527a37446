"""
The OpenID provider that is trusted: what it says of itself, and its keys, kept up to date.

Both are read when the process starts and again when they are due, beside the requests. A request waits only
for a key that is not known yet, which is looked for at most every REFETCH_SECONDS. While the provider is away
the keys that are known go on, for KEYS_SECONDS_MAX; what would need another one is told so with 503.

https://openid.net/specs/openid-connect-discovery-1_0.html, https://www.rfc-editor.org/rfc/rfc8414
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import structlog
from joserfc.jwk import ECKey, RSAKey

from fhir_server.r4.errors import Unauthenticated, Unavailable
from fhir_server.smart.jwks import JwksError, key_for, key_set
from fhir_server.smart.published import PublishedError, published

log = structlog.get_logger()

KEPT_SECONDS_MIN: Final = 60
"""Keycloak says of its keys that they may not be kept at all; each new token would cost two requests."""
REFETCH_SECONDS: Final = 5
"""So long nothing is looked for again after a key was not found."""
AGAIN_SECONDS: Final = 10
"""So long after the provider was away it is asked again."""
KEYS_SECONDS_MAX: Final = 24 * 3600
"""So long keys are believed without the provider confirming them."""

_DOCUMENT: Final = "/.well-known/openid-configuration"


class Provider:
    """One provider, for one process; `seconds` is the process's clock."""

    def __init__(
        self,
        issuer: str,
        algorithms: tuple[str, ...],
        private_hosts: frozenset[str],
        seconds: Callable[[], float],
    ) -> None:
        self.issuer = issuer
        self.generation = 0
        """Counts how often keys were taken back."""
        self.away: str | None = "it was not asked yet"
        """Why it could not be read the last time; None when it could."""
        self._algorithms = algorithms
        self._private_hosts = private_hosts
        self._seconds = seconds
        self._configuration: Mapping[str, Any] | None = None
        self._keys: Mapping[str, Any] = {"keys": []}
        self._read = seconds()
        self._looked = seconds() - REFETCH_SECONDS
        self._due = seconds()
        self._reading = asyncio.Lock()

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What it says of itself. Raises Unavailable when it was never read."""
        if self._configuration is None:
            self._refuse_away()
        return self._configuration

    @property
    def unready(self) -> str | None:
        """Why no token of it can be verified; None when those can whose keys are known."""
        return None if self._keys["keys"] else self.away

    async def key(self, kid: str, algorithm: str) -> RSAKey | ECKey:
        """
        The one key of that id. Raises Unauthenticated when there is none, Unavailable when nobody can say.
        """
        found = key_for(self._keys, kid, algorithm)
        if found is None:
            await self._look(kid, algorithm)
            found = key_for(self._keys, kid, algorithm)
        if found is None and self.away is not None:
            self._refuse_away()
        if found is None:
            raise Unauthenticated(f"The access token is signed by no key of {self.issuer}")
        return found

    async def keep_up(self) -> None:
        """For ever: read it again when that is due."""
        while True:
            async with self._reading:
                if self._seconds() >= self._due:
                    await self._renew()
            await asyncio.sleep(max(1.0, self._due - self._seconds()))

    async def _look(self, kid: str, algorithm: str) -> None:
        """Read the keys for the sake of one that is not known: one request for all who wait."""
        async with self._reading:
            now = self._seconds()
            if key_for(self._keys, kid, algorithm) is None and now >= self._looked + REFETCH_SECONDS:
                self._looked = now
                await self._renew()

    async def _renew(self) -> None:
        try:
            seconds = await self._got()
        except (PublishedError, JwksError) as error:
            if str(error) != self.away:
                log.warning("provider_away", url=self.issuer, reason=str(error))
            self.away = str(error)
            self._due = self._seconds() + AGAIN_SECONDS
            if self._seconds() >= self._read + KEYS_SECONDS_MAX:
                self._take({"keys": []})
            return
        if self.away is not None:
            log.info("provider_read", url=self.issuer, count=len(self._keys["keys"]))
        self.away = None
        self._read = self._seconds()
        self._due = self._read + max(seconds, KEPT_SECONDS_MIN)

    async def _got(self) -> float:
        """Read what it says, and how many seconds that may be kept. Raises PublishedError and JwksError."""
        url = self.issuer.removesuffix("/") + _DOCUMENT
        configuration = await published(url, "The provider's configuration", self._private_hosts)
        if configuration.told.get("issuer") != self.issuer:
            raise PublishedError("The provider's configuration is that of another issuer")
        uri = configuration.told.get("jwks_uri")
        if not isinstance(uri, str):
            raise PublishedError("The provider's configuration has no `jwks_uri`")
        keys = await published(uri, "The provider's JWK Set", self._private_hosts)
        self._take(key_set(keys.told, self._algorithms))
        self._configuration = configuration.told
        return min(configuration.seconds, keys.seconds)

    def _take(self, keys: Mapping[str, Any]) -> None:
        if any(key not in keys["keys"] for key in self._keys["keys"]):
            self.generation += 1
        self._keys = keys

    def _refuse_away(self) -> NoReturn:
        raise Unavailable(f"{self.issuer}, which issues the access tokens, cannot be asked for its keys")
