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
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 3
LINE_CHARACTERS_MAX = 2_000
PROBLEMS_KEPT = 20

WITHOUT_DOCUMENTS = frozenset({"ACCESS", "CONTROL", "ELECTION", "FTDC", "NETWORK", "RECOVERY", "STORAGE"})
"""
Components whose attributes are paths, settings and addresses. REPL and INDEX are not among them:
an operation that cannot be applied, or a key that is there twice, is quoted.
"""

ALWAYS_KEPT = frozenset({"t", "s", "c", "id", "ctx", "msg"})
SEVERE = frozenset({"E", "F"})


class MongodLog:
    """Where mongod's lines go; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")
        self._size = path.stat().st_size
        self._problems: deque[str] = deque(maxlen=PROBLEMS_KEPT)

    @property
    def last_problem(self) -> str | None:
        """The newest message that says why mongod could not go on."""
        return self._problems[-1] if self._problems else None

    def add(self, line: bytes) -> None:
        """Write what may be kept of one line."""
        kept, problem = without_documents(line)
        if problem is not None:
            self._problems.append(problem)
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


def without_documents(line: bytes) -> tuple[bytes, str | None]:
    """What may be kept of a line, and the problem that it tells, if it tells one."""
    try:
        entry = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        # Not mongod's own: the dynamic linker, or a crash before the log was set up.
        text = line.decode(errors="replace").strip()[:LINE_CHARACTERS_MAX]
        return msgspec.json.encode({"msg": text}), text or None
    attributes = _kept(entry.get("c"), entry.get("attr", {}))
    kept = {name: value for name, value in entry.items() if name in ALWAYS_KEPT}
    return msgspec.json.encode({**kept, "attr": attributes}), _problem(entry, attributes)


def _kept(component: object, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    if component in WITHOUT_DOCUMENTS:
        return attributes
    return {name: value for name, value in attributes.items() if isinstance(value, int | float | bool)}


def _problem(entry: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    if entry.get("s") not in SEVERE:
        return None
    error = attributes.get("error")
    return f"{entry.get('msg')}: {error}" if error else str(entry.get("msg"))
