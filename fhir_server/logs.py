"""
Logs are facts: one JSON object a line, with names instead of sentences, never patient data.

A field that is not in `FIELDS` is dropped and named in `dropped`, so that nobody logs a resource
by accident.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import Final

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

FIELDS: Final = frozenset(
    {
        "address", "application", "attempt", "bytes", "client", "code", "connections", "control_id",
        "count", "data", "duration_ms", "error", "event", "exception", "exit_code", "facility",
        "host", "interaction", "kid", "level", "logger", "message", "message_id", "name", "order",
        "parameters", "path", "peer", "pid", "port", "process", "reason", "request_id", "route",
        "seconds", "sender", "signal", "state", "status", "structure", "time", "type", "unmapped",
        "url", "version", "worker", "workers",
    }
)  # fmt: skip


def configure(process: str, *, level: int = logging.INFO) -> None:
    """Every line of this process goes to standard error as JSON and carries `process`."""
    structlog.configure(
        # One for all: a line is written for each request, and each processor costs as much as the line.
        processors=[_Line(process)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format='{"event":"library","logger":"%(name)s"}')


class _StandardError:
    """Writes lines to standard error. A line that cannot be written (a full disk, no reader) stops nobody."""

    def __init__(self, *_names: object) -> None:
        """structlog hands over what a logger was asked for by."""

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.buffer.write(line + b"\n")
            sys.stderr.buffer.flush()

    debug = info = warning = error = critical = msg


class _Line:
    """The processor that makes a line of an event: level, time, process; what is unknown is dropped."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._second = 0
        self._text = ""

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        if "exc_info" in event:
            _exception_without_values(event)
        if not event.keys() <= FIELDS:
            _drop_unknown(event)
        event["level"] = method
        event["time"] = self._now()
        event["process"] = self._process
        return msgspec.json.encode(event, enc_hook=str)

    def _now(self) -> str:
        """UTC. Busy servers write many lines in a second, so its text is kept."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int((now - second) * 1_000_000):06d}Z"


def _drop_unknown(event: EventDict) -> None:
    unknown = sorted(event.keys() - FIELDS)
    for name in unknown:
        del event[name]
    event["dropped"] = unknown


def _exception_without_values(event: EventDict) -> None:
    """Where it broke, by file, line and type: an exception's text may quote the data it broke on."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        frames = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["exception"] = {"type": type(error).__name__, "frames": frames[-12:]}
