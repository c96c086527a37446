"""
How often one client, or one caller, may come: so often in a period, and then again as the period goes by.

Each key may come `requests_max` times at once, and each `period_seconds / requests_max` gives it one of these
back. So within any period at most twice as many get through, and who keeps to the rate is never refused. Of
each key one number is kept: when it will have been given back all (the generic cell rate algorithm).

At most KEYS_MAX keys are remembered, and only for as long as they say something; more than that share one.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm, https://www.rfc-editor.org/rfc/rfc6585#section-4
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from ipaddress import ip_network
from typing import Final

KEYS_MAX: Final = 10_000
_OTHERS: Final = object()


class Rates:
    """Those of one process; `clock` gives seconds and never goes back."""

    def __init__(
        self,
        requests_max: int,
        period_seconds: float,
        clock: Callable[[], float],
        keys_max: int = KEYS_MAX,
    ) -> None:
        self._period = period_seconds
        self._interval = period_seconds / requests_max
        # Half of an interval is left for what is lost by adding so many of them up.
        self._ahead_max = period_seconds - self._interval / 2
        self._clock = clock
        self._keys_max = keys_max
        self._whole: dict[Hashable, float] = {}
        self._swept = -math.inf

    def seconds_to_wait(self, key: Hashable) -> int:
        """0: let it through, which is counted. Else whole seconds until one of this key is let through."""
        now = self._clock()
        whole = self._whole.get(key)
        if whole is None:
            key = self._place(key, now)
            whole = self._whole.get(key, now)
        whole = max(whole, now)
        beyond = whole - now - self._ahead_max
        if beyond > 0:
            return math.ceil(beyond)
        self._whole[key] = whole + self._interval
        return 0

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._whole)

    def _place(self, key: Hashable, now: float) -> Hashable:
        """Where a key is counted that is not known yet."""
        if len(self._whole) < self._keys_max:
            return key
        # To look at all of them takes a while: once in a period is enough, by then all of them are others.
        if now >= self._swept + self._period:
            self._swept = now
            self._whole = {known: whole for known, whole in self._whole.items() if whole > now}
        return key if len(self._whole) < self._keys_max else _OTHERS


def network_of(address: str) -> str:
    """Whom an address belongs to: of IPv6, one customer has a whole /64 to call from."""
    if ":" not in address:
        return address
    try:
        return str(ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
