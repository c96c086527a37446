"""
Refused calls without a valid token, slowed and counted.

Each is recorded: that is how an attack is seen. But an attacker must not be able to fill the
disk, so beyond a number a second of one address they are answered 429 and counted into one
record a second per address and route.

`route` is one of few words, never what a client may choose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

ADDRESSES_MAX: Final = 10_000
_OTHERS: Final = "others"


@dataclass(slots=True)
class Flood:
    """Counts of the second that is running; `turn` closes it."""

    refusals_per_second_max: int
    _refused: Counter[str] = field(default_factory=Counter)
    _counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def is_too_many(self, address: str, route: str) -> bool:
        """Count one more refusal; True when it is to be counted only, not recorded by itself."""
        address = _network(address)
        if address not in self._refused and len(self._refused) >= ADDRESSES_MAX:
            address = _OTHERS
        self._refused[address] += 1
        if self._refused[address] <= self.refusals_per_second_max:
            return False
        self._counted[address, route] += 1
        return True

    def turn(self) -> Iterator[tuple[str, str, int]]:
        """Begin a new second; address, route and number of what was only counted in the last one."""
        counted, self._counted = self._counted, Counter()
        self._refused.clear()
        for (address, route), number in counted.items():
            yield address, route, number


def _network(address: str) -> str:
    """Whom an address belongs to: of IPv6, one customer has a whole /64 to call from."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
