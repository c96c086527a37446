"""
What the clients of a simulation know: each request that was sent, and what was told about it.

Each attempt has a name of its own, which is its X-Request-Id and so the one of its ledger records,
and each resource that it writes carries a mark that no other attempt writes. So everything that is
found afterwards, in the store or in the ledger, can be traced to the attempt that it is of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

MARKS: Final = "urn:example:simulation"
"""The system of the identifiers that are marks."""

WRITES_TOLD_MAX: Final = 8


class Fate(Enum):
    """What its client knows of an attempt."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """4xx: nothing was done."""
    UNKNOWN = "unknown"
    """No answer, or 5xx: all of it was done, or nothing."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of an attempt; without an `id` the server gives one, a deletion has no content."""

    method: Literal["POST", "PUT", "DELETE"]
    type: str
    id: str | None
    content: Mapping[str, Any] | None = None
    if_match: int | None = None

    @property
    def mark(self) -> str | None:
        """What only this write leaves in the store."""
        return None if self.content is None else mark_of(self.content)


@dataclass(frozen=True, slots=True)
class Seen:
    """A version that the server spoke of: one that it showed, or says to have written."""

    key: str
    number: int

    def __str__(self) -> str:
        return f"{self.key} version {self.number}"


@dataclass(slots=True)
class Attempt:
    """
    One request. It reads `reads`, or does `writes`, in a transaction Bundle if `bundle`.

    `sent` and `answered` are moments of the journal: what was answered before another attempt was
    sent happened before it. `seen` has the version that each write left, or that was shown.
    """

    name: str
    sent: int
    reads: str | None = None
    writes: tuple[Write, ...] = ()
    bundle: bool = False
    fate: Fate = Fate.UNKNOWN
    status: int | None = None
    answered: int | None = None
    seen: tuple[Seen, ...] = ()
    shown: str | None = None
    """The mark of the version that a read showed."""

    def __str__(self) -> str:
        asked = [f"read {self.reads}"] if self.reads else [_told(write) for write in self.writes]
        if len(asked) > WRITES_TOLD_MAX:
            asked[WRITES_TOLD_MAX // 2 : -WRITES_TOLD_MAX // 2] = ["..."]
        seen = ", ".join(map(str, self.seen[:WRITES_TOLD_MAX]))
        return (
            f"{self.name} [{self.sent}..{self.answered or '?'}] {'transaction: ' if self.bundle else ''}"
            f"{'; '.join(asked)} -> {self.fate.value} {self.status or 'no answer'}"
            f"{f': {seen}' if seen else ''}"
        )


@dataclass(slots=True)
class Journal:
    """All attempts of all clients, in the order in which they were sent."""

    seed: int
    attempts: list[Attempt] = field(default_factory=list)
    acknowledged: int = 0
    kills: list[str] = field(default_factory=list)
    _moments: int = 0

    def begin(
        self, *, reads: str | None = None, writes: tuple[Write, ...] = (), bundle: bool = False
    ) -> Attempt:
        """A new attempt, about to be sent."""
        name = f"sim-{self.seed}-{len(self.attempts) + 1}"
        attempt = Attempt(name, self.now(), reads, writes, bundle)
        self.attempts.append(attempt)
        return attempt

    def answered(self, attempt: Attempt, status: int, seen: tuple[Seen, ...] = ()) -> None:
        """The server said `status`, and that these are the versions."""
        attempt.answered = self.now()
        attempt.status = status
        attempt.seen = seen
        if status < 400:
            attempt.fate = Fate.ACKNOWLEDGED
            self.acknowledged += 1
        elif status < 500:
            attempt.fate = Fate.REFUSED

    def now(self) -> int:
        """A moment later than any before."""
        self._moments += 1
        return self._moments

    def about(self, word: str) -> list[str]:
        """The lines of the journal in which a name, a key or a mark stands."""
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        return [line for line in map(str, self.attempts) if whole.search(line)]


def mark_of(content: Mapping[str, Any]) -> str | None:
    """The mark that a resource carries; None when it is not of a simulation's client."""
    for identifier in content.get("identifier", ()):
        if identifier.get("system") == MARKS:
            return str(identifier["value"])
    return None


def _told(write: Write) -> str:
    address = write.type if write.id is None else f"{write.type}/{write.id}"
    condition = "" if write.if_match is None else f" if version {write.if_match}"
    return f"{write.method} {address}{condition}" + (f" as {write.mark}" if write.mark else "")
