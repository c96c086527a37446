"""
The sockets that the server listens on.

The supervisor binds them, so that a port that is taken is known before anything starts, and keeps
them open while it runs, so that a connection that arrives while a worker is started again waits
instead of being refused. HTTP connections are handed out to the workers (handover.py); the socket
for HL7 v2 is inherited by one of them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from fhir_server.store.embedded import CannotStart
from fhir_server.supervisor.plan import SupervisorPlan

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Sockets:
    """What listens."""

    http: socket.socket
    mllp: socket.socket | None

    @property
    def port(self) -> int:
        """The HTTP port, also when a free one was asked for."""
        return _port(self.http)

    @property
    def mllp_port(self) -> int | None:
        """The port for HL7 v2; None when it is off."""
        return None if self.mllp is None else _port(self.mllp)


@contextmanager
def listening(plan: SupervisorPlan) -> Iterator[Sockets]:
    """Bind what the plan names, until the block ends. Raises CannotStart."""
    with ExitStack() as stack:
        http = stack.enter_context(_bound(plan.host, plan.port))
        mllp = None
        if plan.mllp_port is not None:
            mllp = stack.enter_context(_bound(plan.mllp_host, plan.mllp_port))
        yield Sockets(http, mllp)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotStart(f"`{host}` is not an address of this machine: {error.strerror}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotStart(f"Cannot listen on {host} port {port}: {error.strerror}") from error
    return bound


def _port(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port
