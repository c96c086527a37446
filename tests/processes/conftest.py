from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(short_folder: Path) -> Path:
    """A data folder of one's own that does not exist yet, with a path short enough for a socket."""
    return short_folder / "data"


@pytest.fixture
def entries(request: pytest.FixtureRequest) -> int:
    """How many entries the large transaction has."""
    asked: int = request.config.getoption("large_entries")
    return asked
