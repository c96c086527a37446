"""What is read of a file is bounded, packed or not."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from fhir_server.commands.load import sources as load_sources
from fhir_server.commands.load.contents import shipments_of_lines
from fhir_server.commands.load.shipments import Group
from fhir_server.commands.load.sources import Unreadable, opened, sources


def test_a_small_file_that_unpacks_into_a_large_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_sources, "DOCUMENT_BYTES_MAX", 1000)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b" " * 1_000_000))
    [source] = sources([tmp_path])
    with opened(source) as content, pytest.raises(Unreadable, match="more than 1000 bytes"):
        content.document()


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_sources, "LINE_BYTES_MAX", 1000)
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(b"{}\n" + b" " * 1_000_000))
    [source] = sources([tmp_path])
    with opened(source) as content:
        lines = content.lines()
        assert next(lines) == (1, b"{}")
        with pytest.raises(Unreadable, match="Line 2 is longer than 1000 bytes"):
            next(lines)


def test_ndjson_of_any_length_needs_little_memory(tmp_path: Path) -> None:
    line = b'{"resourceType":"Patient","id":"p%d","address":[{"text":"' + b"x" * 2000 + b'"}]}\n'
    with gzip.open(tmp_path / "p.ndjson.gz", "wb", compresslevel=1) as file:
        for number in range(20_000):
            file.write(line % number)
    [source] = sources([tmp_path])
    tracemalloc.start()
    with opened(source) as content:
        count = sum(
            shipment.resources
            for shipment in shipments_of_lines(content.lines(), update=False)
            if isinstance(shipment, Group)
        )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8_000_000, "of 41 MB"


def test_a_byte_order_mark_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\r\n  \n{"b":2}')
    [source] = sources([tmp_path])
    with opened(source) as content:
        assert list(content.lines()) == [(1, b'{"a":1}'), (4, b'{"b":2}')]


def test_a_file_named_twice_is_loaded_once(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")
    assert len(sources([file, tmp_path, file])) == 1


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"nowhere.json` cannot be read: No such file"):
        sources([tmp_path / "nowhere.json"])
