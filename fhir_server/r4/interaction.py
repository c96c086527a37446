"""
What can be asked of the server: one value per interaction.

https://hl7.org/fhir/R4/http.html#3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fhir_server.r4.media import Format
from fhir_server.r4.resource import Key, Resource
from fhir_server.r4.shaping import WHOLE, Shape

Parameters = tuple[tuple[str, str], ...]
"""Search parameters as they came, decoded, in order: name (with modifier) and value."""

Handling = Literal["strict", "lenient"]


@dataclass(frozen=True, slots=True)
class InBundle:
    """The resource of the entry at `index`: it stays with its Bundle until it is prepared."""

    index: int


Content = Resource | bytes | InBundle
"""What the client sent: a resource, the text of a body that is not read yet, or what a Bundle holds."""


@dataclass(frozen=True, slots=True)
class Read:
    """GET [type]/[id]."""

    key: Key
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    shape: Shape = WHOLE


@dataclass(frozen=True, slots=True)
class Vread:
    """GET [type]/[id]/_history/[vid]."""

    key: Key
    version: str
    shape: Shape = WHOLE


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a conditional interaction looks for, as a search: `[type]?[parameters]`."""

    type: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Create:
    """POST [type]; with If-None-Exist only when nothing matches."""

    type: str
    content: Content
    if_none_exist: Criteria | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """
    PUT [type]/[id]; creates when the id is new.

    `if_match` is a version number as text; `if_absent` (If-None-Match: *) writes only what is new.
    """

    key: Key
    content: Content
    if_match: str | None = None
    if_absent: bool = False


@dataclass(frozen=True, slots=True)
class ConditionalUpdate:
    """PUT [type]?[parameters]: what matches is updated, what is not there created."""

    criteria: Criteria
    content: Content
    if_match: str | None = None
    if_absent: bool = False


PatchKind = Literal["json", "xml", "fhirpath"]
"""JSON Patch (RFC 6902), XML Patch (RFC 5261), FHIRPath Patch (a Parameters resource)."""


PATCHES: Final[Mapping[str, PatchKind]] = {
    "application/json-patch+json": "json",
    "application/xml-patch+xml": "xml",
}
"""By media type; a FHIRPath Patch is a resource, in the media types of resources."""


@dataclass(frozen=True, slots=True)
class Patch:
    """PATCH [type]/[id]; `content` is the patch, in the kind that it says."""

    key: Key
    kind: PatchKind
    content: Content
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class ConditionalPatch:
    """PATCH [type]?[parameters]: of the one resource that matches."""

    criteria: Criteria
    kind: PatchKind
    content: Content
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE [type]/[id]."""

    key: Key
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class ConditionalDelete:
    """DELETE [type]?[parameters]: what matches."""

    criteria: Criteria
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """GET [type]/[id]/_history, [type]/_history or _history."""

    type: str | None = None
    id: str | None = None
    parameters: Parameters = ()


@dataclass(frozen=True, slots=True)
class Search:
    """
    GET [type]?..., POST [type]/_search, GET ?_type=..., GET [compartment]/[id]/[type]?...

    `compartment` is whose resources alone are searched, for instance `Patient/1`.
    """

    type: str | None
    parameters: Parameters = ()
    handling: Handling = "strict"
    compartment: Key | None = None

    @property
    def address(self) -> str:
        """Where it is asked, below the base: `Patient`, `Patient/1/*`; nothing for all that there is."""
        if self.compartment is None:
            return self.type or ""
        return f"{self.compartment}/{self.type or '*'}"


@dataclass(slots=True)
class Submission:
    """
    POST a Bundle: a batch, each entry on its own, or a transaction, all entries or none.

    Which of the two, the Bundle says; it is known when it has been read. `returning` is what the
    client prefers its entries to return.
    """

    content: bytes
    format: Format = Format.JSON
    returning: str | None = None

    def taken(self) -> bytes:
        """The text, for the one who reads it: 60 MB must not be kept until there is an answer."""
        content, self.content = self.content, b""
        return content


@dataclass(frozen=True, slots=True)
class Operation:
    """
    $name of the server, a type or a resource; `name` is without the `$`.

    `content` is a Parameters resource or, for an operation that takes one, the bare resource;
    `parameters` are those of the query. `affects_state`: it writes.
    """

    name: str
    type: str | None = None
    id: str | None = None
    content: Content | None = None
    parameters: Parameters = ()
    if_match: str | None = None
    affects_state: bool = False


CapabilityMode = Literal["full", "normative", "terminology"]
"""https://hl7.org/fhir/R4/http.html#capabilities"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """GET metadata?mode=..."""

    mode: CapabilityMode = "full"
    shape: Shape = WHOLE


Interaction = (
    Read
    | Vread
    | Create
    | Update
    | ConditionalUpdate
    | Patch
    | ConditionalPatch
    | Delete
    | ConditionalDelete
    | History
    | Search
    | Submission
    | Operation
    | Capabilities
)


def criteria_of(interaction: Interaction) -> Criteria | None:
    """The criteria of a conditional interaction, None of any other."""
    match interaction:
        case Create(if_none_exist=criteria):
            return criteria
        case (
            ConditionalUpdate(criteria=criteria)
            | ConditionalPatch(criteria=criteria)
            | ConditionalDelete(criteria=criteria)
        ):
            return criteria
        case _:
            return None
