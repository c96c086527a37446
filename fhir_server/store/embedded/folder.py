"""
The data folder: what lies where in it, and who may look.

    server.lock     held by the process that works on the folder; names its pid and the database
    joined.lock     held, shared, by commands that use that process's database for a moment
    mongod.log      what mongod has to say, without anything that clients sent to it
    mongo/          the database
    run/            the Unix socket on which mongod listens, and nothing else does

The socket has no password: the mode 0700 of its folder is what keeps other users of the machine
out. A socket's path has room for about 107 bytes (`sun_path`, man 7 unix), and drivers write the
names of a set's members in lower case. When the folder's own path is longer than that, or has a
capital, the socket lies in a folder of the system's temporary folder, named after a hash of the
real path, so that each start finds the same one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fhir_server.store.embedded.errors import CannotStart

SOCKET_PATH_BYTES_MAX = 103
"""macOS has room for 104 bytes with the closing zero, Linux for 108."""

SHORT_FOLDER = Path("/tmp")  # noqa: S108  what is made there is closed to others, see `_private`
"""Where the system's own temporary folder has a long name or capitals, as on macOS."""

OWNER_ONLY = 0o700


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder that exists and belongs to us."""

    path: Path
    socket: Path

    @property
    def lock(self) -> Path:
        """Held by the one process that works on the folder."""
        return self.path / "server.lock"

    @property
    def joined(self) -> Path:
        """Held, shared, by those who use the holder's database."""
        return self.path / "joined.lock"

    @property
    def log(self) -> Path:
        """The newest lines of mongod's log."""
        return self.path / "mongod.log"

    @property
    def database(self) -> Path:
        """mongod's own folder."""
        return self.path / "mongo"


def prepared(data_dir: Path) -> DataFolder:
    """Create what is missing of the folder. One that is not ours alone to use is refused."""
    try:
        path = data_dir.expanduser().resolve()
        path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        _private(path / "mongo")
        return DataFolder(path, _private(_socket_folder(path)) / "mongod.sock")
    except OSError as error:
        raise CannotStart(f"The data folder {data_dir} cannot be used: {error.strerror}") from error


def _socket_folder(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    temporary = (Path(tempfile.gettempdir()), SHORT_FOLDER)
    outside = [folder / f"fhir-server-{digest}" for folder in temporary if folder.is_dir()]
    for folder in (path / "run", *outside):
        if _fits(folder):
            return folder
    raise CannotStart(
        f"The paths of {path} and of the temporary folder are both too long for a Unix socket, or have "
        "capitals; choose a shorter data folder"
    )


def _fits(folder: Path) -> bool:
    socket = folder / "mongod.sock"
    return len(os.fsencode(socket)) <= SOCKET_PATH_BYTES_MAX and str(socket) == str(socket).lower()


def _private(folder: Path) -> Path:
    """
    The folder, owned by us and closed to others.

    Looked at without following a link: in the temporary folder, anyone may have put one there.
    """
    folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise CannotStart(f"{folder} is not a folder of ours; it belongs to user {found.st_uid}")
    if stat.S_IMODE(found.st_mode) != OWNER_ONLY:
        folder.chmod(OWNER_ONLY)
    return folder
