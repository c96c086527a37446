from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from fhir_server.supervisor.metrics import PREFIX, UNTOUCHED_SECONDS, metrics_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_gone_with_the_run() -> None:
    with metrics_folder() as folder:
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_what_a_killed_run_left_is_removed(temporary: Path) -> None:
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    (left / "counter_1.db").write_bytes(b"numbers")
    _age(left)
    with metrics_folder():
        assert not left.exists()


def test_a_folder_in_use_or_just_made_is_left_alone(temporary: Path) -> None:
    with metrics_folder() as used:
        _age(Path(used))
        just_made = temporary / f"{PREFIX}new"
        just_made.mkdir()
        with metrics_folder():
            assert Path(used).exists()
            assert just_made.exists()


def _age(folder: Path) -> None:
    old = folder.stat().st_mtime - UNTOUCHED_SECONDS - 1
    os.utime(folder, (old, old))
