"""
What must hold whatever was killed when: judged in plain Python from the journal and the evidence.

Each flaw is a sentence that begins with what it is about: an attempt's name, a key, a mark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Final

from audit.record import Record
from fhir_server.search.predicates.version import Version
from tests.simulation.evidence import Evidence, content_of, mark_in
from tests.simulation.journal import Attempt, Fate, Journal, Seen, Write

FEED: Final = "hl7v2"
NOT_FOUND: Final = 404
WRITES: Final = frozenset({"create", "update", "delete"})
INTERACTIONS: Final = {"POST": "create", "PUT": "update", "DELETE": "delete"}


def flaws(journal: Journal, evidence: Evidence) -> list[str]:
    """Everything that is not as it must be; nothing when all is well."""
    trial = Trial(journal, evidence)
    return list(chain.from_iterable(rule(trial) for rule in RULES))


@dataclass(frozen=True)
class Trial:
    """The journal and the evidence, with what several rules ask of them."""

    journal: Journal
    evidence: Evidence

    @cached_property
    def successes(self) -> Mapping[str, Sequence[Record]]:
        """The records of success, by the name of the attempt."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.evidence.records:
            if record.outcome == "success":
                found[record.request_id].append(record)
        return found

    @cached_property
    def written(self) -> Mapping[Seen, Sequence[Record]]:
        """The records of the writes that left a version."""
        found: dict[Seen, list[Record]] = defaultdict(list)
        for record in chain.from_iterable(self.successes.values()):
            if record.interaction in WRITES:
                for target in record.targets:
                    found[Seen(target.reference, target.version or 0)].append(record)
        return found

    @cached_property
    def marked(self) -> Mapping[str, Sequence[Version]]:
        """The versions that carry a mark."""
        found: dict[str, list[Version]] = defaultdict(list)
        for version in self.evidence:
            if (mark := mark_in(version)) is not None:
                found[mark].append(version)
        return found

    @cached_property
    def attempts(self) -> Mapping[str, Attempt]:
        """The attempts by name."""
        return {attempt.name: attempt for attempt in self.journal.attempts}


def chains_hold(trial: Trial) -> Iterator[str]:
    """The ledger's chains are whole."""
    for found in trial.evidence.breaks:
        yield f"shard {found.shard}: {found.kind} at position {found.position}"


def versions_follow_each_other(trial: Trial) -> Iterator[str]:
    """Numbers have no gap and none comes twice; times go forward."""
    for key, versions in trial.evidence.versions.items():
        numbers = [version.number for version in versions]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{key}: its versions are numbered {numbers}"
        if any(older.last_updated >= newer.last_updated for older, newer in pairwise(versions)):
            yield f"{key}: its versions are not in the order of their times"


def each_version_has_its_record(trial: Trial) -> Iterator[str]:
    """One record for each write; a tombstone that is deleted again has one more."""
    for version in trial.evidence:
        records = trial.written.get(Seen(str(version.key), version.number), ())
        if not records:
            yield f"{version.key} version {version.number}: no AuditEvent speaks of it"
        elif len(records) > 1 and not version.deleted:
            names = sorted(record.request_id for record in records)
            yield f"{version.key} version {version.number}: recorded {len(records)} times, by {names}"
        made = "delete" if version.deleted else INTERACTIONS[version.method]
        for record in records:
            if record.interaction != made:
                yield (
                    f"{version.key} version {version.number}: is by {made}, recorded as {record.interaction}"
                )


def each_record_has_its_version(trial: Trial) -> Iterator[str]:
    """No AuditEvent speaks of a write that is not there, or of another attempt's."""
    for seen, records in trial.written.items():
        version = trial.evidence.find(seen.key, seen.number)
        for record in records:
            if version is None:
                yield f"{record.request_id}: recorded to have left {seen}, which is not there"
            elif not version.deleted and not _is_by(record, version, trial):
                yield f"{record.request_id}: recorded to have left {seen}, which is of another"
    for record in trial.evidence.records:
        if record.interaction not in WRITES or record.outcome == "success":
            continue
        for target in record.targets:
            if target.version and trial.evidence.find(target.reference, target.version) is None:
                yield f"{record.request_id}: its failure names {target}, which is not there"


def acknowledged_writes_are_there_once(trial: Trial) -> Iterator[str]:
    """With the content that was sent and under the number that was told, each recorded once."""
    for attempt in trial.journal.attempts:
        if attempt.fate is not Fate.ACKNOWLEDGED or not attempt.writes:
            continue
        for write, seen in zip(attempt.writes, attempt.seen, strict=True):
            yield from _kept(attempt, write, seen, trial)
        yield from _recorded_whole(attempt, trial.successes.get(attempt.name, ()))


def no_write_is_there_twice(trial: Trial) -> Iterator[str]:
    """A mark is in one version at most, and only in one that an attempt of the journal left."""
    known = {write.mark for attempt in trial.journal.attempts for write in attempt.writes}
    for mark, versions in trial.marked.items():
        if len(versions) > 1:
            yield f"{mark}: is in {[f'{version.key} version {version.number}' for version in versions]}"
        if mark not in known:
            yield f"{mark}: was never sent"


def unanswered_writes_are_whole_or_absent(trial: Trial) -> Iterator[str]:
    """All of a transaction and its records, or nothing."""
    for attempt in trial.journal.attempts:
        if attempt.fate is not Fate.UNKNOWN or not attempt.writes:
            continue
        marks = [write.mark for write in attempt.writes if write.mark is not None]
        there = [mark for mark in marks if mark in trial.marked]
        records = trial.successes.get(attempt.name, ())
        if records:
            yield from _recorded_whole(attempt, records)
        if marks and len(there) not in ((len(marks),) if records else (0,)):
            yield f"{attempt.name}: {len(records)} records, of {len(marks)} resources there are {there}"


