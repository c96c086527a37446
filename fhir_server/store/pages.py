"""A page of versions, and how many bytes one may weigh."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.asynchronous.cursor import AsyncCursor

from fhir_server.search.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.positions import Position


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
        async for fields in cursor:
            if weight > bytes_max:
                return found, True
            found.append(fields)
            weight += fields["size"] if "size" in fields else len(fields.get("body", b""))
    return found, False
