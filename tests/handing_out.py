"""
How tests are handed out to two processes: by file, so that what a file's tests share is made once.

Each process has a mongod of its own. What starts whole servers, kills them, or measures time or memory
is one piece of work, and the first: at most one of such tests runs at a time, whatever else does.
"""

from __future__ import annotations

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


def _piece_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return "servers" if path.startswith(SERVERS) else path
