"""A mongod in a data folder: who may use it, where it listens, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from fhir_server.store.embedded import (
    CannotStart,
    EmbeddedMongod,
    FolderInUse,
    MongodOptions,
    joined,
    running,
)
from fhir_server.store.embedded.replica_set import NOT_YET_INITIALIZED, make_primary
from tests.processes.served import children, first_children, gone, is_alive

SMALL = MongodOptions(cache_gb=0.25)

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")


async def test_it_is_a_replica_set_and_so_has_transactions(mongodb_url: str, new_database_name: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        things = client[new_database_name]["things"]
        async with client.start_session() as session, await session.start_transaction():
            await things.insert_one({"a": 1}, session=session)
        assert await things.count_documents({}) == 1


async def test_it_listens_on_the_socket_in_a_closed_folder_and_nowhere_else(folder: Path) -> None:
    async with running(folder, SMALL) as mongod:
        assert mongod.pid is not None
        path = _socket_of(mongod)
        assert path == folder / "run" / "mongod.sock"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert _listening_sockets(mongod.pid) == [str(path)]
        assert os.getsid(mongod.pid) == mongod.pid != os.getsid(0)


async def test_a_second_one_on_the_folder_is_refused(folder: Path) -> None:
    async with running(folder, SMALL):
        with pytest.raises(FolderInUse, match=rf"in use by `fhir-server serve` \(pid {os.getpid()}\)"):
            async with running(folder, SMALL):
                pass


async def test_a_command_joins_the_mongod_that_runs(folder: Path) -> None:
    async with running(folder, SMALL) as mongod, joined(folder, SMALL) as url:
        assert url == mongod.url


async def test_a_command_starts_one_when_none_runs_and_stops_it_again(folder: Path) -> None:
    async with joined(folder, SMALL) as url, AsyncMongoClient[dict[str, Any]](url) as client:
        await client["test"]["things"].insert_one({"_id": 1})
        # Another command at the same time uses the same one.
        async with joined(folder, SMALL) as other:
            assert other == url
    async with running(folder, SMALL) as mongod, AsyncMongoClient[dict[str, Any]](mongod.url) as client:
        assert await client["test"]["things"].count_documents({}) == 1


async def test_a_server_waits_for_a_command_that_holds_the_folder(folder: Path) -> None:
    async with joined(folder, SMALL, "token"):
        starting = asyncio.create_task(_started(folder))
        await asyncio.sleep(0.1)
        assert not starting.done()
    await starting


async def test_it_stops_only_when_commands_that_joined_are_done(folder: Path) -> None:
    ended: list[str] = []

    async def serve(serving: asyncio.Event, leave: asyncio.Event) -> None:
        async with running(folder, SMALL):
            serving.set()
            await leave.wait()
        ended.append("server")

    serving, leave = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(serve(serving, leave))
    await serving.wait()
    async with joined(folder, SMALL) as url, AsyncMongoClient[dict[str, Any]](url) as client:
        leave.set()
        await asyncio.sleep(0.2)
        await client["test"]["things"].insert_one({"_id": 1})
        ended.append("command")
    await server
    assert ended == ["command", "server"]


async def test_one_that_hangs_is_killed_and_started_again(folder: Path) -> None:
    impatient = MongodOptions(cache_gb=0.25, ping_every_seconds=0.2, silent_seconds_max=0.5)
    async with running(folder, impatient) as mongod:
        hanging = mongod.pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        async with AsyncMongoClient[dict[str, Any]](mongod.url) as client:
            await client["test"]["things"].insert_one({"_id": 1})
        assert mongod.pid not in {hanging, None}
        assert not is_alive(hanging)


async def test_one_that_is_killed_while_it_starts_is_started_again_at_once(folder: Path) -> None:
    async with running(folder, SMALL) as mongod:
        present = children(os.getpid())
        assert mongod.pid is not None
        os.kill(mongod.pid, signal.SIGKILL)
        for _ in range(2):
            [starting] = await first_children(os.getpid(), besides=present)
            present.append(starting)
            await asyncio.sleep(0.2)
            os.kill(starting, signal.SIGKILL)
        async with asyncio.timeout(10), AsyncMongoClient[dict[str, Any]](mongod.url) as client:
            await client["test"]["things"].insert_one({"_id": 1})


async def test_a_set_that_is_not_known_to_be_one_yet_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mongod listens before it has read its configuration; on a busy machine it can be asked so early."""
    async with running(folder, SMALL) as mongod:
        command = AsyncDatabase.command
        asked: list[str] = []

        async def too_early(self: AsyncDatabase[Any], name: str, *rest: Any, **more: Any) -> Any:
            asked.append(name)
            if asked.count("replSetGetConfig") == 1 and name == "replSetGetConfig":
                raise OperationFailure("no replset config has been received", NOT_YET_INITIALIZED)
            return await command(self, name, *rest, **more)

        monkeypatch.setattr(AsyncDatabase, "command", too_early)
        await make_primary(_socket_of(mongod))
        assert asked[:3] == ["replSetGetConfig", "replSetInitiate", "replSetGetConfig"]


