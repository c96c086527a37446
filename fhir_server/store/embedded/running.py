"""
An embedded mongod for as long as somebody needs it.

`running` takes the data folder, starts mongod there, starts it again whenever it dies or hangs, and
stops it. `joined` is for a command that must work whether a server runs or not.

What is promised:

* one process works on a data folder; another one is refused, or joins;
* mongod listens on the folder's Unix socket and nowhere else;
* its address does not change over a restart, so clients only have to try again;
* it never outlives the process that started it, however that one ends;
* at most one mongod at a time works on a folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from pymongo.errors import PyMongoError

from fhir_server.store.embedded import lock, process, replica_set
from fhir_server.store.embedded.backoff import Backoff
from fhir_server.store.embedded.binary import mongod
from fhir_server.store.embedded.errors import CannotStart, FolderInUse
from fhir_server.store.embedded.folder import DataFolder, prepared
from fhir_server.store.embedded.lock import FolderLock, Holder

log = structlog.get_logger(__name__)

LISTENING_POLL_SECONDS = 0.01
JOIN_POLL_SECONDS = 0.05
EVICTION = ",".join(
    f"eviction_{what}={percent}"
    for what, percent in (
        ("dirty_trigger", 60),
        ("dirty_target", 40),
        ("updates_trigger", 60),
        ("updates_target", 40),
    )
)
"""https://source.wiredtiger.com/11.0.0/tune_cache.html"""


@dataclass(frozen=True, slots=True)
class MongodOptions:
    """What the operator may choose, and the limits."""

    executable: Path | None = None
    cache_gb: float = 1.0
    start_seconds_max: float = 60.0
    stop_seconds_max: float = 20.0
    ping_every_seconds: float = 5.0
    silent_seconds_max: float = 60.0
    """A mongod that has not answered for so long is killed and started again."""
    idle_file_seconds_max: int = 600
    """The file of a collection or index that nobody has used for so long is closed; dropped ones, too."""
    journal_file_mb: int = 100
    """How large a file of the journal is; there are three of them."""
    joiners_seconds_max: float = 10.0
    """How long a command that has joined may keep mongod from stopping."""


