"""
Text that this deployment alone can have written, and that opens only where it was meant to.

A seal is deterministic authenticated encryption (AES-SIV): what is sealed cannot be read, nothing of
the text can be changed, and what it is bound to is not in it but has to be known again to open it. The
keys are derived from those that sign access tokens (keys.py), so all processes have them, and a
restart keeps them. Tags are compared in constant time, by the library.

https://www.rfc-editor.org/rfc/rfc5297
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fhir_server.smart.keys import SigningKeys

SEALED_CHARACTERS_MAX: Final = 1_000
_KEY_BYTES: Final = 64
_TEXT: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{SEALED_CHARACTERS_MAX}}}")


class Seals:
    """Seals of one purpose; those of another one do not open."""

    def __init__(self, keys: SigningKeys, purpose: str) -> None:
        self._keys = keys
        self._purpose = purpose
        self._generation = -1
        self._of_generation: Sequence[AESSIV] = ()

    @property
    def _ciphers(self) -> Sequence[AESSIV]:
        """One for each key that there is now, the current one first."""
        if self._generation != self._keys.generation:
            secrets = self._keys.derived(self._purpose, bytes_count=_KEY_BYTES)
            self._of_generation = [AESSIV(secret) for secret in secrets]
            self._generation = self._keys.generation
        return self._of_generation

    def sealed(self, content: bytes, bound: bytes) -> str:
        """`content`, safe in a URL, to be opened with the same `bound`; equal for what is equal."""
        text = base64.urlsafe_b64encode(self._ciphers[0].encrypt(content, [bound])).decode().rstrip("=")
        assert len(text) <= SEALED_CHARACTERS_MAX, "what is sealed is short"
        return text

    def opened(self, text: str, bound: bytes) -> bytes | None:
        """What was sealed; None for whatever else, with no reason told."""
        if not _TEXT.fullmatch(text) or len(text) % 4 == 1:
            return None
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
            # The last character may have bits that say nothing; a changed text is another one.
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw, [bound])
            except (InvalidTag, ValueError):
                continue
        return None
