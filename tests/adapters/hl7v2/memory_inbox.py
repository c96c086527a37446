"""An inbox in memory: what the port promises, but for durability beyond this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.inbox import Facts, InboxUnavailable, Kept, Status


@dataclass
class MemoryInbox:
    """`down` makes it refuse, as a database does that is away. `kept` survives a new Receiver."""

    kept: dict[str, Kept] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)
    down: bool = False

    async def keep(self, identity: str, raw: bytes, facts: Facts, now: datetime) -> Kept:
        self._require_up()
        self.times.append(now)
        if identity in self.kept:
            return replace(self.kept[identity], fresh=False)
        self.kept[identity] = Kept(f"m{len(self.kept) + 1}", "received", None, True, raw, dict(facts))
        return self.kept[identity]

    async def settle(
        self, id: str, status: Status, answer: bytes | None, facts: Facts, now: datetime
    ) -> None:
        self._require_up()
        self.times.append(now)
        identity, kept = self._entry(id)
        self.kept[identity] = replace(kept, status=status, answer=answer, facts={**kept.facts, **facts})

    async def reopen(self, id: str) -> None:
        self._require_up()
        identity, kept = self._entry(id)
        self.kept[identity] = replace(kept, status="received", answer=None)

    async def unsettled(self, limit: int) -> Sequence[Kept]:
        self._require_up()
        undecided = [one for one in self.kept.values() if one.status == "received" and one.answer is None]
        return [replace(one, fresh=False) for one in undecided[:limit]]

    def only(self) -> Kept:
        (kept,) = self.kept.values()
        return kept

    def _entry(self, id: str) -> tuple[str, Kept]:
        return next((identity, kept) for identity, kept in self.kept.items() if kept.id == id)

    def _require_up(self) -> None:
        if self.down:
            raise InboxUnavailable