class EmbeddedMongod:
    """A mongod that is kept running in a data folder."""

    def __init__(self, folder: DataFolder, options: MongodOptions) -> None:
        self._folder = folder
        self._options = options
        self._command = _command(folder, options)
        self._process: process.MongodProcess | None = None

    @property
    def url(self) -> str:
        """Where clients find it; the same after a restart."""
        return replica_set.url_of(self._folder.socket)

    @property
    def pid(self) -> int | None:
        """The process id of the present mongod; None between two of them."""
        if self._process is None or self._process.has_exited:
            return None
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it can be written to; raise CannotStart with the reason if not."""
        try:
            # The last mongod may still be on its way out after a kill of the server.
            await lock.released(self._folder.database / "mongod.lock", self._options.stop_seconds_max)
            self._process = await process.start(self._command, self._folder.log)
            async with asyncio.timeout(self._options.start_seconds_max):
                await self._become_primary(self._process)
        except (OSError, PyMongoError, TimeoutError) as error:
            await self.stop()
            raise CannotStart(self._why(error)) from error
        except BaseException:
            self._kill()
            raise
        log.info("mongod_started", pid=self._process.pid)

    async def keep(self) -> None:
        """Start it again whenever it dies or hangs, until cancelled."""
        backoff = Backoff()
        while True:
            started = asyncio.get_running_loop().time()
            await self._ended()
            await asyncio.sleep(backoff.after(asyncio.get_running_loop().time() - started))
            try:
                await self.start()
            except CannotStart as error:
                log.error("mongod_not_started", reason=str(error))

    async def stop(self) -> None:
        """Stop it; everything acknowledged is on disk before and after."""
        if self._process is not None and not self._process.has_exited:
            code = await self._process.stop(self._options.stop_seconds_max)
            log.info("mongod_stopped", exit_code=code)

    async def _become_primary(self, started: process.MongodProcess) -> None:
        """Raises CannotStart as soon as mongod has ended instead."""
        becoming = asyncio.create_task(self._primary())
        ending = asyncio.create_task(started.exit_code())
        try:
            await asyncio.wait((becoming, ending), return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                raise CannotStart(f"mongod did not start: {started.problem}; see {self._folder.log}")
            becoming.result()
        finally:
            becoming.cancel()
            ending.cancel()
            await asyncio.wait((becoming, ending))

    async def _primary(self) -> None:
        while not _listens(self._folder.socket):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LISTENING_POLL_SECONDS)
        await replica_set.make_primary(self._folder.socket)

    async def _ended(self) -> None:
        """Wait until mongod is gone; see to it that it goes when it has been silent for too long."""
        present = self._process
        if present is None:
            return
        answered = asyncio.get_running_loop().time()
        while (code := await present.exit_code_within(self._options.ping_every_seconds)) is None:
            now = asyncio.get_running_loop().time()
            if await replica_set.is_healthy(self._folder.socket, self._options.ping_every_seconds):
                answered = now
            elif now - answered > self._options.silent_seconds_max:
                log.error("mongod_silent", pid=present.pid, seconds=round(now - answered))
                present.kill()
        log.error("mongod_died", exit_code=code, reason=present.problem)

    def _kill(self) -> None:
        if self._process is not None and not self._process.has_exited:
            self._process.kill()

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            seconds = self._options.start_seconds_max
            return f"mongod was not ready within {seconds:g} seconds; see {self._folder.log}"
        return f"mongod did not start: {error}"


@asynccontextmanager
async def running(
    data_dir: Path,
    options: MongodOptions = MongodOptions(),
    command: str = "serve",
    *,
    lasting: bool = True,
) -> AsyncIterator[EmbeddedMongod]:
    """
    Work on a data folder with a mongod of its own, until the block ends.

    `command` and our pid are what another process is told while we hold the folder; it waits for
    us when we are not `lasting`. Raises CannotStart.
    """
    folder = prepared(data_dir)
    held = await FolderLock.take(folder.lock, command, lasting=lasting)
    try:
        database = EmbeddedMongod(folder, options)
        await database.start()
        keeping = asyncio.create_task(database.keep())
        try:
            held.publish(database.url)
            yield database
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))
            held.withdraw()
            async with lock.without_joiners(folder.joined, options.joiners_seconds_max):
                await database.stop()
    finally:
        held.release()


def refuse_while_served(data_dir: Path) -> None:
    """Raise FolderInUse when a server works on the folder: early, and without waiting."""
    lock.refuse_while_served(prepared(data_dir).lock)


@asynccontextmanager
async def joined(
    data_dir: Path, options: MongodOptions = MongodOptions(), command: str = "token"
) -> AsyncIterator[str]:
    """
    The address of a data folder's database, with its server running or stopped.

    Where a server runs, its mongod is used, and does not stop before the block ends (within
    limits). Else one is started for the block. Raises CannotStart.
    """
    deadline = asyncio.get_running_loop().time() + options.start_seconds_max
    async with contextlib.AsyncExitStack() as stack:
        while (url := await _joined_or_started(data_dir, options, command, stack)) is None:
            if asyncio.get_running_loop().time() > deadline:
                raise FolderInUse(f"The database of {data_dir} did not get ready in time")
            await asyncio.sleep(JOIN_POLL_SECONDS)
        yield url


async def _joined_or_started(
    data_dir: Path, options: MongodOptions, command: str, stack: contextlib.AsyncExitStack
) -> str | None:
    """The address, for as long as the stack is open; None while a server starts or stops."""
    folder = prepared(data_dir)
    holder = lock.holder_of(folder.lock)
    if holder is not None:
        return _join(folder, holder, stack)
    with contextlib.suppress(FolderInUse):
        own = running(data_dir, options, command, lasting=False)
        return (await stack.enter_async_context(own)).url
    return None


def _join(folder: DataFolder, holder: Holder, stack: contextlib.AsyncExitStack) -> str | None:
    """The holder's database, kept from stopping while the stack is open; None while it has none."""
    with contextlib.ExitStack() as attempt:
        if not attempt.enter_context(lock.joining(folder.joined)):
            return None
        # Asked again, now that we are in: it may have begun to stop before.
        present = lock.holder_of(folder.lock)
        if present is None or present.url is None or present.pid != holder.pid:
            return None
        stack.enter_context(attempt.pop_all())
        return present.url


def _engine(options: MongodOptions) -> str:
    """https://source.wiredtiger.com/11.0.0/group__wt.html#gacbe8d118f978f5bfc8ccb4c77c9e8813"""
    idle_seconds = options.idle_file_seconds_max
    # mongod ends at once when it may open no more files.
    closing = f"file_manager=(close_idle_time={idle_seconds},close_scan_interval={min(10, idle_seconds)})"
    return f"{EVICTION},{closing},log=(file_max={options.journal_file_mb}MB)"


def _command(folder: DataFolder, options: MongodOptions) -> list[str]:
    return [
        str(mongod(options.executable)),
        *("--dbpath", str(folder.database)),
        # The socket is the only address: no TCP port, and none of the usual sockets in /tmp.
        *("--bind_ip", str(folder.socket), "--nounixsocket", "--filePermissions", "0600"),
        # A port that the member's address does not have, else mongod asks the resolver whether
        # the socket's path is the name of a host. Nothing listens on it.
        *("--port", "27018"),
        *("--replSet", replica_set.NAME, "--oplogSize", "1024"),
        *("--wiredTigerCacheSizeGB", f"{options.cache_gb:g}"),
        # Room for what a large transaction has not committed yet: with the defaults (20 % and 10 % of the
        # cache) a Bundle of 12,000 entries is refused, with these one of 25,000 takes 21 s.
        *("--wiredTigerEngineConfigString", _engine(options)),
        # What it has freed goes back to the system: after a transaction of 60 MB it would keep 800 more.
        *("--setParameter", "tcmallocAggressiveMemoryDecommit=1"),
        # JavaScript on the server is not used, so nobody shall be able to.
        "--noscripting",
        # Connections are not news; a slow operation would be logged with what it looked for.
        *("--quiet", "--slowOpSampleRate", "0"),
        # The limit on a long transaction, such as a Bundle of some thousand entries.
        *("--setParameter", "transactionLifetimeLimitSeconds=120"),
        # A write to disk and a CPU burst each second, for MongoDB's own support.
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
