"""
The creation sequence: the default order of searches, and a unique key to page by.

A sequence is 17 characters that sort as text: 8 of milliseconds since 1970, 3 of a counter
within the millisecond, 6 that are random for each process. One process never gives a smaller one
after a greater one, whatever the clock does; between processes the order is that of their clocks.
"""

from __future__ import annotations

from random import Random
from typing import Final

# In the order of their code points, so that text sorts as the number does.
_ALPHABET: Final = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_BITS: Final = 6
_COUNTER_BITS: Final = 18
_PROCESS_BITS: Final = 36


class Sequence:
    """Gives sequences; one for each process."""

    def __init__(self, random: Random) -> None:
        self._process = _written(random.getrandbits(_PROCESS_BITS), 6)
        self._last = 0

    def next(self, milliseconds: int) -> str:
        """A sequence greater than any given before."""
        self._last = max(self._last + 1, milliseconds << _COUNTER_BITS)
        return _written(self._last, 11) + self._process


def _written(number: int, length: int) -> str:
    return "".join([_ALPHABET[number >> shift & 63] for shift in range((length - 1) * _BITS, -1, -_BITS)])
