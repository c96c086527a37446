"""The secret that wraps the signing keys: from the settings, or a file that its owner alone can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_server.smart.keys import SECRET_BYTES, SecretMismatchError


def wrapping_secret(data_dir: Path, configured: str | None) -> bytes:
    """
    The secret of this deployment; the file is made when it is missing.

    Raises SecretMismatchError when what is configured is no secret.
    """
    if configured is not None:
        return _decoded(configured, "FHIR_SERVER_SECRET")
    path = data_dir / "secret"
    if not path.exists():
        _make(path)
    return _decoded(path.read_text(), str(path))


def derived(secret: bytes, purpose: str) -> bytes:
    """A key for this purpose alone, of SECRET_BYTES. https://www.rfc-editor.org/rfc/rfc5869"""
    return HKDF(SHA256(), SECRET_BYTES, None, purpose.encode()).derive(secret)


def _make(path: Path) -> None:
    """Written whole under another name and then linked, so that nobody reads half a secret."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _decoded(text: str, origin: str) -> bytes:
    try:
        decoded = bytes.fromhex(text.strip())
    except ValueError as error:
        raise SecretMismatchError(f"{origin} is not written in hexadecimal digits") from error
    if len(decoded) != SECRET_BYTES:
        raise SecretMismatchError(f"{origin} must have {2 * SECRET_BYTES} hexadecimal digits")
    return decoded
