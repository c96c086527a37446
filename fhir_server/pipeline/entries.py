"""
The entries of one submission while they are done: who does them, in which order.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fhir_server.interactions.answers import Answer
from fhir_server.interactions.entries import Entry, within
from fhir_server.interactions.submission import Ready, Refused
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.errors import FhirError
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Delete,
    Interaction,
    Patch,
    Update,
)
from fhir_server.smart.caller import Caller, Contact

Answers = dict[int, Answer | FhirError]
"""By the index of the entry."""

_PLACES: Final = {
    Delete: 0,
    ConditionalDelete: 0,
    Create: 1,
    Update: 2,
    ConditionalUpdate: 2,
    Patch: 2,
    ConditionalPatch: 2,
}
"""What has no place is read, last of all."""
_LAST: Final = 3


class Perform(Protocol):
    """`perform`, which comes as an argument: a batch is one for each entry."""

    def __call__(
        self,
        interaction: Interaction,
        caller: Caller,
        contact: Contact,
        services: Services,
        *,
        content: Ready | Refused | None = None,
    ) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True)
class Performing:
    """One submission of one caller; `trail` is that of the Bundle."""

    caller: Caller
    contact: Contact
    services: Services
    trail: Trail
    perform: Perform

    async def answer(
        self, entry: Entry, interaction: Interaction, content: Ready | Refused | None = None
    ) -> Answer | FhirError:
        """What `interaction`, that of the entry, answers; a refusal names the entry."""
        try:
            return await self.perform(interaction, self.caller, self.contact, self.services, content=content)
        except FhirError as refusal:
            return within(refusal, entry.index)


def in_stages(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries in the order in which the specification has them processed."""
    stages: list[list[Entry]] = [[] for _ in range(_LAST + 1)]
    for entry in entries:
        stages[_PLACES.get(type(entry.interaction), _LAST)].append(entry)
    return stages
