"""
Pages whose includes are whole.

When the matches of a page include more than a page may, the page ends earlier, behind the last match whose
includes are whole, and the page beyond goes on there. When a single match includes more, its page has the
first of them and says so; `next` leads to the others, as many pages as it takes, and then to the matches
behind it. So over all links each match comes once, and what it includes comes on its page or on those that
continue it.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.pipeline.including import Including, Overfull
from fhir_server.r4.errors import Issue, TooCostly
from fhir_server.search.predicates.version import Version
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position

Release = Callable[[Page], list[Version]]
"""The matches of a page that may leave."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """
    What is left of the includes of one match, `key` (`Type/id`).

    `includes` is where they go on, `behind` the gap behind the match, and `more` whether anything comes
    there.
    """

    key: str
    includes: Position
    behind: Position
    more: bool

    @property
    def around(self) -> Page:
        """The pages before and behind."""
        return Page((), self.behind if self.more else None, self.behind.turned)


@dataclass(frozen=True, slots=True)
class Completed:
    """A page as it is shown; with `rest`, its `next` leads there."""

    page: Page
    matches: list[Version]
    includes: list[Version]
    rest: Continuation | None = None

    @property
    def next(self) -> Continuation | Position | None:
        """Where the page beyond is."""
        return self.page.next if self.rest is None else self.rest

    @property
    def told(self) -> tuple[Issue, ...]:
        """What the Bundle says of it."""
        if self.rest is None:
            return ()
        text = f"{self.rest.key} includes more resources than a page has: `next` leads to the others"
        return (Issue("information", "informational", text),)


async def completed(
    page: Page,
    after: Position | None,
    release: Release,
    including: Callable[[], Including],
    *,
    includes_max: int,
) -> Completed:
    """As much of `page`, read from `after`, as is whole. Raises TooCostly when not even one match is."""
    while True:
        matches = release(page)
        try:
            return Completed(page, matches, await including().of(matches))
        except Overfull:
            if len(page.versions) == 1:
                return await _in_parts(page, matches, including, includes_max)
            page = page.beginning(len(page.versions) // 2, after)


async def _in_parts(
    page: Page, matches: list[Version], including: Callable[[], Including], includes_max: int
) -> Completed:
    [match], [gap] = matches, page.gaps
    if match.key.type == "AuditEvent":
        # It is not among the resources of the store, where the rest would be asked for.
        raise TooCostly(f"{match.key} includes more resources than a page may have")
    begin = Continuation(str(match.key), Position.beginning(0), gap, page.next is not None)
    includes, rest = await continued(match, begin, including, includes_max=includes_max)
    return Completed(page, matches, includes, rest)


async def going_on(
    matches: list[Version], rest: Continuation, including: Callable[[], Including], *, includes_max: int
) -> Completed:
    """A page of nothing but what is left; of nothing, when the match is none any more or is not seen."""
    if not matches:
        return Completed(rest.around, [], [])
    includes, left = await continued(matches[0], rest, including, includes_max=includes_max)
    return Completed(rest.around, [], includes, left)


async def continued(
    match: Version, begin: Continuation, including: Callable[[], Including], *, includes_max: int
) -> tuple[list[Version], Continuation | None]:
    """What `match` includes from `begin` on, as much as a page may have, and what is left of it then."""
    after = begin.includes if begin.includes.tie else None
    count = includes_max
    while True:
        part = including()
        try:
            onward = await part.part_of(match, after, count)
        except Overfull as overfull:
            if count == 1:
                raise TooCostly(
                    "What one match includes cannot be shown in parts: one of them includes too much in turn"
                ) from overfull
            count //= 2
            continue
        rest = None if onward is None else Continuation(begin.key, onward, begin.behind, begin.more)
        return part.found, rest
