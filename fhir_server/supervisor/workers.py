"""
One worker after the other in one place: started, watched, started again when it dies.

A worker reports on its standard output, a line each: once that it serves (or why it cannot), then
again and again that its event loop turns. Its log goes where ours goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog

from fhir_server.store.embedded import CannotStart
from fhir_server.store.embedded.backoff import Backoff
from fhir_server.supervisor.handover import Dispatcher
from fhir_server.supervisor.plan import Report, SupervisorPlan, WorkerSpec
from fhir_server.supervisor.sockets import Sockets

log = structlog.get_logger(__name__)

KILL_MARGIN_SECONDS = 10.0
"""What a worker gets beyond its time to drain, to finish with the database."""
LAST_WORDS_SECONDS = 1.0
SIGNS_OF_LIFE = 6
"""How many of them a worker may miss."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers of a run have in common."""

    plan: SupervisorPlan
    sockets: Sockets
    dispatcher: Dispatcher
    mongodb_url: str
    metrics_dir: str
    release: Callable[[str], Awaitable[int]]
    """Ends what the worker of that name has left open in the database."""


class Worker:
    """The place of one worker; `number` counts from 0."""

    def __init__(self, number: int, around: Surroundings) -> None:
        self._number = number
        self._around = around
        self._starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.serving = asyncio.Event()

    async def keep(self) -> None:
        """
        Run it, and run it again when it dies, until `stop`.

        Raises CannotStart when it has never served: then the cause is not going to pass.
        """
        backoff = Backoff()
        has_served = False
        while not self._stopping:
            started = asyncio.get_running_loop().time()
            name = self._next_name()
            reason = await self._live(name)
            has_served = has_served or self.serving.is_set()
            self.serving.clear()
            if self._stopping:
                return
            if not has_served:
                raise CannotStart(reason)
            log.error("worker_died", worker=self._number, reason=reason)
            await self._around.release(name)
            await asyncio.sleep(backoff.after(asyncio.get_running_loop().time() - started))

    async def stop(self, seconds_max: float) -> None:
        """Let it finish what it has begun; kill it when the time is over."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), seconds_max)
        except TimeoutError:
            log.warning("worker_killed", worker=self._number, pid=process.pid, seconds=seconds_max)
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End it now."""
        self._stopping = True
        if self._process is not None:
            self._signal(self._process, signal.SIGKILL)

    async def _live(self, name: str) -> str:
        """One life from start to end; why it ended."""
        channel, theirs = socket.socketpair()
        try:
            process = await self._spawn(name, theirs)
            theirs.close()
            return await self._until_end(process, channel)
        finally:
            self._around.dispatcher.remove(channel)
            channel.close()
            theirs.close()

    async def _until_end(self, process: asyncio.subprocess.Process, channel: socket.socket) -> str:
        try:
            reason = await self._watch(process, channel)
            self._around.dispatcher.remove(channel)
            if reason is not None:
                self._signal(process, signal.SIGKILL)
            code = await process.wait()
            return reason or f"worker {self._number} ended with exit code {code}"
        except BaseException:
            self._signal(process, signal.SIGKILL)
            raise

    async def _spawn(self, name: str, channel: socket.socket) -> asyncio.subprocess.Process:
        spec = self._spec(name, channel)
        inherited = (spec.http_descriptor, spec.mllp_descriptor)
        self._process = process = await asyncio.create_subprocess_exec(
            # -P: nothing is imported from the folder that the server happens to be started in.
            *(sys.executable, "-P", "-m", "fhir_server.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[descriptor for descriptor in inherited if descriptor is not None],
            # A session of its own: Ctrl-C reaches the supervisor, which stops the workers in order.
            start_new_session=True,
        )
        assert process.stdin is not None
        # The pipe stays open: where the kernel cannot do it, its end tells the worker of ours.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(msgspec.json.encode(spec) + b"\n")
            await process.stdin.drain()
        log.info("worker_spawned", worker=self._number, pid=process.pid)
        return process

    async def _watch(self, process: asyncio.subprocess.Process, channel: socket.socket) -> str | None:
        """Wait for its end. The reason, when it gives one or has been silent for too long."""
        while (line := await self._next_report(process)) is not None:
            if line == b"":
                return None
            report = msgspec.json.decode(line, type=Report)
            if not report.serving:
                return report.reason or "no reason given"
            if not self.serving.is_set() and not self._stopping:
                self.serving.set()
                channel.setblocking(False)  # noqa: FBT003 - the standard library's only way to say it
                self._around.dispatcher.add(channel)
        return f"worker {self._number} has given no sign of life in time"

    async def _next_report(self, process: asyncio.subprocess.Process) -> bytes | None:
        """A line; nothing when it has ended or is about to, None when it says nothing in time."""
        assert process.stdout is not None
        plan = self._around.plan
        seconds = plan.silent_seconds_max if self.serving.is_set() else plan.start_seconds_max
        # Its end is waited for as well: a child of its own might keep the pipe open.
        reading = asyncio.ensure_future(process.stdout.readline())
        ending = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait((reading, ending), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                # Its last words may still be in the pipe.
                await asyncio.wait((reading,), timeout=LAST_WORDS_SECONDS)
            if reading.done():
                return reading.result()
            return b"" if ending.done() or self._stopping else None
        finally:
            reading.cancel()
            ending.cancel()

    def _spec(self, name: str, channel: socket.socket) -> WorkerSpec:
        around, plan = self._around, self._around.plan
        # One process listens for HL7 v2, so that the order of each sender is kept.
        mllp = around.sockets.mllp if self._number == 0 else None
        return WorkerSpec(
            name=name,
            parent=os.getpid(),
            application=plan.application,
            settings=plan.settings,
            mongodb_url=around.mongodb_url,
            port=around.sockets.port,
            http_descriptor=channel.fileno(),
            mllp_descriptor=None if mllp is None else mllp.fileno(),
            tls_cert=None if plan.tls_cert is None else str(plan.tls_cert),
            tls_key=None if plan.tls_key is None else str(plan.tls_key),
            proxies=plan.proxies,
            connections_max=plan.connections_max,
            drain_seconds_max=plan.drain_seconds_max,
            sign_of_life_seconds=plan.silent_seconds_max / SIGNS_OF_LIFE,
            metrics_dir=around.metrics_dir,
        )

    def _next_name(self) -> str:
        self._starts += 1
        return f"{self._around.plan.run_id}.worker-{self._number}.{self._starts}"

    @staticmethod
    def _signal(process: asyncio.subprocess.Process, number: int) -> None:
        # Not `process.send_signal`: it collects the exit code first, and asyncio, which waits for
        # the same, then never learns it (https://github.com/python/cpython/issues/87744).
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
