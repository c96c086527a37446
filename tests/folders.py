"""Folders with a short path, gone with the test: what mongod keeps is 300 MB of journal for each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def a_short_folder() -> Iterator[Path]:
    """A new folder; a Unix socket's path has room for about 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="fhir-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
