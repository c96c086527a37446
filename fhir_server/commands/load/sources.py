"""
What there is to load: files, folders and standard input, gzipped or not.

Nothing is read until it is asked for, and never more of it than a limit: a line of NDJSON, or a
document of JSON, each as long as it is after decompression. So neither an NDJSON file of many
gigabytes nor a small file that unpacks into one fills the memory.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
READ_BYTES: Final = 256 * 1024

STANDARD_INPUT: Final = Path("-")
LINES: Final = (".ndjson", ".jsonl")
DOCUMENT: Final = (".json",)
GZIP_MAGIC: Final = b"\x1f\x8b"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """A source that cannot be read, or not any further, and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or standard input: its name, and what tells whether it is still the same."""

    path: Path
    bytes: int
    modified_ns: int

    def __str__(self) -> str:
        return "standard input" if self.path == STANDARD_INPUT else str(self.path)

    @property
    def holds_lines(self) -> bool:
        """NDJSON, a resource on each line, rather than one document."""
        return self.path == STANDARD_INPUT or _is_named(self.path, LINES)


class Content:
    """The bytes of one source while it is open, unpacked when they are gzipped."""

    def __init__(self, packed: io.BufferedReader[io.FileIO]) -> None:
        self._packed = packed
        zipped = packed.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        self._plain: gzip.GzipFile | io.BufferedReader[io.FileIO] = (
            gzip.GzipFile(fileobj=packed) if zipped else packed
        )

    @property
    def bytes_read(self) -> int:
        """How far the source has been read, in its own bytes, gzipped or not."""
        return self._packed.raw.tell() if self._packed.seekable() else 0

    def document(self) -> bytes:
        """All of it, without the byte order mark that some editors put in front."""
        with _damage_named():
            text = self._plain.read(DOCUMENT_BYTES_MAX + 1)
        if len(text) > DOCUMENT_BYTES_MAX:
            raise Unreadable(
                f"A document of more than {DOCUMENT_BYTES_MAX} bytes; NDJSON may be of any length"
            )
        return text.removeprefix(BYTE_ORDER_MARK)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line that is not blank, with its number counted from 1."""
        number = 1
        while line := self._line(number):
            text = line.removeprefix(BYTE_ORDER_MARK).strip()
            if text:
                yield number, text
            number += 1

    def _line(self, number: int) -> bytes:
        with _damage_named():
            line = self._plain.readline(LINE_BYTES_MAX + 1)
        if len(line) > LINE_BYTES_MAX:
            raise Unreadable(f"Line {number} is longer than {LINE_BYTES_MAX} bytes")
        return line


def sources(paths: Iterable[Path]) -> list[Source]:
    """
    Every file among `paths`, folders opened up (recursively, sorted by name, hidden files left out).

    In a folder only `.json`, `.ndjson` and `.jsonl` files count, and `.gz` of each; a file that is
    named itself is taken whatever it is called. Raises Unreadable when a path is not there.
    """
    found = []
    for path in paths:
        if path == STANDARD_INPUT:
            found.append(Source(path, 0, 0))
            continue
        try:
            found += [_source(file) for file in (_files(path) if path.is_dir() else [path])]
        except OSError as error:
            raise Unreadable(f"`{error.filename or path}` cannot be read: {error.strerror}") from error
    return list(dict.fromkeys(found))


@contextmanager
def opened(source: Source) -> Iterator[Content]:
    """Open a source for reading; raises Unreadable when that fails."""
    with _damage_named():
        stdin = source.path == STANDARD_INPUT
        file = io.FileIO(sys.stdin.fileno(), closefd=False) if stdin else io.FileIO(source.path)
    with io.BufferedReader(file, READ_BYTES) as packed:
        with _damage_named():
            content = Content(packed)
        yield content


def _files(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(parent, name)
            if not name.startswith(".") and _is_named(file, DOCUMENT + LINES):
                yield file


def _source(file: Path) -> Source:
    status = file.stat()
    # A pipe (`load <(zcat ...)`) has no size to show progress by, and is never the same file again.
    regular = stat.S_ISREG(status.st_mode)
    return Source(file, status.st_size if regular else 0, status.st_mtime_ns)


def _is_named(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(suffixes)


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unreadable("The gzip data is damaged or cut off") from error
    except OSError as error:
        raise Unreadable(f"It cannot be read: {error.strerror}") from error
