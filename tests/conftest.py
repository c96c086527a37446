"""
What tests share: one real mongod for the session, and a database of one's own.

Nothing is left behind: the mongod is tied to this process (it dies with it, however that ends), and
the last fixture to end looks for processes that a test forgot, also for those whose parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from hypothesis import settings

from fhir_server.store.embedded import MongodOptions, running
from tests.databases import a_database, a_new_database, gone
from tests.folders import a_short_folder
from tests.handing_out import by_file, servers_first, taking_turns

# In CI the examples of property tests are the same each time; elsewhere they are new ones, and a failure
# prints how to repeat it. A busy machine is slow, not wrong: there is no deadline for an example.
settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same" if os.environ.get("CI") else "new")

PR_SET_CHILD_SUBREAPER = 36
ENDING_SECONDS_MAX = 5.0
FREE_BYTES_MIN = 400 << 20
"""The journal of a server's mongod, and what a test writes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is simulated: docs/testing.md."""
    group = parser.getgroup("simulation")
    group.addoption("--simulation-seed", type=int, default=1, help="The first seed; 1 by default.")
    group.addoption("--simulation-seeds", type=int, default=1, help="How many seeds, each a run of its own.")
    group.addoption("--simulation-rounds", type=int, default=6, help="How many kills a run has.")
    group.addoption("--large-entries", type=int, default=3_000, help="Entries of the large transaction.")
    group.addoption("--walk-matches", type=int, default=400, help="Matches that are walked through.")
    group.addoption("--races", type=int, default=1, help="How many times as long the races are.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    servers_first(items, config.rootpath)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--numprocesses`; see tests/handing_out.py."""
    return by_file(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The wait of a test that runs alone, and for one, is no part of the time that it may take."""
    with taking_turns(item):
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a disk or a mongod each further test would fail for a reason of its own, many after minutes."""
    free, folder = shutil.disk_usage(tempfile.gettempdir()).free, tempfile.gettempdir()
    if free < FREE_BYTES_MIN:
        item.session.shouldfail = f"{free >> 20} MB are free in {folder}, {FREE_BYTES_MIN >> 20} are needed"
    if gone:
        item.session.shouldfail = f"the mongod of this process is gone: {gone[0]}"


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a process behind."""
    _adopt_orphans()
    yield
    deadline = time.monotonic() + ENDING_SECONDS_MAX
    while (left := _children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == [], "stop what a test starts"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that ran in this process says for it what is logged."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder of the test's own, with a path short enough for a Unix socket."""
    with a_short_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mongodb_url(nothing_left_behind: None) -> AsyncIterator[str]:
    """The address of a mongod of this test session: a replica set of one member."""
    # Each test leaves some fifty files behind, some twenty thousand of which may be open.
    options = MongodOptions(cache_gb=0.5, idle_file_seconds_max=5, journal_file_mb=20)
    with a_short_folder() as folder:
        async with running(folder / "session", options, "pytest") as mongod:
            yield mongod.url


@pytest_asyncio.fixture(loop_scope="session")
async def database_name(mongodb_url: str) -> AsyncIterator[str]:
    """The name of an empty database that no other test uses meanwhile."""
    async with a_database(mongodb_url) as name:
        yield name


@pytest_asyncio.fixture(loop_scope="session")
async def new_database_name(mongodb_url: str) -> AsyncIterator[str]:
    """The name of a database that is not there yet."""
    async with a_new_database(mongodb_url) as name:
        yield name


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends, instead of init. man 2 prctl"""
    if sys.platform == "linux":
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _children() -> list[str]:
    """Running processes whose parent this is. Empty where there is no /proc to ask."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            # It ended while we were looking.
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append(f"{entry.name}: {command}")
    return found
