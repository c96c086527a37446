"""
Lock-out: from the fifth failure in a row on, a name waits before a guess at it is looked at again.

One minute, doubling with each further failure up to an hour. That leaves about 24 guesses a day at one
password, and whoever is kept out by somebody else's guesses waits an hour at most, or asks the operator. A
day without a failure starts anew. Names that nobody has are counted and locked alike, so that a lock tells
nobody which names there are; they are kept as a keyed hash, since people type passwords there by mistake.

https://pages.nist.gov/800-63-4/sp800-63b.html#throttle
"""

from __future__ import annotations

import hmac
import math
from datetime import datetime, timedelta
from typing import Final

from fhir_server.smart.secret import derived

FAILURES_FREE: Final = 4
"""The next one in a row locks."""

LOCKED_SECONDS_MIN: Final = 60
LOCKED_SECONDS_MAX: Final = 3600
FORGOTTEN: Final = timedelta(days=1)
"""After so long without a failure the next one is the first of its row."""

DOUBLINGS_MAX: Final = math.ceil(math.log2(LOCKED_SECONDS_MAX / LOCKED_SECONDS_MIN))
_PURPOSE: Final = "names that nobody has"


def locked_seconds(failures: int) -> int:
    """For how long the last of so many failures in a row locks; 0: not at all."""
    if failures <= FAILURES_FREE:
        return 0
    doublings = min(failures - FAILURES_FREE - 1, DOUBLINGS_MAX)
    return min(LOCKED_SECONDS_MIN << doublings, LOCKED_SECONDS_MAX)


def seconds_left(locked_until: datetime | None, now: datetime) -> int:
    """Whole seconds until a guess is looked at again; 0: it is now."""
    if locked_until is None or locked_until <= now:
        return 0
    return math.ceil((locked_until - now).total_seconds())


class HiddenNames:
    """Names as hashes that nobody can look for who has the database alone."""

    def __init__(self, secret: bytes) -> None:
        self._key = derived(secret, _PURPOSE)

    def hidden(self, name: str) -> str:
        """The same for the same name, in each process of the deployment."""
        return hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), "sha256").hex()
