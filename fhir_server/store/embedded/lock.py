"""
Who works on a data folder: one process at a time.

The lock is the kernel's (`flock`, man 2 flock), so it ends with its holder however that one ends,
and no stale file can keep a folder closed. The file's content is for people and for commands: it
names the holder and, once the database answers, its address.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import msgspec

from fhir_server.store.embedded.errors import CannotStart, FolderInUse

POLL_SECONDS = 0.02
COMMAND_SECONDS_MAX = 30.0
CONTENT_BYTES = 1024
"""The content is padded to one size, so that it is replaced in one write."""


class Holder(msgspec.Struct, frozen=True):
    """The process that works on a folder."""

    pid: int
    command: str
    lasting: bool
    """A server stays; a command such as `token` is done in a moment and worth waiting for."""
    url: str | None = None


class FolderLock:
    """The right to work on a data folder; `take` it, `release` it."""

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor = descriptor
        self._holder = holder

    @classmethod
    async def take(cls, path: Path, command: str, *, lasting: bool) -> Self:
        """
        Take the lock, or raise FolderInUse with the holder's pid.

        A command that holds it is done in a moment, and waited for; a server is not.
        """
        descriptor = _opened(path)
        try:
            await _take(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        lock = cls(descriptor, Holder(os.getpid(), command, lasting))
        lock._write()
        return lock

    def publish(self, url: str) -> None:
        """Tell commands where the database is."""
        self._holder = msgspec.structs.replace(self._holder, url=url)
        self._write()

    def withdraw(self) -> None:
        """Tell commands that the database is about to stop."""
        self._holder = msgspec.structs.replace(self._holder, url=None)
        self._write()

    def release(self) -> None:
        """Give the folder to the next one."""
        os.close(self._descriptor)

    def _write(self) -> None:
        content = msgspec.json.encode(self._holder).ljust(CONTENT_BYTES)
        os.pwrite(self._descriptor, content, 0)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does, or has not signed yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _locked(descriptor, fcntl.LOCK_SH):
            return None
        return msgspec.json.decode(os.pread(descriptor, CONTENT_BYTES, 0), type=Holder)
    except msgspec.DecodeError:
        return None
    finally:
        os.close(descriptor)


def refuse_while_served(path: Path) -> None:
    """Raise FolderInUse when a server works on the folder."""
    holder = holder_of(path)
    if holder is not None and holder.lasting:
        raise FolderInUse(_in_use(path, holder))


@contextmanager
def joining(path: Path) -> Iterator[bool]:
    """Hold the holder's database open for a moment; False when it is being closed."""
    descriptor = _opened(path)
    try:
        yield _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def without_joiners(path: Path, seconds_max: float) -> AsyncIterator[bool]:
    """Wait until nobody is joined, and let nobody join meanwhile; False when the time is over."""
    descriptor = _opened(path)
    try:
        yield await _locked_within(descriptor, seconds_max)
    finally:
        os.close(descriptor)


async def released(path: Path, seconds_max: float) -> None:
    """Wait until the file at `path`, which another program locks while it runs, is free again."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        if not await _locked_within(descriptor, seconds_max):
            pid = os.pread(descriptor, CONTENT_BYTES, 0).decode(errors="replace").strip()
            raise CannotStart(
                f"A mongod that this server did not start (pid {pid or 'unknown'}) works on "
                f"{path.parent}; stop it first"
            )
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"{path} cannot be opened: {error.strerror}") from error


async def _take(descriptor: int, path: Path) -> None:
    deadline = asyncio.get_running_loop().time() + COMMAND_SECONDS_MAX
    while not _locked(descriptor, fcntl.LOCK_EX):
        refuse_while_served(path)
        if asyncio.get_running_loop().time() > deadline:
            raise FolderInUse(_in_use(path, holder_of(path)))
        await asyncio.sleep(POLL_SECONDS)


async def _locked_within(descriptor: int, seconds_max: float) -> bool:
    deadline = asyncio.get_running_loop().time() + seconds_max
    while not _locked(descriptor, fcntl.LOCK_EX):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(path: Path, holder: Holder | None) -> str:
    who = f"`fhir-server {holder.command}` (pid {holder.pid})" if holder else "another process"
    return f"The data folder {path.parent} is in use by {who}; stop it or choose another --data-dir"
