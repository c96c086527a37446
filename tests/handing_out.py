"""
How tests are handed out to two processes: by file, so that what a file's tests share is made once.

Each process has a mongod of its own. What starts whole servers, kills them, or measures time or memory
is one piece of work, and the first: at most one of such tests runs at a time, whatever else does. One that
compares how long something takes is marked `alone`, and nothing else runs meanwhile.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

SERVERS: Final = (
    "tests/processes/",
    "tests/simulation/",
    "tests/commands/test_serve.py",
    "tests/conformance/test_bench",
    "tests/preparing/",
    "tests/server/test_attacks_bombs.py",
    "tests/server/test_attacks_sockets.py",
    "tests/server/test_docs_in_a_browser.py",
    "tests/store/test_crash.py",
)


def servers_first(items: list[pytest.Item], root: Path) -> None:
    """That piece is the longest, and should not be begun last; the rest stays in order."""
    items.sort(key=lambda item: _piece_of(item.path.relative_to(root).as_posix()) != "servers")


def by_file(config: pytest.Config, log: Any) -> Any:
    """A file is a piece of work, in the order of the collection; SERVERS are one together."""
    config.option.loadscopereorder = False
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _piece_of
    return scheduling


@contextmanager
def taking_turns(item: pytest.Item) -> Iterator[None]:
    """While a test that is marked `alone` runs, no other process of the run is in one."""
    if not hasattr(item.config, "workerinput"):
        yield
        return
    # Two files that are there anyway, as locks.
    with Path(__file__).open("rb") as gate, Path(__file__).with_name("conftest.py").open("rb") as room:
        # Who waits for the room to be empty holds the gate, so that nobody else enters meanwhile.
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Closing would not do: a process that the test forked has the file open, too.
            fcntl.flock(room, fcntl.LOCK_UN)


def _piece_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return "servers" if path.startswith(SERVERS) else path
