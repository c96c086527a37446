"""
Which files have been loaded already, so that a load that was interrupted goes on where it was.

One JSON line for each file that was loaded without a failure: the server, the file's path, size and
time of change. A file that has changed since, or that went to another server, is loaded again. The
unit is the file: one that was interrupted half way is sent again as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import msgspec

from fhir_server.commands.load.sources import STANDARD_INPUT, Source


class JournalUnusable(Exception):
    """The journal cannot be read or written."""


class Line(msgspec.Struct, frozen=True):
    url: str
    path: str
    bytes: int
    modified_ns: int


class Journal:
    """The journal in `file`, of loads to `url`; without a file it knows nothing and keeps nothing."""

    def __init__(self, file: Path | None, url: str) -> None:
        self._file = file
        self._url = url
        with self._trouble_named():
            self._known = _read(file) if file else set()
            self._stream: TextIO | None = file.open("a", encoding="utf-8") if file else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            self._stream.close()

    def has(self, source: Source) -> bool:
        return self._line(source) in self._known

    def record(self, source: Source) -> None:
        if self._stream and source.path != STANDARD_INPUT:
            with self._trouble_named():
                self._stream.write(msgspec.json.encode(self._line(source)).decode() + "\n")
                self._stream.flush()

    def _line(self, source: Source) -> Line:
        return Line(self._url.rstrip("/"), str(source.path.absolute()), source.bytes, source.modified_ns)

    @contextmanager
    def _trouble_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalUnusable(f"The journal `{self._file}` cannot be used: {error.strerror}") from error


def _read(file: Path) -> set[Line]:
    """What it says; a line that was cut off while it was written counts as not written."""
    known = set()
    if file.exists():
        for text in file.read_bytes().splitlines():
            try:
                known.add(msgspec.json.decode(text, type=Line))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
    return known
