"""
How connections come to the workers: the supervisor accepts, and hands them out in turn.

Workers that accept from one shared socket share badly. The first one that wakes gets a whole burst:
of 32 connections opened at once, one of two workers was seen to get all 32, and with keep-alive it
keeps them, beside an idle neighbour. So the supervisor accepts, and passes each connection over a
Unix socket (SCM_RIGHTS, man 7 unix) to the next worker that serves. While there is none, connections
wait in the kernel's queue; none is given to a worker that is dead or not ready.

It reads nothing from a connection: TLS, HTTP and everything else is the worker's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

ACCEPTED_AT_ONCE_MAX = 64
PAUSE_SECONDS = 0.05
"""When a connection cannot be accepted (for want of file descriptors) or no worker can take more."""


class Dispatcher:
    """The supervisor's side: hands out what arrives at a listening socket, until closed."""

    def __init__(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._listening.setblocking(False)  # noqa: FBT003 - the standard library's only way to say it
        self._channels: deque[socket.socket] = deque()
        self._waiting: socket.socket | None = None
        self._resuming: asyncio.TimerHandle | None = None

    def add(self, channel: socket.socket) -> None:
        """A worker serves, and takes connections from the other end of `channel`."""
        self._channels.append(channel)
        self._resume()

    def remove(self, channel: socket.socket) -> None:
        """That worker takes no more."""
        if channel in self._channels:
            self._channels.remove(channel)
            if not self._channels:
                self._pause()

    def close(self) -> None:
        """Accept no more. What has been handed over is the workers'."""
        if self._listening.fileno() < 0:
            return
        self._pause()
        self._channels.clear()
        self._listening.close()
        if self._waiting is not None:
            self._waiting.close()

    def _resume(self) -> None:
        self._resuming = None
        if self._channels:
            self._loop.add_reader(self._listening, self._dispatch)
            # Nothing may arrive for a while that would wake us for the one that waits.
            self._dispatch()

    def _pause(self, seconds: float | None = None) -> None:
        self._loop.remove_reader(self._listening)
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        if seconds is not None:
            self._resuming = self._loop.call_later(seconds, self._resume)

    def _dispatch(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE_MAX):
            try:
                accepted = self._waiting or self._listening.accept()[0]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("accept_failed", error=error.strerror)
                self._pause(PAUSE_SECONDS)
                return
            self._waiting = None
            if not self._handed_over(accepted):
                self._waiting = accepted
                self._pause(PAUSE_SECONDS)
                return

    def _handed_over(self, accepted: socket.socket) -> bool:
        for _ in range(len(self._channels)):
            channel = self._channels[0]
            self._channels.rotate(-1)
            try:
                socket.send_fds(channel, [b"c"], [accepted.fileno()])
            except OSError:
                # Full, because its loop stands still, or closed, because it has just died.
                continue
            accepted.close()
            return True
        return False


class Receiver:
    """The worker's side: opens each connection that comes over the channel, until closed."""

    def __init__(
        self, channel: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._protocol = protocol
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        channel.setblocking(False)  # noqa: FBT003 - the standard library's only way to say it
        self._loop.add_reader(channel, self._receive)

    def close(self) -> None:
        """Take what has been handed over already, and then no more."""
        while self._receive():
            pass
        self._loop.remove_reader(self._channel)
        self._channel.close()

    def _receive(self) -> bool:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except OSError:
            return False
        if not descriptors:
            # The supervisor is gone, or about to stop us.
            self._loop.remove_reader(self._channel)
            return False
        opening = self._loop.create_task(self._open(socket.socket(fileno=descriptors[0])))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    async def _open(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)  # noqa: FBT003 - the standard library's only way to say it
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, accepted, ssl=self._tls)
        except OSError as error:
            # A port scanner, plain HTTP to a TLS port, or a handshake that took too long.
            accepted.close()
            log.info("connection_not_opened", error=type(error).__name__)
