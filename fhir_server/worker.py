"""
One worker process: the application on uvicorn, with connections that the supervisor accepted.

It is started as `python -m fhir_server.worker`, reads its WorkerSpec from standard input, reports
on standard output, and does not outlive the supervisor. SIGTERM lets it finish what it has begun.

https://www.uvicorn.org/server-behavior/
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import msgspec
import structlog
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_server.logs import configure
from fhir_server.store.embedded.tether import die_with_parent
from fhir_server.supervisor.handover import Receiver
from fhir_server.supervisor.plan import Report, WorkerSpec

log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than the usual minute of a balancer, so that it is the balancer that closes."""
HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 20
"""For the request line and the headers."""
NOT_STARTED = 3
COLLECTED_AFTER_OBJECTS = 10_000
"""Requests under way have some thousand objects; collecting more often finds these alive."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
Tell = Callable[[Report], None]


def main() -> int:
    """Serve until SIGTERM; the exit code."""
    tell = _telling()
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerSpec)
    _tie_to(spec.parent)
    configure(spec.name)
    _take_over_log()
    sys.excepthook = _log_what_nobody_caught
    # prometheus_client looks for it when it is imported, which the application does.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = spec.metrics_dir
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(spec, tell))


async def _serve(spec: WorkerSpec, tell: Tell) -> int:
    try:
        application = _application(spec)
    except BaseException as error:
        tell(Report(serving=False, reason=_reason(error)))
        raise
    server = Server(_config(spec, _reporting(application, tell), tell), spec.http_channel(), tell)
    with contextlib.suppress(SystemExit):
        await server.serve()
    return 0 if server.started else NOT_STARTED


class Server(uvicorn.Server):
    """
    uvicorn's server, with connections that the supervisor accepted.

    It tells when it serves, and ends with exit code 0 when it is asked to.
    """

    def __init__(self, config: uvicorn.Config, channel: socket.socket, tell: Tell) -> None:
        super().__init__(config)
        self._channel = channel
        self._receiver: Receiver | None = None
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then take connections, and say so."""
        assert sockets is None
        await super().startup(sockets=[])
        if self.should_exit:
            return
        self._spare_what_stays()
        self._receiver = Receiver(self._channel, self._protocol, self.config.ssl)
        self._tell(Report())

    @staticmethod
    def _spare_what_stays() -> None:
        """
        Take what has been made so far from the garbage collector: it stays as long as we do.

        R4's definitions are more than a hundred thousand objects. Looking through them again and again
        takes a tenth of the time of a busy worker, and stops it for so long that clients notice.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECTED_AFTER_OBJECTS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections; finish what is under way, within limits."""
        if self._receiver is not None:
            self._receiver.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM alone: Ctrl-C is the supervisor's. uvicorn's own raises it again at the end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield

    def _drain(self) -> None:
        self.should_exit = True


class Connection(HttpToolsProtocol):
    """
    uvicorn's HTTP, with limits on the head of a request: its bytes, and the time until it is whole.

    The parser keeps what it has of a head for as long as it lasts, so without limits anybody,
    without a token, could fill the memory or hold a connection.
    """

    _head_bytes = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """A connection on which nothing comes is closed as an idle one is."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(KEEP_ALIVE_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Counts the bytes of a head; the first ones begin its time."""
        if self._is_in_head:
            if self._head_bytes == 0:
                self._set_deadline(self.loop.call_later(HEAD_SECONDS_MAX, self._refuse_late))
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"The head of the request has more than {HEAD_BYTES_MAX} bytes")

    def on_headers_complete(self) -> None:
        """The head is whole. What came at once with it is measured here; uvicorn answers 400."""
        if self._head_bytes > HEAD_BYTES_MAX and self._size_of_head() > HEAD_BYTES_MAX:
            raise ValueError("the head of the request is too long")
        self._is_in_head = False
        self._head_bytes = 0
        self._set_deadline(None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is the head of another request."""
        self._is_in_head = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._set_deadline(None)
        super().connection_lost(exc)

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_late(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response(f"The head of the request was not whole within {HEAD_SECONDS_MAX} seconds")

    def _set_deadline(self, deadline: asyncio.TimerHandle | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = deadline


def _config(spec: WorkerSpec, application: Application, tell: Tell) -> uvicorn.Config:
    async def sign_of_life() -> None:
        tell(Report())

    return uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="on",
        # Log lines are written by the pipeline, one per request.
        log_config=None,
        access_log=False,
        server_header=False,
        # Anybody can send X-Forwarded-For; it is believed of the proxies that are named, and no other.
        proxy_headers=bool(spec.proxies),
        forwarded_allow_ips=list(spec.proxies),
        limit_concurrency=spec.connections_max,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(spec.drain_seconds_max)),
        callback_notify=sign_of_life,
        timeout_notify=max(1, int(spec.sign_of_life_seconds)),
        ssl_certfile=spec.tls_cert,
        ssl_keyfile=spec.tls_key,
    )


def _application(spec: WorkerSpec) -> Application:
    module, _, function = spec.application.partition(":")
    made: Application = getattr(importlib.import_module(module), function)(spec)
    return made


def _reporting(application: Application, tell: Tell) -> Application:
    """The application, whose failure to start is reported: uvicorn only logs it."""

    @functools.wraps(application)
    async def reporting(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        try:
            await application(scope, receive, send)
        except BaseException as error:
            tell(Report(serving=False, reason=_reason(error)))
            raise

    return reporting


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _telling() -> Tell:
    """How to report. Standard output becomes the log's, in case that a library writes to it."""
    reports = os.dup(1)
    os.dup2(2, 1)

    def tell(report: Report) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(reports, msgspec.json.encode(report) + b"\n")

    return tell


class _FromUvicorn(logging.Handler):
    """uvicorn's errors as facts: it writes tracebacks, whose last line may quote what was sent."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        log.error("uvicorn", reason=str(record.msg).strip(), exc_info=error)


def _take_over_log() -> None:
    uvicorn_log = logging.getLogger("uvicorn")
    uvicorn_log.handlers = [_FromUvicorn(logging.ERROR)]
    uvicorn_log.propagate = False


def _log_what_nobody_caught(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """A fact in one write. A traceback quotes data, and comes in pieces between those of other processes."""
    log.critical("ended_by", exc_info=error)


def _tie_to(parent: int) -> None:
    """Do not outlive the supervisor, however it ends."""
    if sys.platform == "linux":
        die_with_parent(parent)
    else:
        threading.Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
