"""
Writes that arrive together commit together, each unit with its own result.

Units wait their turn on the keys they write (turns.py), then for the next group; a unit that is
too large to share a transaction has one of its own. How a group is committed is in attempts.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fhir_server.r4.errors import Invalid
from fhir_server.search.predicates.version import Version
from fhir_server.store.attempts import Attempts
from fhir_server.store.conditions import lock_id
from fhir_server.store.grouping import Group
from fhir_server.store.limits import StoreLimits
from fhir_server.store.plan import Outcome
from fhir_server.store.turns import Turn, Turns
from fhir_server.store.unit import Unit

_Queued = tuple[Unit, Turn]
_Settled = list[Version] | BaseException


class Writer:
    """Commits units, in groups or, when they are large, alone."""

    def __init__(self, attempts: Attempts, *, limits: StoreLimits) -> None:
        self._attempts = attempts
        self._limits = limits
        self._turns = Turns()
        self._group: Group[_Queued, list[Version] | asyncio.Task[_Settled]] = Group(
            self._flush, size_max=limits.write_group_units_max, groups_max=limits.write_groups_max
        )
        self._large = asyncio.Semaphore(limits.transactions_max)
        self._alone: set[asyncio.Task[_Settled]] = set()

    async def commit(self, unit: Unit) -> list[Version]:
        """
        The version that each write of `unit` left; all of it is durable, with its records.

        Raises what a judge raises, Moved when it is to be planned anew, Unavailable when the
        outcome is not known or nothing could be done in time, TooLarge for what cannot be stored. A
        unit that was accepted is carried out whether or not its caller waits.
        """
        _require_distinct(unit)
        keys = [str(write.key) for write in unit.writes if not write.fresh]
        locks = {lock_id(name) for condition in unit.conditions for name in condition.locks}
        turn = await self._turns.take([*keys, *locks])
        if len(unit.writes) > self._limits.group_unit_writes_max:
            ended = self._start_alone(unit, turn)
        else:
            shared = await self._group.submit((unit, turn))
            if isinstance(shared, list):
                return shared
            ended = shared
        settled = await asyncio.shield(ended)
        if isinstance(settled, BaseException):
            raise settled
        return settled

    async def drained(self) -> None:
        """Returns when all that was submitted is done."""
        await self._group.drained()
        while self._alone:
            await asyncio.wait(set(self._alone))

    async def _flush(
        self, queued: list[_Queued]
    ) -> list[list[Version] | asyncio.Task[_Settled] | BaseException]:
        outcomes: Sequence[Outcome | BaseException] = [asyncio.CancelledError()] * len(queued)
        try:
            units = [unit for unit, _ in queued]
            outcomes = await self._attempts.settle(units, self._limits.commit_seconds_max)
        finally:
            for (_, turn), outcome in zip(queued, outcomes, strict=True):
                if outcome is not None:
                    self._turns.give_back(turn)
        return [
            self._start_alone(*item) if outcome is None else outcome
            for item, outcome in zip(queued, outcomes, strict=True)
        ]

    def _start_alone(self, unit: Unit, turn: Turn) -> asyncio.Task[_Settled]:
        task = asyncio.get_running_loop().create_task(self._settled_alone(unit, turn))
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        return task

    async def _settled_alone(self, unit: Unit, turn: Turn) -> _Settled:
        """Gives a refusal instead of raising it: its caller may have gone away."""
        try:
            async with self._large:
                [outcome] = await self._attempts.settle(
                    [unit], self._limits.transaction_seconds_max, alone=True
                )
        finally:
            self._turns.give_back(turn)
        assert outcome is not None, "a unit alone shares no transaction"
        return outcome


def _require_distinct(unit: Unit) -> None:
    keys = [write.key for write in unit.writes]
    if len(keys) > 1 and len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Invalid(f"{twice} is written twice in one transaction")
