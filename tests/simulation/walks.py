"""
Walks through the pages of a search while others write, judged by what every write did when.

A resource has one writer, so its states follow each other; a write takes effect somewhere between being
sent and being answered. What is certain is judged: a resource that matched from before the first page until
after the last one comes once; none comes twice; none comes that was certainly gone when its page was asked
for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

ALWAYS: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Change:
    """From some moment in [sent, answered] on the resource matches, or does not."""

    sent: float
    answered: float
    matches: bool


@dataclass
class Timeline:
    """What the writer of one resource knows of it, in order."""

    changes: list[Change] = field(default_factory=list)

    def add(self, change: Change) -> None:
        self.changes.append(change)

    def matched_all_the_time(self, start: float, end: float) -> bool:
        """Certainly, at every moment in [start, end]."""
        before = [change for change in self.changes if change.answered < start]
        during = [change for change in self.changes if change.answered >= start and change.sent <= end]
        return bool(before) and before[-1].matches and all(change.matches for change in during)

    def matched_never(self, start: float, end: float) -> bool:
        """Certainly not, at any moment in [start, end]."""
        before = self.changes[: bisect_right(self.changes, start, key=lambda change: change.answered)]
        during = [change for change in self.changes if change.answered > start and change.sent <= end]
        return not (before and before[-1].matches) and not any(change.matches for change in during)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page showed: matches with the key each refers to, and what was included."""

    sent: float
    answered: float
    matches: tuple[tuple[str, str], ...]
    included: frozenset[str]


@dataclass(frozen=True, slots=True)
class Walk:
    """All pages of one search, the first one first."""

    query: str
    pages: tuple[Page, ...]


def flaws(
    walk: Walk,
    timelines: Mapping[str, Timeline],
    subjects: Mapping[str, str],
    hidden: Mapping[str, Change],
) -> Iterator[str]:
    """
    What is not as it must be, a sentence each.

    `timelines` has what may match this search, `subjects` whom each refers to; of those who are `hidden`
    nothing is to be seen from then on.
    """
    start, end = walk.pages[0].sent, walk.pages[-1].answered
    shown = Counter(key for page in walk.pages for key, _ in page.matches)
    yield from (f"{walk.query}: {key} comes {count} times" for key, count in shown.items() if count > 1)
    for page in walk.pages:
        for key, subject in page.matches:
            change = hidden.get(subject)
            if key not in timelines or timelines[key].matched_never(page.sent, page.answered):
                yield f"{walk.query}: {key} is shown, and matched no more"
            if change is not None and change.answered < page.sent:
                yield f"{walk.query}: {key} is shown, and was hidden with {subject}"
            if subject not in page.included and (change is None or change.sent > page.answered):
                yield f"{walk.query}: {key} is shown without {subject}, which it includes"
    for key, timeline in timelines.items():
        change = hidden.get(subjects[key])
        seen_all_the_time = change is None or change.sent > end
        if key not in shown and seen_all_the_time and timeline.matched_all_the_time(start, end):
            yield f"{walk.query}: {key} matched all the time, and does not come"
