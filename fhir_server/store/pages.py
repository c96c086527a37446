"""A page of versions, and how many bytes one may weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pymongo.asynchronous.cursor import AsyncCursor

from fhir_server.search.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.positions import Position

FETCHED_AT_ONCE: Final = 100
"""Documents taken from the driver between two looks at their weight."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some versions, and where the next page begins; None when there is none."""

    versions: tuple[Version, ...]
    next: Position | None


async def fetched(cursor: AsyncCursor[Document], bytes_max: int) -> tuple[list[Document], bool]:
    """What the cursor finds; with True, when it weighs too much, the beginning of it (never nothing)."""
    found: list[Document] = []
    weight = 0
    async with cursor:
        while some := await cursor.to_list(FETCHED_AT_ONCE):
            for fields in some:
                if weight > bytes_max:
                    return found, True
                found.append(fields)
                weight += fields["size"] if "size" in fields else len(fields.get("body", b""))
    return found, False
