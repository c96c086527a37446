"""A whole server in this process that listens on a socket: what HTTP says is seen as it is on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from fhir_server.app import Application
from fhir_server.settings import Settings
from fhir_server.worker import Connection
from tests.server.running import Server

PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Listening(Server):
    """What a test speaks to, over TCP."""

    port: int = 0

    @property
    def base(self) -> str:
        """The base URL, which links and Location are made from too."""
        return base_at(self.port)

    def bearing(self, token: str | None) -> httpx.AsyncClient:
        """A client with this token, or none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.base, headers=headers, timeout=PATIENCE_SECONDS)

    async def says(self, request_line: str, *headers: str) -> tuple[bytes, bytes]:
        """Head and body of the answer to a request without a body, as they are on the wire."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = (request_line, "Host: localhost", "Connection: close", *headers, "", "")
        writer.write("\r\n".join(lines).encode())
        answered = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        writer.close()
        await writer.wait_closed()
        head, _, body = answered.partition(b"\r\n\r\n")
        return head, body


def base_at(port: int) -> str:
    """The base URL of the server that listens on `port`."""
    return f"http://127.0.0.1:{port}/fhir"


class _Uvicorn(uvicorn.Server):
    """Signals are the test runner's; it says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(mongodb_url: str, database: str, data_dir: Path, **told: Any) -> AsyncIterator[Listening]:
    """A server with a worker's own HTTP, on a free port and a database of its own."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        settings = Settings(
            mongodb_url=mongodb_url,
            mongodb_database=database,
            base_url=base_at(port),
            data_dir=data_dir,
            **told,
        )
        application = Application(settings, f"test-{database}")
        services = await application.start()
        config = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        server = _Uvicorn(config)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            await server.ready.wait()
            yield Listening(application, services, port=port)
        finally:
            server.should_exit = True
            await serving
            await application.stop()
