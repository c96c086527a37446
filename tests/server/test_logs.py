"""Logs are facts, and a log that cannot be written stops nobody."""

from __future__ import annotations

import io
import json
import sys

import pytest
import structlog

from fhir_server.logs import configure


class _Stream(io.BytesIO):
    @property
    def buffer(self) -> io.BytesIO:
        return self


def test_a_line_is_one_fact_without_fields_that_nobody_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _Stream()
    monkeypatch.setattr(sys, "stderr", written)
    configure("test")
    structlog.get_logger().info("interaction", status=200, resource={"name": "Muster"})
    (line,) = written.getvalue().splitlines()
    fact = json.loads(line)
    assert (fact["event"], fact["status"], fact["process"]) == ("interaction", 200, "test")
    assert fact["dropped"] == ["resource"]
    assert b"Muster" not in line


def test_an_exception_is_told_by_place_and_type_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _Stream()
    monkeypatch.setattr(sys, "stderr", written)
    configure("test")
    error = ValueError("Muster")
    structlog.get_logger().error("bug", exc_info=error)
    assert b"ValueError" in written.getvalue()
    assert b"Muster" not in written.getvalue()


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = _Stream()
    monkeypatch.setattr(sys, "stderr", closed)
    configure("test")
    closed.close()
    assert structlog.get_logger().info("interaction") is None
