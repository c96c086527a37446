from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.embedded import log
from fhir_server.store.embedded.log import WITHOUT_DOCUMENTS, MongodLog, without_documents

SLOW_QUERY = {
    "t": {"$date": "2024-03-01T12:00:00.000+00:00"},
    "s": "I",
    "c": "COMMAND",
    "id": 51803,
    "ctx": "conn7",
    "msg": "Slow query",
    "attr": {
        "command": {"find": "resources", "filter": {"tok": "Patient|family|meyer"}},
        "durationMillis": 812,
    },
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_slow_query_keeps_its_time_and_loses_what_it_asked_for() -> None:
    kept, _, _ = without_documents(json.dumps(SLOW_QUERY).encode())
    assert json.loads(kept) == {**SLOW_QUERY, "attr": {"durationMillis": 812}}


@given(
    st.text().filter(lambda component: component not in WITHOUT_DOCUMENTS),
    st.dictionaries(st.text(), values, max_size=4),
)
def test_no_text_of_an_operation_is_kept(component: str, attributes: dict[str, object]) -> None:
    line = {"s": "I", "c": component, "id": 1, "ctx": "conn1", "msg": "An event", "attr": attributes}
    kept, _, _ = without_documents(json.dumps(line).encode())
    assert all(isinstance(value, bool | int) for value in json.loads(kept)["attr"].values())


@pytest.mark.parametrize("place", ["original", "truncated", "size"])
def test_what_a_line_has_beside_its_known_parts_is_left_out(place: str) -> None:
    kept, _, _ = without_documents(json.dumps({**SLOW_QUERY, place: {"a": "meyer"}}).encode())
    assert b"meyer" not in kept


def test_the_first_fatal_message_says_why_mongod_could_not_go_on(tmp_path: Path) -> None:
    kept = MongodLog(tmp_path / "mongod.log")
    assert kept.problem == "it gave no reason"
    for severity, component, text, attributes in (
        ("E", "CONTROL", "Failed to unlink", {"error": "Permission denied"}),
        ("F", "STORAGE", "Unable to read", {"error": {"code": 22, "errmsg": "Incorrect BSON"}}),
        ("F", "ASSERT", "\n\n***aborting after fassert() failure\n\n", {}),
    ):
        line = {"s": severity, "c": component, "msg": text, "attr": attributes}
        kept.add(json.dumps(line).encode())
    kept.close()
    assert kept.problem == "Unable to read: Incorrect BSON"


def test_a_line_of_the_dynamic_linker_says_why_too(tmp_path: Path) -> None:
    kept = MongodLog(tmp_path / "mongod.log")
    kept.add(b"mongod: error while loading shared libraries: libssl.so.3\n")
    kept.close()
    assert kept.problem == "mongod: error while loading shared libraries: libssl.so.3"


def test_the_file_is_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES_MAX", 300)
    path = tmp_path / "mongod.log"
    kept = MongodLog(path)
    for _ in range(40):
        kept.add(json.dumps(SLOW_QUERY).encode())
    kept.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "mongod.log",
        "mongod.log.1",
        "mongod.log.2",
    ]
    assert all(entry.stat().st_size < 600 for entry in tmp_path.iterdir())
