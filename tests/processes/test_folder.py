from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from fhir_server.store.embedded import CannotStart
from fhir_server.store.embedded.folder import SOCKET_PATH_BYTES_MAX, prepared


def test_what_is_missing_is_made_for_the_owner_alone(folder: Path) -> None:
    made = prepared(folder / "data")
    for path in (made.path, made.database, made.socket.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_folder_that_is_open_to_others_is_closed_where_the_database_is(folder: Path) -> None:
    (folder / "mongo").mkdir(parents=True, mode=0o755)
    assert stat.S_IMODE(prepared(folder).database.stat().st_mode) == 0o700


def test_the_socket_of_a_long_path_lies_in_one_short_folder_each_time(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    long = tmp_path / ("x" * 200)
    socket = prepared(long).socket
    assert len(str(socket)) <= SOCKET_PATH_BYTES_MAX
    assert socket.parent.parent == short_folder
    assert prepared(long / ".." / long.name).socket == socket
    assert prepared(tmp_path / ("y" * 200)).socket != socket


def test_the_socket_of_a_path_with_capitals_lies_in_one_without(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers compare the names of a set's members in lower case: they would never find this one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "T"))
    (tmp_path / "T").mkdir()
    monkeypatch.setattr("fhir_server.store.embedded.folder.SHORT_FOLDER", short_folder)
    made = prepared(tmp_path / "Users" / "Ánna")
    assert str(made.socket) == str(made.socket).lower()
    assert made.socket.parent.parent == short_folder
    assert made.path.name == "Ánna"


def test_a_link_in_the_place_of_the_short_folder_is_not_followed(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    long = tmp_path / ("z" * 200)
    place = prepared(long).socket.parent
    place.rmdir()
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart, match="is not a folder of ours"):
        prepared(long)


def test_two_paths_that_are_both_too_long_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("t" * 100)))
    monkeypatch.setattr("fhir_server.store.embedded.folder.SHORT_FOLDER", tmp_path / ("t" * 100))
    with pytest.raises(CannotStart, match="too long for a Unix socket"):
        prepared(tmp_path / ("x" * 200))


def test_a_file_in_the_place_of_the_folder_is_refused(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(CannotStart, match="cannot be used: File exists"):
        prepared(folder)
