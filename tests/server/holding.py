"""A server that holds some resources from the start, for tests that only ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.databases import a_database
from tests.server.running import Server, serving


@asynccontextmanager
async def holding(
    mongodb_url: str, data_dir: Path, resources: Sequence[dict[str, Any]], **told: Any
) -> AsyncIterator[Server]:
    """One with these settings that serves `resources`, on a database of its own."""
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, data_dir, **told) as server,
        server.as_() as client,
    ):
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        (await client.post("", json=bundle)).raise_for_status()
        yield server
