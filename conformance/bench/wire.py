"""
A load generator that costs little: HTTP/1.1 over plain asyncio protocols, keep-alive.

One connection carries one request at a time, so `connections` is the number in flight. It reads
answers that state their length, which is all that this server sends, and breaks at an answer that
was not expected: a server that refuses fast is not fast.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from conformance.bench.rounds import Run

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_SHOWN: Final = 2_000


class UnexpectedAnswer(Exception):
    """The server answered with a status that the benchmark does not measure."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and the token that it is asked with."""

    host: str
    port: int
    token: str

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A request below the base as it goes on the wire."""
        lines = [
            f"{method} /fhir/{path} HTTP/1.1",
            f"host: {self.host}:{self.port}",
            "accept: application/fhir+json",
            f"authorization: Bearer {self.token}",
        ]
        if body:
            lines += ["content-type: application/fhir+json", f"content-length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as it came."""

    status: int
    body: bytes
    head: bytes


async def drive(
    address: Address,
    requests: Iterator[bytes],
    *,
    in_flight: int,
    expected: frozenset[int] = frozenset({200}),
    seen: Callable[[Answer], None] | None = None,
    hosts: Sequence[str] = (),
) -> Run:
    """
    Send all requests, `in_flight` at a time; `seen` is given each answer.

    The connections come from these `hosts` in turns, where there are any.
    """
    loop = asyncio.get_running_loop()
    latencies: list[float] = []

    def answered(answer: Answer, seconds: float) -> None:
        if answer.status not in expected:
            raise UnexpectedAnswer(f"{answer.status}: {answer.body[:_SHOWN].decode(errors='replace')}")
        latencies.append(seconds * 1000)
        if seen is not None:
            seen(answer)

    connections = [
        (
            await loop.create_connection(
                lambda: _Connection(requests, answered),
                address.host,
                address.port,
                local_addr=(hosts[number % len(hosts)], 0) if hosts else None,
            )
        )[1]
        for number in range(in_flight)
    ]
    started = time.perf_counter()
    for connection in connections:
        connection.send()
    await asyncio.gather(*(connection.done for connection in connections))
    return Run(time.perf_counter() - started, tuple(latencies))


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], answered: Callable[[Answer, float], None]) -> None:
        self._requests = requests
        self._answered = answered
        self._buffer = b""
        self._head = 0
        self._wanted = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """The next request, or the end."""
        assert self._transport is not None, "a connection is used once it is made"
        try:
            wire = next(self._requests)
        except StopIteration:
            self._end(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._wanted:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head + 2)
            self._head = head + 4
            self._wanted = self._head + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._wanted:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("The server closed the connection"))

    def _finish(self) -> None:
        seconds = time.perf_counter() - self._sent_at
        whole, self._buffer, self._wanted = self._buffer[: self._wanted], b"", 0
        status = _STATUS.match(whole)
        assert status is not None, "an answer begins with its status"
        try:
            self._answered(Answer(int(status[1]), whole[self._head :], whole[: self._head]), seconds)
        except UnexpectedAnswer as error:
            self._end(error)
        else:
            self.send()

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()
