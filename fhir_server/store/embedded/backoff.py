"""How long to wait before a process that died is started again."""

from __future__ import annotations

DELAY_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 15.0)
STEADY_SECONDS = 60.0


class Backoff:
    """The first death is answered at once, the next ones ever later; a steady life begins anew."""

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived_seconds: float) -> float:
        """How many seconds to wait after a life of so many seconds."""
        if lived_seconds >= STEADY_SECONDS:
            self._deaths = 0
        delay = DELAY_SECONDS[min(self._deaths, len(DELAY_SECONDS) - 1)]
        self._deaths += 1
        return delay
