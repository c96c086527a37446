"""Somebody's app on a port of its own: a few files over HTTP, whatever is asked with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@asynccontextmanager
async def files_served(files: Mapping[str, bytes]) -> AsyncIterator[str]:
    """The origin at which these files are, by their paths."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            # A browser connects ahead of time, and then asks for nothing.
            writer.close()
            return
        path = urlsplit(head.split(b" ", 2)[1].decode()).path
        status = "200 OK" if path in files else "404 Not Found"
        body = files.get(path, b"")
        media_type = next((told for end, told in _TYPES.items() if path.endswith(end)), "text/plain")
        headers = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{headers}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}"
