"""
A load generator that costs little: HTTP/1.1 over plain asyncio protocols, keep-alive.

One connection carries one request at a time, so `connections` is the number in flight. It reads
answers that state their length, which is all that this server sends.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """What came back: seconds for all of it, milliseconds of each, answers by status."""

    seconds: float
    latencies_ms: tuple[float, ...]
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that `share` of the requests stayed below."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(
    method: str, path: str, token: str, body: bytes = b"", kind: str = "application/fhir+json"
) -> bytes:
    """A request as it goes on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {token}"]
    if body:
        lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def drive(
    host: str, port: int, requests: Iterator[bytes], *, connections: int, seen: Callable[[bytes], None] | None = None
) -> Run:
    """Send all requests, `connections` at a time; `seen` is given each whole answer."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    statuses: dict[int, int] = {}

    def answered(status: int, seconds: float, answer: bytes) -> None:
        latencies.append(seconds * 1000)
        statuses[status] = statuses.get(status, 0) + 1
        if seen is not None:
            seen(answer)

    started = time.perf_counter()
    running = [
        await loop.create_connection(lambda: _Connection(requests, answered), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in running))
    return Run(time.perf_counter() - started, tuple(latencies), statuses)


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], answered: Callable[[int, float, bytes], None]) -> None:
        self._requests = requests
        self._answered = answered
        self._buffer = b""
        self._wanted = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._wanted:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head + 2)
            self._wanted = head + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._wanted:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("The server closed the connection"))

    def _finish(self) -> None:
        answer, self._buffer, self._wanted = self._buffer[: self._wanted], b"", 0
        status = _STATUS.match(answer)
        assert status is not None, "an answer begins with its status"
        self._answered(int(status[1]), time.perf_counter() - self._sent_at, answer)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        try:
            wire = next(self._requests)
        except StopIteration:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(wire)
