from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from fhir_server.store.embedded import FolderInUse
from fhir_server.store.embedded.lock import FolderLock, holder_of, joining, without_joiners

TAKE_AND_WAIT = """
import asyncio, pathlib, sys, time
from fhir_server.store.embedded.lock import FolderLock
held = asyncio.run(FolderLock.take(pathlib.Path(sys.argv[1]), "serve", lasting=True))
held.publish("mongodb://there")
print("held", flush=True)
time.sleep(60)
"""


async def test_the_holder_says_who_and_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    assert holder_of(path) is None
    held = await FolderLock.take(path, "serve", lasting=True)
    held.publish("mongodb://there")
    holder = holder_of(path)
    assert holder is not None
    assert (holder.pid, holder.command, holder.url) == (os.getpid(), "serve", "mongodb://there")
    held.withdraw()
    assert (holder := holder_of(path)) is not None
    assert holder.url is None
    held.release()
    assert holder_of(path) is None


async def test_the_lock_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TAKE_AND_WAIT, str(path)), stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"held\n"
    with pytest.raises(FolderInUse, match=f"pid {other.pid}"):
        await FolderLock.take(path, "serve", lasting=True)
    other.kill()
    await other.communicate()
    (await FolderLock.take(path, "serve", lasting=True)).release()


async def test_a_command_that_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    held = await FolderLock.take(path, "token", lasting=False)
    taking = asyncio.create_task(FolderLock.take(path, "serve", lasting=True))
    await asyncio.sleep(0.1)
    assert not taking.done()
    held.release()
    (await taking).release()


async def test_a_taking_that_is_cancelled_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    held = await FolderLock.take(path, "token", lasting=False)
    taking = asyncio.create_task(FolderLock.take(path, "serve", lasting=True))
    await asyncio.sleep(0.05)
    taking.cancel()
    held.release()
    with pytest.raises(asyncio.CancelledError):
        await taking
    (await FolderLock.take(path, "serve", lasting=True)).release()


async def test_joiners_are_waited_for_within_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "joined.lock"
    with joining(path) as first, joining(path) as second:
        assert first
        assert second
        async with without_joiners(path, seconds_max=0.05) as alone:
            assert not alone


async def test_nobody_joins_what_is_being_closed(tmp_path: Path) -> None:
    path = tmp_path / "joined.lock"
    async with without_joiners(path, seconds_max=1) as alone:
        assert alone
        with joining(path) as joined:
            assert not joined
