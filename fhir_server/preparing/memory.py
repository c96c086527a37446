"""
Memory that a large Bundle took goes back to the system.

glibc keeps what was freed between what was not, some hundred megabytes after a Bundle of 60. Where
there is another C library there is nothing to do.

https://man7.org/linux/man-pages/man3/malloc_trim.3.html
"""

from __future__ import annotations

import contextlib
import ctypes


def give_back_memory() -> None:
    """All that is free goes to the system."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
