"""
Where the workers of one run put their numbers together, for whichever answers /metrics.

A folder that a run left behind because it was killed is removed by the next one. Each run holds a
lock on its own (`flock`, man 2 flock), so nobody removes what is in use.

https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "fhir-server-metrics-"
UNTOUCHED_SECONDS = 60.0
"""A younger folder may belong to a run that has not locked it yet."""


@contextmanager
def metrics_folder() -> Iterator[str]:
    """An empty folder, closed to others, until the block ends."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, _locked(Path(folder)):
        _remove_abandoned(Path(folder))
        yield folder


def _remove_abandoned(own: Path) -> None:
    now = own.stat().st_mtime
    for other in own.parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = other.lstat()
            if found.st_uid == os.geteuid() and now - found.st_mtime > UNTOUCHED_SECONDS:
                with _locked(other):
                    shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises BlockingIOError when another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