def refused_writes_left_nothing(trial: Trial) -> Iterator[str]:
    """And no record says that they did; the refusal is recorded."""
    recorded = {record.request_id for record in trial.evidence.records}
    for attempt in trial.journal.attempts:
        if attempt.fate is not Fate.REFUSED:
            continue
        if any(write.mark in trial.marked for write in attempt.writes):
            yield f"{attempt.name}: was refused, and is there"
        if trial.successes.get(attempt.name):
            yield f"{attempt.name}: was refused, and is recorded as a success"
        if attempt.name not in recorded:
            yield f"{attempt.name}: was refused, and the refusal is not recorded"


def reads_showed_what_is_there(trial: Trial) -> Iterator[str]:
    """A version that was shown is durable, and so is the record of showing it."""
    for attempt in trial.journal.attempts:
        if attempt.reads is None or attempt.fate is not Fate.ACKNOWLEDGED:
            continue
        [seen] = attempt.seen
        version = trial.evidence.find(seen.key, seen.number)
        if version is None or mark_in(version) != attempt.shown:
            yield f"{attempt.name}: was shown {seen}, which is not there"
        targets = [target for record in trial.successes.get(attempt.name, ()) for target in record.targets]
        if [(target.reference, target.version) for target in targets] != [(seen.key, seen.number)]:
            yield f"{attempt.name}: was shown {seen}, the ledger says {targets}"


def nobody_is_shown_the_past(trial: Trial) -> Iterator[str]:
    """What an answer spoke of, each request sent after that answer finds or is after."""
    events = sorted(
        [(attempt.answered, 0, attempt) for attempt in trial.journal.attempts if attempt.answered is not None]
        + [(attempt.sent, 1, attempt) for attempt in trial.journal.attempts],
        key=lambda event: event[:2],
    )
    newest: dict[str, int] = {}
    for _, kind, attempt in events:
        if kind == 0:
            for seen in attempt.seen:
                newest[seen.key] = max(newest.get(seen.key, 0), seen.number)
            continue
        if attempt.reads in newest and attempt.status == NOT_FOUND:
            yield f"{attempt.name}: not found after version {newest[attempt.reads]} had been told"
        for seen in attempt.seen:
            at_least = newest.get(seen.key, 0) + (0 if attempt.reads or _is_delete(attempt, seen) else 1)
            if seen.number < at_least:
                yield f"{attempt.name}: {seen} after version {newest[seen.key]} had been told"


def updates_hit_what_they_named(trial: Trial) -> Iterator[str]:
    """If-Match n leaves n + 1, and is refused only when n is not current any more."""
    for attempt in trial.journal.attempts:
        for write in attempt.writes:
            if write.if_match is None:
                continue
            key = f"{write.type}/{write.id}"
            if attempt.fate is Fate.ACKNOWLEDGED and Seen(key, write.if_match + 1) not in attempt.seen:
                left = ", ".join(map(str, attempt.seen))
                yield f"{attempt.name}: named version {write.if_match}, left {left}"
            superseded = trial.evidence.find(key, write.if_match + 1) is not None
            if attempt.fate is Fate.REFUSED and not superseded:
                yield f"{attempt.name}: version {write.if_match} of {key} is current, and was refused"


RULES: Final[Sequence[Callable[[Trial], Iterator[str]]]] = (
    chains_hold,
    versions_follow_each_other,
    each_version_has_its_record,
    each_record_has_its_version,
    acknowledged_writes_are_there_once,
    no_write_is_there_twice,
    unanswered_writes_are_whole_or_absent,
    refused_writes_left_nothing,
    reads_showed_what_is_there,
    nobody_is_shown_the_past,
    updates_hit_what_they_named,
)


def _is_by(record: Record, version: Version, trial: Trial) -> bool:
    attempt = trial.attempts.get(record.request_id)
    if attempt is None:
        return record.client == FEED
    return mark_in(version) in {write.mark for write in attempt.writes}


def _kept(attempt: Attempt, write: Write, seen: Seen, trial: Trial) -> Iterator[str]:
    version = trial.evidence.find(seen.key, seen.number)
    if version is None:
        yield f"{attempt.name}: was acknowledged {seen}, which is not there"
    elif write.content is None:
        if not version.deleted:
            yield f"{attempt.name}: was told that {seen} is a deletion, and it is none"
    else:
        content = content_of(version)
        for ours in ("id", "meta"):
            content.pop(ours, None)
        if content != _as_stored(write.content, attempt):
            yield f"{attempt.name}: {seen} has other content than was acknowledged"


def _as_stored(sent: Mapping[str, Any], attempt: Attempt) -> dict[str, Any]:
    """Without what the server owns, and with the reference within a Bundle resolved."""
    content = {name: value for name, value in sent.items() if name != "id"}
    if content.get("subject", {}).get("reference", "").startswith("urn:uuid:"):
        content["subject"] = {"reference": attempt.seen[0].key}
    return content


def _recorded_whole(attempt: Attempt, records: Sequence[Record]) -> Iterator[str]:
    wanted = Counter(INTERACTIONS[write.method] for write in attempt.writes)
    if attempt.bundle:
        wanted["transaction"] += 1
    found = Counter(record.interaction for record in records)
    if found != wanted:
        yield f"{attempt.name}: its records are {dict(found)} instead of {dict(wanted)}"


def _is_delete(attempt: Attempt, seen: Seen) -> bool:
    """Deleting what is deleted leaves the tombstone that is there."""
    return any(
        write.method == "DELETE" and f"{write.type}/{write.id}" == seen.key for write in attempt.writes
    )
