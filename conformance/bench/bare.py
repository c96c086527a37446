"""
A bare HTTP server on the raw driver: what a read or search costs once somebody asks over HTTP.

uvicorn with uvloop and httptools, as the server's own workers, and one `find_one` or `find` for each
request: no token, policy, consent, validation, audit, log or metric. Started by `bare_server` as a
process of its own; the searches that it answers are commands written to its standard input.

https://www.uvicorn.org/
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import bson
import uvicorn
import uvloop
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern

from conformance.bench.raw import SERVED, Collection, Document
from conformance.bench.wire import Address

START_SECONDS_MAX: Final = 30.0
_POLL_SECONDS: Final = 0.02
_BASE: Final = "/fhir/"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@asynccontextmanager
async def bare_server(mongodb_url: str, searches: Sequence[Document]) -> AsyncIterator[Address]:
    """
    A bare server until the block ends.

    `GET [type]/[id]` is a read, `GET search/[n]` the search that `searches[n]` sends.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        port = int(listening.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "conformance.bench.bare", mongodb_url, str(listening.fileno())),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(listening.fileno(),),
        )
    assert process.stdin is not None, "a pipe was asked for"
    process.stdin.write(bson.encode({"searches": list(searches)}))
    process.stdin.write_eof()
    try:
        await asyncio.wait_for(_answering(port), START_SECONDS_MAX)
        yield Address("127.0.0.1", port, "none")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answering(port: int) -> None:
    while True:
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(_POLL_SECONDS)


class Bare:
    """The ASGI application."""

    def __init__(self, resources: Collection, searches: Sequence[Document]) -> None:
        self._resources = resources
        self._searches = searches

    async def __call__(self, scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
        path: str = scope["path"].removeprefix(_BASE)
        kind, _, rest = path.partition("/")
        body = await (self._search(int(rest)) if kind == "search" else self._read(path))
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _read(self, key: str) -> bytes:
        found = await self._resources.find_one({"_id": key})
        assert found is not None, "only what is stored is asked for"
        return bytes(found["body"])

    async def _search(self, number: int) -> bytes:
        command = self._searches[number]
        found = await self._resources.find(
            command["filter"],
            command.get("projection"),
            sort=list(command["sort"].items()),
            limit=command["limit"],
            batch_size=command.get("batchSize", 0),
        ).to_list()
        return b"[" + b",".join([fields["body"] for fields in found]) + b"]"


async def _serve(url: str, listening: socket.socket, searches: Sequence[Document]) -> None:
    async with AsyncMongoClient[Document](url) as client:
        database = client.get_database(SERVED, read_concern=ReadConcern("majority"))
        config = uvicorn.Config(
            Bare(database["resources"], searches),
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        await uvicorn.Server(config).serve([listening])


def main() -> None:
    url, descriptor = sys.argv[1:]
    searches = bson.decode(sys.stdin.buffer.read())["searches"]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(url, socket.socket(fileno=int(descriptor)), searches))


if __name__ == "__main__":
    main()
