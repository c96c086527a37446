"""
What tests share: one real mongod for the session, and a database of one's own.

Nothing is left behind: the mongod is tied to this process (it dies with it, however that ends), and
the last fixture to end looks for children that a test forgot.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.store.embedded import MongodOptions, running


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a process behind."""
    yield
    left = [f"{pid}: {command}" for pid, command in _children()]
    assert left == [], "stop what a test starts"


@pytest.fixture(scope="session")
def short_folder(nothing_left_behind: None) -> Iterator[Path]:
    """A folder with a short path: a Unix socket's path has room for about 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="fhir-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mongodb_url(short_folder: Path) -> AsyncIterator[str]:
    """The address of a mongod of this test session: a replica set of one member."""
    options = MongodOptions(cache_gb=0.5)
    async with running(short_folder / "session", options, "pytest") as mongod:
        yield mongod.url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _administrator(mongodb_url: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def database_name(
    _administrator: AsyncMongoClient[dict[str, Any]],
) -> AsyncIterator[str]:
    """The name of a database that no other test uses; dropped after the test."""
    name = f"test-{uuid4().hex}"
    yield name
    # mongod keeps files open for each collection and index, so they must not pile up.
    await _administrator.drop_database(name)


def _children() -> list[tuple[int, str]]:
    """Processes whose parent is this one. Empty where there is no /proc to ask."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            # It ended while we were looking.
            continue
        if parent == os.getpid():
            found.append((int(entry.name), command))
    return found
