"""A page of versions, and how many bytes one may weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pymongo.asynchronous.cursor import AsyncCursor

from fhir_server.search.predicates.version import Version
from fhir_server.store.documents import Document
from fhir_server.store.positions import Position

Found = TypeVar("Found", Document, Document | None)

FETCHED_AT_ONCE: Final = 100
"""Documents taken from the driver between two looks at their weight."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    Some versions, and where the pages around them are; None when there is none.

    `gaps` are the positions behind each version.
    """

    versions: tuple[Version, ...]
    next: Position | None
    previous: Position | None = None
    gaps: tuple[Position, ...] = ()

    def beginning(self, count: int, after: Position | None) -> Page:
        """The first `count` that were read from `after`; the page beyond goes on with the others."""
        if count >= len(self.versions):
            return self
        if after is None or not after.back:
            return Page(self.versions[:count], self.gaps[count - 1], self.previous, self.gaps[:count])
        left = len(self.versions) - count
        return Page(self.versions[left:], self.next, self.gaps[left - 1].turned, self.gaps[left:])


def page_of(
    read: Sequence[tuple[Version, Position]], after: Position | None, onward: Position | None
) -> Page:
    """
    The page from `after` with what was `read`, in that order, each with the gap behind it.

    `onward` is the gap at which the reading ended, None when nothing was left.
    """
    if after is None or not after.back:
        previous = after.turned if after is not None else None
        return Page(tuple([one for one, _ in read]), onward, previous, tuple([gap for _, gap in read]))
    listed = read[::-1]
    return Page(
        tuple([one for one, _ in listed]),
        after.turned,
        onward.turned if onward is not None else None,
        tuple([gap for _, gap in listed]),
    )


async def fetched(cursor: AsyncCursor[Document], bytes_max: int) -> tuple[list[Document], bool]:
    """
    What the cursor finds; with True, when it weighs too much, the beginning of it.

    That ends with the document that is too much, behind one at least that is not.
    """
    found: list[Document] = []
    weight = 0
    async with cursor:
        while some := await cursor.to_list(FETCHED_AT_ONCE):
            for fields in some:
                weight += weight_of(fields)
                found.append(fields)
                if len(found) > 1 and weight > bytes_max:
                    return found, True
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
