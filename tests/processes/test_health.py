"""Whether mongod is healthy can be asked by somebody who goes away in the middle."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

from fhir_server.store.embedded import replica_set

SECONDS_MAX = 5.0


async def test_a_health_check_that_is_given_up_leaves_nothing_open(mongodb_url: str) -> None:
    """A client that is left half open is a warning when it is collected, and warnings are failures."""
    socket = Path(unquote(urlsplit(mongodb_url).netloc))
    random = Random(7)
    for _ in range(60):
        asked = asyncio.create_task(replica_set.is_healthy(socket, SECONDS_MAX))
        await asyncio.sleep(random.random() * 0.006)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
    assert await replica_set.is_healthy(socket, SECONDS_MAX)
    gc.collect()
