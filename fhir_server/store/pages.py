"""A page of versions, and how many bytes one may weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pymongo.asynchronous.cursor import AsyncCursor

from fhir_server.search.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.positions import Position

Found = TypeVar("Found", Document, Document | None)

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
                weight += weight_of(fields)
                if found and weight > bytes_max:
                    return found, True
                found.append(fields)
    return found, False


def beginning(found: Sequence[Found], bytes_max: int) -> list[Found]:
    """As much of `found` as weighs `bytes_max` in all; never nothing."""
    weight = 0
    for place, fields in enumerate(found):
        weight += weight_of(fields) if fields is not None else 0
        if place and weight > bytes_max:
            return list(found[:place])
    return list(found)


def weight_of(fields: Document) -> int:
    """About the bytes of a version once all that it has set aside is put back."""
    text: int = fields["size"] if "size" in fields else len(fields.get("body", b""))
    return text + int(fields.get("more", 0))
