"""
A transaction: all entries are admitted and prepared, all writes commit as one unit, or nothing does.

What depends on the database - conditional entries, references by criteria, patches - is settled first
(bundle_conditions.py), and settled anew when it has moved by the time of the commit. Its reads
are performed right after the commit.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from audit.record import Record
from fhir_server.interactions.answers import Removed, Written
from fhir_server.interactions.entries import Entry, patch_in, within
from fhir_server.interactions.prepare import Prepared, indexed_anew
from fhir_server.interactions.submission import ISSUES_MAX, Order, Raw, Ready
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.bundle_conditions import Settled, Step, settled
from fhir_server.pipeline.entries import Answers, Performing, in_stages
from fhir_server.pipeline.patching import planned_patch
from fhir_server.pipeline.reading import release
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import Planned, admit_write, plan, with_targets_patients
from fhir_server.preparing.preparing import Opened
from fhir_server.r4.errors import FhirError, Invalid, Issue, Unprocessable
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Delete,
    Patch,
    Update,
)
from fhir_server.r4.resource import Key, from_text
from fhir_server.search.asking.conditional import anchors_in
from fhir_server.search.predicates.version import Version
from fhir_server.store.slices import in_slices
from fhir_server.store.unit import Condition, Moved, Unit


@dataclass(slots=True)
class Prospect:
    """
    What a transaction will do if nothing moves: a planned write for each step.

    `existing` are the versions that conditional creates have found, by entry; `ready` and `raw` what was
    prepared of the others.
    """

    settled: Settled
    ready: dict[int, Prepared]
    raw: dict[int, bytes]
    planned: list[Planned] = field(default_factory=list)
    existing: dict[int, Version] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    trails: dict[int, Trail] = field(default_factory=dict)
    """Of the entries that write nothing."""


@dataclass(frozen=True, slots=True)
class TransactionRun:
    """One transaction; `entries` are all of them, by index."""

    bundle: Opened
    entries: Sequence[Entry]
    performing: Performing

    @property
    def may_move(self) -> bool:
        """Does what it does depend on what is stored?"""
        return any(_is_conditional(entry) for entry in self.entries) or any(
            asked.references for asked in self.bundle.asked
        )

    async def planned_and_committed(self) -> Answers:
        """The answers, planned as often as something moves; the time of the request is the limit."""
        while True:
            try:
                return await self.committed(await self.planned())
            except Moved:
                continue

    async def planned(self) -> Prospect:
        """The writes, none of which has happened."""
        run = self.performing
        writing = [entry for stage in in_stages(self.entries)[:-1] for entry in stage]
        await run.services.consents.current(run.caller)
        found = await settled(writing, self.bundle.asked, run.caller, run.services, run.trail)
        await _require_distinct(found.steps)
        async for entry in in_slices(writing):
            self._admit(entry)
        orders = [order async for step in in_slices(found.steps) if (order := self._order(step)) is not None]
        ready, raw = await _all_ready(self.bundle, orders, found.addresses)
        prospect = Prospect(found, ready, raw)
        await self._plan_steps(prospect)
        await self._find_existing(prospect)
        self._note_the_rest(prospect)
        prospect.conditions += await _conditions(prospect)
        return prospect

    async def committed_as_prepared(self, prospect: Prospect) -> Answers:
        """
        As `committed`, of what depends on nothing that is stored, and so without its Bundle.

        What can have moved are the search parameters: what was prepared is indexed by the new ones.
        """
        services = self.performing.services
        while True:
            try:
                return await self.committed(prospect)
            except Moved:
                await services.consents.current(self.performing.caller)
                async for index, ready in in_slices(list(prospect.ready.items())):
                    base_url = services.settings.base_url
                    prospect.ready[index] = indexed_anew(ready, base_url=base_url, zone=services.zone)
                prospect.planned.clear()
                await self._plan_steps(prospect)

    async def _plan_steps(self, prospect: Prospect) -> None:
        ready, raw = prospect.ready, prospect.raw
        together = {str(one.key): one.entry.patients async for one in in_slices(ready.values())}
        async for step in in_slices(prospect.settled.steps):
            prospect.planned.append(
                await self._plan(step, ready.get(step.index), raw.get(step.index), together)
            )

    async def committed(self, prospect: Prospect) -> Answers:
        """All writes or none, raising Moved; then the reads, of which each can be refused by itself."""
        run, planned = self.performing, prospect.planned

        def records(versions: Sequence[Version], now: datetime) -> Iterator[Record]:
            for one, version in zip(planned, versions, strict=True):
                yield one.record(version, now)
                run.trail.touches(one.trail.patients)
            yield from _records_of_the_rest(prospect, versions, now)
            yield run.trail.succeeded(200, now)

        indexed = {one.indexed for one in planned if one.indexed is not None}
        if len(indexed) > 1:
            raise Moved
        unit = Unit([one.write for one in planned], records, prospect.conditions, *indexed)
        try:
            versions = await run.services.store.commit(unit)
        except FhirError:
            for one in planned:
                run.trail.touches(one.trail.patients)
            raise
        answers = _answers(prospect, versions)
        for entry in in_stages(self.entries)[-1]:
            answers[entry.index] = await run.answer(entry, entry.interaction)
        return answers

    def _admit(self, entry: Entry) -> None:
        """Raises Forbidden; what a patch takes is asked when it is planned."""
        match entry.interaction:
            case ConditionalUpdate(criteria=criteria) | ConditionalPatch(criteria=criteria):
                interaction: Create | Update | Delete = Update(Key(criteria.type, ""), {})
            case ConditionalDelete(criteria=criteria):
                interaction = Delete(Key(criteria.type, ""))
            case Patch(key=key):
                interaction = Update(key, {})
            case Create() | Update() | Delete() as plain:
                interaction = plain
            case _:
                raise AssertionError("reads are in the last stage")
        try:
            admit_write(interaction, self.performing.caller, self.performing.services)
        except FhirError as refusal:
            raise within(refusal, entry.index) from refusal

    def _order(self, step: Step) -> Order:
        # What a conditional update says of its id was judged when it was settled.
        carries_id = isinstance(self.entries[step.index].interaction, Update)
        return Order(
            step.index,
            step.key,
            has_content=not isinstance(step.interaction, Delete),
            carries_id=carries_id,
            raw=isinstance(step.interaction, Patch),
        )

    async def _plan(
        self,
        step: Step,
        ready: Prepared | None,
        raw: bytes | None,
        together: Mapping[str, tuple[str, ...]],
    ) -> Planned:
        run = self.performing
        trail = Trail(self.entries[step.index].interaction, run.caller, run.contact)
        try:
            if isinstance(step.interaction, Patch):
                assert raw is not None, "a patch is wanted as it is"
                kind, content = patch_in(from_text(raw))
                patch = replace(step.interaction, kind=kind, content=content)
                planned = await planned_patch(patch, run.caller, run.services, trail, together)
                return planned.in_entry(step.index)
            access = admit_write(step.interaction, run.caller, run.services)
            if ready is not None:
                ready = await with_targets_patients(ready, together, access, trail, run.services)
            return plan(step.interaction, ready, access, trail).in_entry(step.index)
        except FhirError as refusal:
            raise within(refusal, step.index) from refusal
        finally:
            run.trail.touches(trail.patients)

    async def _find_existing(self, prospect: Prospect) -> None:
        """What conditional creates have found, as the caller sees it. Raises Moved when it is gone."""
        run, existing = self.performing, prospect.settled.existing
        if not existing:
            return
        stored = await run.services.store.currents(existing.values())
        now = run.services.clock()
        for index, key in existing.items():
            trail = Trail(self.entries[index].interaction, run.caller, run.contact)
            access = admit(run.caller, key.type, "s", now, run.services)
            try:
                prospect.existing[index] = release(stored.get(key), key, access, trail)
            except FhirError as gone:
                raise Moved from gone
            prospect.trails[index] = trail
            run.trail.touches(trail.patients)

    def _note_the_rest(self, prospect: Prospect) -> None:
        """Entries that come to nothing have a record all the same."""
        run, found = self.performing, prospect.settled
        written = {step.index for step in found.steps}
        for index in (*found.repeated, *found.found):
            if index not in written and index not in prospect.trails:
                prospect.trails[index] = Trail(self.entries[index].interaction, run.caller, run.contact)


def _is_conditional(entry: Entry) -> bool:
    match entry.interaction:
        case Create(if_none_exist=criteria):
            return criteria is not None
        case Patch() | ConditionalPatch() | ConditionalUpdate() | ConditionalDelete():
            return True
        case _:
            return False


async def _all_ready(
    bundle: Opened, orders: Sequence[Order], addresses: Mapping[str, str]
) -> tuple[dict[int, Prepared], dict[int, bytes]]:
    """
    What is written, and what is wanted as it is, by the index of the entry.

    Raises the first refusal that is not for the rules of a resource, else Unprocessable with the
    issues of every entry that has some.
    """
    ready: dict[int, Prepared] = {}
    raw: dict[int, bytes] = {}
    refused: list[FhirError] = []
    async for items in bundle.prepared(orders, addresses):
        for item in items:
            if isinstance(item, Ready):
                ready[item.index] = item.prepared
            elif isinstance(item, Raw):
                raw[item.index] = item.text
            else:
                refused.append(within(item.refusal(), item.index))
    if not refused:
        return ready, raw
    if not isinstance(refused[-1], Unprocessable):
        raise refused[-1]
    issues = [issue for one in refused for issue in one.issues]
    if len(issues) >= ISSUES_MAX:
        issues.append(Issue("information", "incomplete", "Entries behind these have not been looked at"))
    raise Unprocessable("The transaction breaks rules of FHIR R4", issues=issues)


async def _require_distinct(steps: Sequence[Step]) -> None:
    seen: dict[Key, int] = {}
    async for step in in_slices(steps):
        if step.key in seen:
            told = (
                f"{step.key} is written by entry {seen[step.key]} too; a transaction writes a resource once"
            )
            raise within(Invalid(told), step.index)
        seen[step.key] = step.index


async def _conditions(prospect: Prospect) -> list[Condition]:
    """
    All that must still match as it commits.

    What decides on something that is not there takes locks, and so does all that is written with it.
    """
    found = prospect.settled
    conditions = [found.found[index].condition for index in found.existing]
    conditions += [asked.condition for asked in found.references]
    deciding = [asked for index, asked in found.found.items() if index not in found.existing]
    anchors: set[str] = set()
    if deciding:
        async for one in in_slices(prospect.planned):
            anchors |= anchors_in(one.content)
    for place, asked in enumerate(deciding):
        conditions.append(asked.locked(frozenset(anchors) if place == 0 else frozenset()))
    return conditions


def _records_of_the_rest(prospect: Prospect, versions: Sequence[Version], now: datetime) -> Iterator[Record]:
    """Of conditional creates that found what they look for, and deletes that found nothing."""
    by_index = _by_index(prospect, versions)
    for index, trail in prospect.trails.items():
        first = prospect.settled.repeated.get(index)
        version = prospect.existing.get(index) or (by_index.get(first) if first is not None else None)
        if version is not None:
            trail.shows((version,))
        yield trail.succeeded(204 if version is None else 200, now)


def _by_index(prospect: Prospect, versions: Sequence[Version]) -> dict[int, Version]:
    return {step.index: version for step, version in zip(prospect.settled.steps, versions, strict=True)}


def _answers(prospect: Prospect, versions: Sequence[Version]) -> Answers:
    answers: Answers = {}
    for step, one, version in zip(prospect.settled.steps, prospect.planned, versions, strict=True):
        several = step.index in answers
        answers[step.index] = Removed(None) if several else one.answer(version)
    by_index = _by_index(prospect, versions)
    for index in prospect.trails:
        answers[index] = Removed(None)
    for index, version in prospect.existing.items():
        answers[index] = Written(version, created=False)
    for index, first in prospect.settled.repeated.items():
        answers[index] = Written(by_index[first], created=False)
    return answers
