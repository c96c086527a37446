"""
Signals: the first one stops the server in order, the second one in a hurry.

https://man7.org/linux/man-pages/man7/signal.7.html
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Result = TypeVar("Result")


class Stopped(Exception):
    """The server was asked to stop before it was ready."""


class Stopping:
    """`asked` is set by the first signal, `hurried` by the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self, number: signal.Signals) -> None:
        """Take a signal."""
        log.info("stop_asked", signal=number.name)
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()

    async def unless_asked(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`; Stopped, and the work cancelled, when a signal comes first."""
        working = asyncio.create_task(work)
        asked = asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait((working, asked), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Stopped
        finally:
            asked.cancel()
            working.cancel()
            await asyncio.wait((working,))


@contextmanager
def signals() -> Iterator[Stopping]:
    """Take the signals of this process until the block ends."""
    loop = asyncio.get_running_loop()
    stopping = Stopping()
    taken = [number for number in SIGNALS if not _is_for_others(number)]
    for number in taken:
        loop.add_signal_handler(number, stopping.ask, number)
    try:
        yield stopping
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def _is_for_others(number: signal.Signals) -> bool:
    """Under nohup, the end of the terminal is not the server's."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
