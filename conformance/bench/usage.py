"""What processes use: CPU time and resident memory, as the kernel counts them (man 5 proc)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_USER, _SYSTEM, _RESIDENT_PAGES = 11, 12, 21
"""Places in /proc/<pid>/stat behind the name of the command."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since it started, and resident bytes now."""

    cpu_seconds: float
    resident_bytes: int


def usage(pids: Iterable[int]) -> Usage:
    """What these processes use, together."""
    cpu_ticks = resident_pages = 0
    for pid in pids:
        # The name of the command stands in parentheses and may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu_ticks += int(fields[_USER]) + int(fields[_SYSTEM])
        resident_pages += int(fields[_RESIDENT_PAGES])
    return Usage(cpu_ticks / _TICKS_PER_SECOND, resident_pages * _PAGE_BYTES)
