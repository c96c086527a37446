"""
Where a page ends and the next begins: a key, never a number of entries to skip.

A position is a gap between entries, and says which way a page is read from it. In a link it is sealed
(fhir_server/pipeline/links.py); what comes back is judged all the same before it is used. It confers no
right: each page asks again what its caller may see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

import msgspec

from fhir_server.r4.errors import Invalid
from fhir_server.store.documents import Document


@dataclass(frozen=True, slots=True)
class Position:
    """
    Behind the entry whose sort key is `value` (None: it has none) and whose unique key is `tie`.

    `as_of` is the time of the first page (ms since 1970) where the order can change meanwhile. The
    page from here is what comes next; with `back`, what ends here.
    """

    value: int | None
    tie: str
    as_of: int | None = None
    back: bool = False

    @classmethod
    def beginning(cls, as_of: int) -> Self:
        """Before everything, of a time up to which nothing is still to be committed."""
        return cls(None, "", as_of)

    @property
    def turned(self) -> Self:
        """The same gap, to be read the other way."""
        return replace(self, back=not self.back)

    def to_text(self) -> str:
        """Short, and bounded."""
        return msgspec.json.encode([self.value, self.tie, self.as_of, self.back]).decode()

    @classmethod
    def from_text(cls, text: str | bytes) -> Position:
        """Raises Invalid for what `to_text` does not write."""
        try:
            value, tie, as_of, back = _decode(text)
        except (ValueError, msgspec.DecodeError) as error:
            raise Invalid(FOREIGN) from error
        return cls(value, tie, as_of, back)


def keyset(field: str, tie_field: str, after: Position, direction: int, tie_direction: int = 0) -> Document:
    """
    The filter for what the page from `after` may have, which has a value, in the order of both fields.

    That is what comes behind it; read back, itself and what comes before.
    """
    tie_direction = tie_direction or direction
    if after.back:
        direction, tie_direction = -direction, -tie_direction
    beyond = "$gt" if direction > 0 else "$lt"
    return {
        field: {f"{beyond}e": after.value},
        "$or": [{field: {beyond: after.value}}, {tie_field: behind(after, tie_direction)}],
    }


def behind(after: Position, direction: int) -> Document:
    """What the tie of an entry must be, read in this direction."""
    beyond = "$gt" if direction > 0 else "$lt"
    return {f"{beyond}e" if after.back else beyond: after.tie}


FOREIGN: Final = "The page link is not one that this server gave to this caller for this request"

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Tie = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_./~-]{0,200}\Z")]
_decode = msgspec.json.Decoder(tuple[_Int64 | None, _Tie, _Int64 | None, bool]).decode
