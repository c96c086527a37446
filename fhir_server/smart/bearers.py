"""
Who bears a token, whoever issued it: this server, or the OpenID provider that it trusts.

Tokens of our own hold in both cases: they are signed by our keys, and where a provider is trusted only who
may read the data folder can make one (`fhir-server token`, adapters).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.smart.caller import Caller
from fhir_server.smart.external.tokens import ProviderTokens
from fhir_server.smart.keys import Keyring
from fhir_server.smart.tokens import Tokens, UnknownKey


@dataclass(frozen=True, slots=True)
class Bearers:
    """`external` is None where this server issues the tokens itself."""

    tokens: Tokens
    keyring: Keyring
    external: ProviderTokens | None = None

    def forget(self, state_codes: Callable[[str], frozenset[str]]) -> None:
        """Look at each token anew: clients keep state under what `state_codes` tells."""
        self.tokens.forget(state_codes)
        if self.external is not None:
            self.external.forget(state_codes)

    async def caller_of(self, token: str, *, now: int) -> Caller:
        """
        The caller; `now` in seconds since 1970.

        Raises Unauthenticated, and Unavailable when the provider's keys cannot be had.
        """
        if self.external is not None and self.external.is_from(token):
            return await self.external.verify(token, now=now)
        try:
            return self.tokens.verify(token, now=now)
        except UnknownKey:
            # Keys may have been rotated a moment ago.
            if await self.keyring.renewed():
                return self.tokens.verify(token, now=now)
            raise
