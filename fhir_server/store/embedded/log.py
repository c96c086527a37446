"""
mongod's log, without what clients sent.

mongod writes JSON lines, and some of them quote the operation that they speak of: a slow query, a
failed plan, a duplicate key. In this database that is patient data. Leaving it out is a feature of
the Enterprise build only, so mongod writes to a pipe, and what reaches the file is chosen here:
message, severity and component of every line; its attributes only from components that never see
a document, and numbers from all.

The file is rotated by size. https://www.mongodb.com/docs/manual/reference/log-messages/
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 3
LINE_CHARACTERS_MAX = 2_000

WITHOUT_DOCUMENTS = frozenset({"ACCESS", "CONTROL", "ELECTION", "FTDC", "NETWORK", "RECOVERY", "STORAGE"})
"""
Components whose attributes are paths, settings and addresses. REPL and INDEX are not among them:
an operation that cannot be applied, or a key that is there twice, is quoted.
"""

ALWAYS_KEPT = frozenset({"t", "s", "c", "id", "ctx", "msg"})
FATAL = "F"
ERROR = "E"


class MongodLog:
    """Where mongod's lines go; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")
        self._size = path.stat().st_size
        self._error: str | None = None
        self._fatal: str | None = None

    @property
    def problem(self) -> str:
        """Why mongod could not go on: its first fatal message, or else its newest error."""
        return self._fatal or self._error or "it gave no reason"

    def add(self, line: bytes) -> None:
        """Write what may be kept of one line."""
        kept, severity, problem = without_documents(line)
        if severity == FATAL:
            self._fatal = self._fatal or problem
        elif severity == ERROR:
            self._error = problem
        self._file.write(kept + b"\n")
        self._file.flush()
        self._size += len(kept) + 1
        if self._size > FILE_BYTES_MAX:
            self._rotate()

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        names = [self._path, *(self._path.with_suffix(f".log.{n}") for n in range(1, FILES_KEPT))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._file = self._path.open("ab")
        self._size = 0


def without_documents(line: bytes) -> tuple[bytes, str, str]:
    """What may be kept of a line, its severity, and its message in one line for the operator."""
    try:
        entry = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        # Not mongod's own: the dynamic linker, or a crash before the log was set up.
        text = line.decode(errors="replace").strip()[:LINE_CHARACTERS_MAX]
        return msgspec.json.encode({"msg": text}), ERROR if text else "", text
    attributes = _kept(entry.get("c"), entry.get("attr", {}))
    kept = {name: value for name, value in entry.items() if name in ALWAYS_KEPT}
    content = msgspec.json.encode({**kept, "attr": attributes})
    return content, str(entry.get("s")), _message(str(entry.get("msg")), attributes)


def _kept(component: object, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    if component in WITHOUT_DOCUMENTS:
        return attributes
    return {name: value for name, value in attributes.items() if isinstance(value, int | float | bool)}


def _message(text: str, attributes: Mapping[str, Any]) -> str:
    error = attributes.get("error")
    if isinstance(error, Mapping):
        error = error.get("errmsg", error.get("codeName"))
    return " ".join((text if error is None else f"{text}: {error}").split())
