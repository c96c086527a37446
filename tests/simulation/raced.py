"""A server with two workers that many clients race each other on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx

from audit.record import Record
from tests.simulation.evidence import gathered
from tests.simulation.server import Serving


@dataclass(frozen=True, slots=True)
class Raced:
    """A server with two workers, and a token for everything."""

    serving: Serving
    token: str

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
        """Clients with a connection each; half of them are with either worker."""
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(self.serving.client(self.token)) for _ in range(count)]
            for client in clients:
                assert (await client.get("/metadata")).status_code == httpx.codes.OK
            yield clients

    async def records(self) -> list[Record]:
        """All of the ledger."""
        async with self.serving.store() as store:
            return list((await gathered(store)).records)

    def workers_at_work(self, interaction: str) -> set[str]:
        """The workers that have answered such interactions."""
        return {
            event["process"].split(".")[1]
            for event in self.serving.events()
            if event["event"] == "interaction" and event["interaction"] == interaction
        }
