"""
Where a page ends and the next begins: a key, never a number of entries to skip.

A position is opaque to clients, and whatever comes back from one is judged before it is used.
It confers no right: each page asks again what its caller may see.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from fhir_server.r4.errors import Invalid
from fhir_server.store.documents import Document


@dataclass(frozen=True, slots=True)
class Position:
    """
    Behind the entry whose sort key is `value` (None: it has none) and whose unique key is `tie`.

    `as_of` is the time of the first page (ms since 1970) where the order can change meanwhile.
    """

    value: int | None
    tie: str
    as_of: int | None = None

    def to_text(self) -> str:
        """Opaque, and safe in a URL."""
        text = msgspec.json.encode([self.value, self.tie, self.as_of])
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Position:
        """Raises Invalid for what `to_text` did not write."""
        if not _TEXT.fullmatch(text):
            raise Invalid(_FOREIGN)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            value, tie, as_of = _decode(raw)
        except (ValueError, msgspec.DecodeError) as error:
            raise Invalid(_FOREIGN) from error
        return cls(value, tie, as_of)


def keyset(field: str, tie_field: str, after: Position, direction: int, tie_direction: int = 0) -> Document:
    """The filter for what comes behind `after`, which has a value, in the order of both fields."""
    beyond = "$gt" if direction > 0 else "$lt"
    tie_beyond = "$gt" if (tie_direction or direction) > 0 else "$lt"
    return {
        field: {f"{beyond}e": after.value},
        "$or": [{field: {beyond: after.value}}, {tie_field: {tie_beyond: after.tie}}],
    }


_FOREIGN: Final = "The page link is not one that this server gave out"
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{1,400}")

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Tie = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_./~-]{0,200}\Z")]
_decode = msgspec.json.Decoder(tuple[_Int64 | None, _Tie, _Int64 | None]).decode
