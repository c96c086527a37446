"""
What a message comes to before it is put onto what is there: one draft for each resource.

A translator makes drafts and does nothing else: it is a function of the message, how it is read
and what was found, so the same message comes to the same drafts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adapters.fhir_json import Resource
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.statement import Statement

Mode = Literal["merge", "create", "replace"]
"""
merge: put the statement onto the resource as it is. create: only when there is none. replace:
the message has all there is to say, as a laboratory has of its results.
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """`segment` is where the resource comes from, to be named when it is refused."""

    type: str
    id: str
    mode: Mode
    statement: Statement
    segment: Segment

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the FHIR server has under the identifiers that a message names."""

    patients: Mapping[Token, Sequence[Resource]] = field(default_factory=dict)
    encounters: Mapping[Token, Sequence[Resource]] = field(default_factory=dict)
