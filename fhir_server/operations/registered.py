"""
What operations there are, and where: routes, CapabilityStatement and pipeline read this table.

https://hl7.org/fhir/R4/operationslist.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["system", "type", "instance"]

DEFINITIONS: Final = "http://hl7.org/fhir/OperationDefinition/"
OWN_DEFINITIONS: Final = "urn:fhir-server:OperationDefinition:"
"""Operations that R4 does not define."""


@dataclass(frozen=True, slots=True)
class Registered:
    """
    An operation of all resource types. `name` is its code, without the `$`.

    What does not affect state may be asked for by GET, but where a resource is `wanted`. Resources that
    are asked for it are of the type `only`, if it says one.
    """

    name: str
    levels: tuple[Level, ...]
    definition: str
    affects_state: bool = False
    wanted: tuple[Level, ...] = ()
    only: str | None = None

    def methods(self, level: Level) -> tuple[str, ...]:
        """The methods by which it is asked for."""
        return ("POST",) if self.affects_state or level in self.wanted else ("GET", "POST")


OPERATIONS: Final[Mapping[str, Registered]] = {
    operation.name: operation
    for operation in (
        Registered("meta", ("system", "type", "instance"), f"{DEFINITIONS}Resource-meta"),
        Registered("meta-add", ("instance",), f"{DEFINITIONS}Resource-meta-add", affects_state=True),
        Registered("meta-delete", ("instance",), f"{DEFINITIONS}Resource-meta-delete", affects_state=True),
        Registered("reindex", ("system", "type"), f"{OWN_DEFINITIONS}reindex", affects_state=True),
        Registered(
            "reindex-status",
            ("system", "instance"),
            f"{OWN_DEFINITIONS}reindex-status",
            only="SearchParameter",
        ),
        Registered("validate", ("type", "instance"), f"{DEFINITIONS}Resource-validate", wanted=("type",)),
    )
}
"""By code."""
