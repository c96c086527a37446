from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fhir_server.store.embedded import MongodMissing
from fhir_server.store.embedded.binary import mongod


def test_the_mongod_of_the_wheel_is_found() -> None:
    found = mongod()
    assert found.is_absolute()
    assert found.parts[-4:] == ("fiftyone", "db", "bin", "mongod")


def test_a_mongod_that_is_named_comes_first(tmp_path: Path) -> None:
    named = tmp_path / "mongod"
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    assert mongod(named) == named


def test_a_name_that_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MongodMissing, match="is not a program"):
        mongod(tmp_path / "nothing")


def test_a_platform_without_one_is_told_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MongodMissing, match=r"No mongod comes with the packages.*--mongodb-url"):
        mongod()
