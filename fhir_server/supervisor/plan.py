"""
What is to run: the supervisor's plan, and what it tells each worker.

A worker is told through its standard input, never on the command line or in the environment, where
other programs could read the secrets among the settings.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fhir_server.store.embedded import MongodOptions

RUNS = "fhir-server-"
"""How the name of each run begins, and so the application names of all its database connections."""


@dataclass(frozen=True, slots=True)
class SupervisorPlan:
    """What `serve` is to run. Raise no limit here that has a setting: the command fills them in."""

    run_id: str
    """Names this run among all that share a database; begins with RUNS."""
    data_dir: Path
    settings: dict[str, Any]
    """What the application is made from, as JSON; the supervisor does not look into it."""
    mongodb_url: str | None = None
    """A MongoDB that exists; without one, mongod is embedded."""
    mongodb_database: str = "fhir"
    time_zone: str = "UTC"
    """Of dates that state none; a database that has another one is not served."""
    mongod: MongodOptions = field(default_factory=MongodOptions)
    application: str = "fhir_server.app:create_app"
    """`module:function`; called with the WorkerSpec, gives the ASGI application."""
    workers: int = 1
    host: str = "127.0.0.1"
    port: int = 8080
    mllp_host: str = "127.0.0.1"
    mllp_port: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    connections_max: int = 2_000
    """Of each worker."""
    drain_seconds_max: float = 20.0
    start_seconds_max: float = 60.0
    silent_seconds_max: float = 60.0
    """A worker whose event loop has stood still for so long is killed and started again."""


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker needs to know."""

    name: str
    """Unique for this start of this worker; the application name of its database connections."""
    parent: int
    """The supervisor's pid: without it, the worker ends."""
    application: str
    settings: dict[str, Any]
    mongodb_url: str
    port: int
    """The HTTP port that the server listens on."""
    http_descriptor: int
    """Our end of the channel over which connections come (handover.py), inherited."""
    mllp_descriptor: int | None
    """The bound socket for HL7 v2; one worker alone has it, so that each sender's order is kept."""
    tls_cert: str | None
    tls_key: str | None
    proxies: tuple[str, ...]
    connections_max: int
    drain_seconds_max: float
    sign_of_life_seconds: float
    """How often the worker reports that its event loop turns."""
    metrics_dir: str
    """Where the workers of this run put their numbers together."""

    def http_channel(self) -> socket.socket:
        """Where HTTP connections come from."""
        return socket.socket(fileno=self.http_descriptor)

    def mllp_socket(self) -> socket.socket | None:
        """The socket that listens for HL7 v2, when it is this worker's."""
        return None if self.mllp_descriptor is None else socket.socket(fileno=self.mllp_descriptor)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells the supervisor, a line each: that it serves, that it lives, or why not."""

    serving: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """What is there once all workers serve."""

    mongodb_url: str
    port: int
    mllp_port: int | None
