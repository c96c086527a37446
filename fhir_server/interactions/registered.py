"""
What the server has registered, in FHIR's own words: all that a CapabilityStatement is made from.

It is made from the table of routes (api/registration.py) and handed down, so that nothing has to
be said twice.

https://hl7.org/fhir/R4/valueset-type-restful-interaction.html,
https://hl7.org/fhir/R4/valueset-system-restful-interaction.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from fhir_server.search.values.words import FullText

TypeInteraction = Literal[
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
]

SystemInteraction = Literal["transaction", "batch", "search-system", "history-system"]

Level = Literal["system", "type", "instance"]


class RegisteredOperation(Protocol):
    """
    An operation of all types: its code without the `$`, and its OperationDefinition.

    Below the system it may be there for one type `only`.
    """

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> str: ...

    @property
    def levels(self) -> tuple[Level, ...]: ...

    @property
    def affects_state(self) -> bool: ...

    @property
    def only(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Registered:
    """
    `system` and `types` are interactions by level; of `types`, those in `conditional` are there
    with criteria, too. `formats` and `patch_formats` are media types. A conditional delete
    takes up to `conditional_delete_max` resources. `cors`: scripts of other origins may call.
    `full_text` says what is kept the words of, for `_text` and `_content`.
    """

    system: tuple[SystemInteraction, ...]
    types: tuple[TypeInteraction, ...]
    conditional: frozenset[TypeInteraction]
    formats: tuple[str, ...]
    patch_formats: tuple[str, ...]
    operations: tuple[RegisteredOperation, ...]
    conditional_delete_max: int
    cors: bool
    full_text: FullText = "off"

    def operations_at(self, *levels: Level) -> tuple[RegisteredOperation, ...]:
        """Those that are asked for on one of the levels."""
        return tuple(each for each in self.operations if not set(levels).isdisjoint(each.levels))
