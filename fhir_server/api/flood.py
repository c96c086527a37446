"""
Refused calls that are too many to be recorded one by one.

Each refusal is recorded: that is how an attack is seen. But an attacker must not be able to fill the disk, so
beyond a number a second of one address they are answered 429 and counted into one record a second per address
and route. So are calls beyond a rate (smart/rates.py), and logins that find no room to be looked at.

Logins and questions of apps have a share of their own: where many people share an address, an app with an old
token keeps nobody from logging in.

`route` is one of few words, never what a client may choose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from fhir_server.r4.errors import TooMany
from fhir_server.smart.rates import network_of

ADDRESSES_MAX: Final = 10_000
_OTHERS: Final = "others"
_ANY: Final = "any"

Page = Literal["login", "authorize"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where refused calls come from, and by whom they are where that is known and proven."""

    address: str
    route: str
    interaction: str = "login"
    client: str | None = None
    subject: str | None = None
    user: str | None = None


@dataclass(slots=True)
class Flood:
    """Counts of the second that is running; `turn` closes it."""

    refusals_per_second_max: int
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    _counted: Counter[Source] = field(default_factory=Counter)

    def is_too_many(self, address: str, route: str) -> bool:
        """Count one more refusal; True when it is to be counted only, not recorded by itself."""
        share = self._share(address, _ANY)
        self._refused[share] += 1
        if self._refused[share] <= self.refusals_per_second_max:
            return False
        self.count(Source(share[0], route))
        return True

    def require_calm(self, address: str, page: Page) -> None:
        """Raises TooMany, counted, where this address was refused as often as it may be in this second."""
        share = self._share(address, page)
        if self._refused[share] >= self.refusals_per_second_max:
            self.count(Source(share[0], page))
            raise TooMany("Too many refused calls from this address")

    def refused(self, address: str, page: Page) -> None:
        """This was refused there, and is recorded by itself."""
        self._refused[self._share(address, page)] += 1

    def count(self, source: Source) -> None:
        """One more call was refused from there, and is not recorded by itself."""
        source = replace(source, address=network_of(source.address))
        if source not in self._counted and len(self._counted) >= ADDRESSES_MAX:
            source = Source(_OTHERS, source.route, source.interaction)
        self._counted[source] += 1

    def turn(self) -> Iterator[tuple[Source, int]]:
        """Begin a new second; what was only counted in the last one, and how often."""
        counted, self._counted = self._counted, Counter()
        self._refused.clear()
        yield from counted.items()

    def _share(self, address: str, kind: str) -> tuple[str, str]:
        share = (network_of(address), kind)
        if share not in self._refused and len(self._refused) >= ADDRESSES_MAX:
            return _OTHERS, kind
        return share
