"""
The end of a task that works for ever.

One `cancel` is not enough while it speaks to the database: `asyncio.wait_for`, which the driver waits
with, loses a cancellation that arrives together with the answer (Python before 3.12), or the driver makes an
error of its own of it; and the task goes on.

https://github.com/python/cpython/issues/86296
"""

from __future__ import annotations

import asyncio
from typing import Final

AGAIN_AFTER_SECONDS: Final = 0.1


async def ended(task: asyncio.Task[None]) -> None:
    """Returns when it has been cancelled and is over, whatever came of it."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=AGAIN_AFTER_SECONDS)
