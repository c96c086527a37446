"""
One mongod process, and the thread that is its parent.

The thread starts mongod, reads its log until the end, and collects its exit code. It lives exactly
as long as mongod does, which the kernel's "kill me when my parent dies" needs (tether.py), and it
does so whatever event loop is running or blocked: a full pipe would stop mongod.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from fhir_server.store.embedded import tether
from fhir_server.store.embedded.log import MongodLog

TETHER = Path(tether.__file__)


class MongodProcess:
    """A mongod that was started; `exited` holds its exit code once it has one."""

    def __init__(self, process: subprocess.Popen[bytes], exited: Future[int], log: MongodLog) -> None:
        self._process = process
        self._exited = exited
        self._log = log

    @property
    def pid(self) -> int:
        """The process id of mongod."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether mongod is gone."""
        return self._exited.done()

    @property
    def problem(self) -> str:
        """Why it ended, as far as it said so."""
        return self._log.problem

    async def exit_code(self) -> int:
        """Wait for the end. Cancelling the wait does not end mongod."""
        return await asyncio.shield(asyncio.wrap_future(self._exited))

    async def exit_code_within(self, seconds_max: float) -> int | None:
        """As `exit_code`; None when it has not ended in that time."""
        try:
            return await asyncio.wait_for(self.exit_code(), seconds_max)
        except TimeoutError:
            return None

    async def stop(self, seconds_max: float) -> int:
        """Ask it to stop, make it stop when it takes too long, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await self.exit_code_within(seconds_max)
        except asyncio.CancelledError:
            self.kill()
            raise
        if code is None:
            self.kill()
        return await self.exit_code()

    def kill(self) -> None:
        """End it now. The journal has everything that was acknowledged."""
        self._process.kill()


async def start(command: Sequence[str], log: Path) -> MongodProcess:
    """Start mongod in a session of its own, so that Ctrl-C in a terminal reaches the server only."""
    started: Future[MongodProcess] = Future()
    threading.Thread(target=_keep, args=(command, log, started), name="mongod", daemon=True).start()
    try:
        return await asyncio.shield(asyncio.wrap_future(started))
    except asyncio.CancelledError:
        # It may be on its way already, and nobody else would ever know of it.
        started.add_done_callback(_kill)
        raise


def _kill(started: Future[MongodProcess]) -> None:
    if started.exception() is None:
        started.result().kill()


def _keep(command: Sequence[str], log_path: Path, started: Future[MongodProcess]) -> None:
    try:
        log = MongodLog(log_path)
        process = _spawn(command)
    except OSError as error:
        started.set_exception(error)
        return
    exited: Future[int] = Future()
    started.set_result(MongodProcess(process, exited, log))
    assert process.stdout is not None
    # A disk that is full must not leave the pipe unread.
    for line in process.stdout:
        with contextlib.suppress(OSError):
            log.add(line)
    code = process.wait()
    process.stdout.close()
    if process.stdin is not None:
        process.stdin.close()
    log.close()
    exited.set_result(code)


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the command is our own, and no shell is involved
        # -I and -S: the tether needs the standard library only, and starts in 20 ms.
        [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Nothing of the server's environment, which may hold secrets, is any business of mongod's.
        env={"LC_ALL": "C"},
        umask=0o077,
        start_new_session=True,
    )