async def test_a_folder_that_was_moved_opens_under_its_new_path(folder: Path) -> None:
    async with running(folder, SMALL) as mongod, AsyncMongoClient[dict[str, Any]](mongod.url) as client:
        await client["test"]["things"].insert_one({"_id": 1})
    moved = folder.with_name(f"{folder.name}-moved")
    shutil.move(folder, moved)
    async with running(moved, SMALL) as mongod, AsyncMongoClient[dict[str, Any]](mongod.url) as client:
        assert await client["test"]["things"].count_documents({}) == 1


async def test_a_folder_with_a_long_path_works_like_any_other(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    folder = tmp_path / ("long" * 30)
    async with running(folder, SMALL) as mongod, AsyncMongoClient[dict[str, Any]](mongod.url) as client:
        await client["test"]["things"].insert_one({"_id": 1})
        async with joined(folder, SMALL) as url:
            assert url == mongod.url


async def test_a_folder_that_mongod_cannot_read_is_refused_with_mongods_reason(folder: Path) -> None:
    (folder / "mongo").mkdir(parents=True)
    (folder / "mongo" / "storage.bson").write_text("not a database")
    with pytest.raises(CannotStart, match=r"^mongod did not start: Unable to read the storage engine"):
        async with running(folder, SMALL):
            pass


async def test_a_foreign_mongod_on_the_folder_is_named(folder: Path) -> None:
    async with running(folder, SMALL) as mongod:
        foreign = mongod.pid
        # As if somebody had started it by hand: nobody holds our lock.
        (folder / "server.lock").unlink()
        hasty = MongodOptions(cache_gb=0.25, stop_seconds_max=0.2)
        with pytest.raises(CannotStart, match=rf"did not start \(pid {foreign}\)"):
            async with running(folder, hasty):
                pass


async def test_cancelling_the_start_leaves_nothing(folder: Path) -> None:
    present = children(os.getpid())
    starting = asyncio.create_task(_started(folder))
    started = await first_children(os.getpid(), besides=present)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await gone(started)


async def _started(folder: Path) -> None:
    async with running(folder, SMALL):
        pass


def _socket_of(mongod: EmbeddedMongod) -> Path:
    return Path(urllib.parse.unquote(mongod.url.removeprefix("mongodb://").partition("/?")[0]))


def _listening_sockets(pid: int) -> list[str]:
    """The addresses where the process listens, TCP and Unix. man 5 proc_net, man 5 proc_pid_fd"""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            # TCP_LISTEN
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.append(fields[1])
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        # __SO_ACCEPTCON: it listens.
        if int(fields[3], 16) & 0x10000 and f"socket:[{fields[6]}]" in inodes:
            found.append(fields[7])
    return found
