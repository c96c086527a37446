"""What the pipeline works with: one value per process, made in app.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol

from fhir_server.interactions.registered import Registered
from fhir_server.pipeline.consents import Consents
from fhir_server.pipeline.parameters import SearchParameters
from fhir_server.preparing.preparing import Preparing
from fhir_server.r4.zones import zone_of
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.settings import Settings
from fhir_server.smart.bearers import Bearers
from fhir_server.smart.client_keys import ClientKeys
from fhir_server.smart.id_tokens import IdTokens
from fhir_server.smart.keys import Keyring
from fhir_server.smart.lock_out import HiddenNames
from fhir_server.smart.passwords import Passwords
from fhir_server.smart.rates import Rates
from fhir_server.smart.seals import Seals
from fhir_server.smart.second_factor import SecondFactors
from fhir_server.smart.tokens import Tokens
from fhir_server.store.store import Store


class Measures(Protocol):
    """Where numbers about what was done are kept."""

    def searched(self, type: str, seconds: float, *, slow: bool) -> None:
        """A search of this type, `*` for several, took so long."""


@dataclass(frozen=True, slots=True)
class Services:
    """
    `clock` gives the time in UTC; `new_id` an id for a resource that nobody can guess; `bearers` tell who
    bears a token, `seals` close what links carry; `token_rates` are those of clients at the token endpoint;
    `started` is when this process began to serve, `registered` what it serves; `parameters` are the search
    parameters beside R4's own.
    """

    settings: Settings
    store: Store
    keyring: Keyring
    tokens: Tokens
    bearers: Bearers
    client_keys: ClientKeys
    seals: Seals
    consents: Consents
    parameters: SearchParameters
    preparing: Preparing
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    started: datetime
    registered: Registered
    measures: Measures
    passwords: Passwords
    second_factors: SecondFactors
    hidden_names: HiddenNames
    token_rates: Rates

    @property
    def zone(self) -> tzinfo:
        """Where a date is that does not say."""
        return zone_of(self.settings.time_zone)

    @property
    def id_tokens(self) -> IdTokens:
        """Signed with the keys of now."""
        return IdTokens(self.keyring.keys, self.settings.base_url)

    @property
    def search_limits(self) -> SearchLimits:
        """How much one search may ask for."""
        settings = self.settings
        return SearchLimits(
            page_size_default=settings.page_size_default,
            page_size_max=settings.page_size_max,
            values_max=settings.search_values_max,
            chain_links_max=settings.chain_links_max,
            total_estimated_max=settings.total_estimated_max,
        )
