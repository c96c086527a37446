"""
Links to other pages: opaque, and good for one caller's one request alone.

A cursor is a position, or what is left of the includes of a match (completing.py), sealed (smart/seals.py)
and bound to who asks (client, user and patient context, not the token, which may be renewed meanwhile) and
to what is asked: the address and every parameter that says which entries come and in what order. How many
come on a page and how they are written may change from page to page. Whatever else is sent for a cursor is
refused, always in the same words.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from typing import Final

import msgspec

from fhir_server.pipeline.completing import Continuation
from fhir_server.r4.errors import Invalid
from fhir_server.r4.interaction import Parameters
from fhir_server.r4.shaping import GENERAL_PARAMETERS
from fhir_server.smart.caller import Caller
from fhir_server.smart.seals import Seals
from fhir_server.store.positions import FOREIGN, Position

SEALED_FOR: Final = "page links"

_MAY_CHANGE: Final = frozenset(("_count", "_total")) | GENERAL_PARAMETERS


class Cursors:
    """The cursors of one request: of what its links lead to, and the one it was sent with."""

    def __init__(self, seals: Seals, caller: Caller, address: str, used: Parameters) -> None:
        """`address` is below the base; `used` what is asked there, without a cursor."""
        asked = sorted(pair for pair in used if pair[0] not in _MAY_CHANGE)
        self._seals = seals
        self._bound = msgspec.json.encode([caller.client, caller.user, caller.patient, address, asked])

    def of(self, place: Position | Continuation | None) -> str | None:
        """The cursor that leads there."""
        match place:
            case None:
                return None
            case Position():
                content = place.to_text().encode()
            case Continuation():
                content = msgspec.json.encode(place)
        return self._seals.sealed(content, self._bound)

    def place(self, cursor: str | None) -> Position | Continuation | None:
        """Where it leads. Raises Invalid when it was not given to this caller for this request."""
        if cursor is None:
            return None
        content = self._seals.opened(cursor, self._bound)
        if content is None:
            raise Invalid(FOREIGN)
        if not content.startswith(b"{"):
            return Position.from_text(content)
        try:
            return msgspec.json.decode(content, type=Continuation)
        except msgspec.DecodeError as error:
            raise Invalid(FOREIGN) from error

    def position(self, cursor: str | None) -> Position | None:
        """Where it leads, where no page has includes."""
        place = self.place(cursor)
        if isinstance(place, Continuation):
            raise Invalid(FOREIGN)
        return place
