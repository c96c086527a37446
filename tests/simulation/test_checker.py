"""A checker that finds nothing proves nothing: each rule finds the flaw that it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from audit.chain import Break
from audit.record import Record, Target
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from tests.simulation.checker import INTERACTIONS, flaws
from tests.simulation.evidence import Evidence
from tests.simulation.feed import Message, feed_flaws
from tests.simulation.journal import MARKS, Attempt, Journal, Seen, Write
from tests.store.versions import MORNING


@dataclass(slots=True)
class Story:
    """A journal with what a server that does everything right would leave of it."""

    journal: Journal = field(default_factory=lambda: Journal(7))
    versions: dict[str, list[Version]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)

    def put(self, id: str, mark: str, *, if_match: int | None = None, told: bool = True) -> Attempt:
        """An update that is done, and acknowledged if `told`."""
        write = Write("PUT", "Patient", id, _patient(mark, id), if_match)
        attempt = self.journal.begin(writes=(write,))
        seen = self.keep(attempt, write)
        if told:
            self.journal.answered(attempt, 200, (seen,))
        return attempt

    def bundle(self, *marks: str, told: bool = True) -> Attempt:
        """A transaction of creates that is done, and acknowledged if `told`."""
        writes = tuple(Write("POST", "Patient", None, _patient(mark)) for mark in marks)
        attempt = self.journal.begin(writes=writes, bundle=True)
        self.records.append(_record(attempt, "transaction"))
        seen = tuple([self.keep(attempt, write, f"made-{write.mark}") for write in writes])
        if told:
            self.journal.answered(attempt, 200, seen)
        return attempt

    def refused(self, id: str, mark: str, if_match: int) -> Attempt:
        """An update that is refused, and recorded to be."""
        write = Write("PUT", "Patient", id, _patient(mark, id), if_match)
        attempt = self.journal.begin(writes=(write,))
        self.journal.answered(attempt, 412)
        self.records.append(replace(_record(attempt, "update"), outcome="refused", status=412))
        return attempt

    def read(self, key: str) -> Attempt:
        """A read of the newest version."""
        attempt = self.journal.begin(reads=key)
        newest = self.versions[key][-1]
        attempt.shown = json.loads(newest.body or b"{}")["identifier"][0]["value"]
        self.journal.answered(attempt, 200, (Seen(key, newest.number),))
        self.records.append(_record(attempt, "read", Seen(key, newest.number)))
        return attempt

    def keep(self, attempt: Attempt, write: Write, id: str | None = None) -> Seen:
        """The version that a write leaves, with its record."""
        key = Key(write.type, write.id or id or "")
        versions = self.versions.setdefault(str(key), [])
        number = len(versions) + 1
        body = None if write.content is None else json.dumps({**write.content, "id": key.id}).encode()
        moment = MORNING + timedelta(seconds=number)
        versions.append(Version(key, number, moment, body, Entry(()), "", write.method))
        seen = Seen(str(key), number)
        self.records.append(_record(attempt, INTERACTIONS[write.method], seen))
        return seen

    def flaws(self) -> list[str]:
        return flaws(self.journal, Evidence(self.versions, self.records, self.breaks))


def _patient(mark: str, id: str | None = None) -> dict[str, Any]:
    named = {} if id is None else {"id": id}
    return {"resourceType": "Patient", **named, "identifier": [{"system": MARKS, "value": mark}]}


def _record(attempt: Attempt, interaction: str, seen: Seen | None = None) -> Record:
    targets = () if seen is None else (Target(seen.key, seen.number),)
    return Record(MORNING, interaction, "success", 200, attempt.name, "127.0.0.1", targets=targets)


def a_story() -> Story:
    story = Story()
    story.put("1", "a")
    story.put("1", "b", if_match=1)
    story.read("Patient/1")
    story.refused("1", "c", if_match=1)
    story.bundle("d", "e")
    story.bundle("f", "g", told=False)
    story.journal.begin(writes=(Write("POST", "Patient", None, _patient("h")),))
    return story


def test_a_story_in_which_all_went_well_has_no_flaw() -> None:
    assert a_story().flaws() == []


def _lose_an_acknowledged_write(story: Story) -> None:
    del story.versions["Patient/made-d"]


def _lose_the_newest_version(story: Story) -> None:
    story.versions["Patient/1"].pop()


def _lose_a_record(story: Story) -> None:
    story.records = [record for record in story.records if "Patient/made-e" not in str(record.targets)]


def _record_a_write_twice(story: Story) -> None:
    story.records.append(story.records[0])


def _record_a_write_that_is_not_there(story: Story) -> None:
    attempt = story.journal.attempts[-1]
    story.records.append(_record(attempt, "create", Seen("Patient/9", 1)))


def _fail_with_a_version_that_is_not_there(story: Story) -> None:
    record = _record(story.journal.attempts[-1], "create", Seen("Patient/9", 1))
    story.records.append(replace(record, outcome="failed", status=503))


def _keep_half_of_an_unanswered_bundle(story: Story) -> None:
    del story.versions["Patient/made-f"]
    story.records = [record for record in story.records if "Patient/made-f" not in str(record.targets)]


def _keep_an_unanswered_bundle_without_its_records(story: Story) -> None:
    story.records = [
        record for record in story.records if record.request_id != story.journal.attempts[5].name
    ]


def _write_twice(story: Story) -> None:
    attempt = story.journal.attempts[4]
    story.keep(attempt, attempt.writes[0], "another")


def _change_the_content(story: Story) -> None:
    version = story.versions["Patient/1"][0]
    body = json.dumps({**json.loads(version.body or b""), "active": True}).encode()
    story.versions["Patient/1"][0] = replace(version, body=body)


def _keep_what_was_refused(story: Story) -> None:
    attempt = story.journal.attempts[3]
    story.keep(attempt, attempt.writes[0])


def _show_what_is_not_there(story: Story) -> None:
    story.journal.attempts[2].shown = "z"


def _show_the_past(story: Story) -> None:
    attempt = story.read("Patient/1")
    attempt.seen = (Seen("Patient/1", 1),)
    attempt.shown = "a"
    story.records[-1] = _record(attempt, "read", attempt.seen[0])


def _refuse_a_condition_that_holds(story: Story) -> None:
    story.refused("1", "x", if_match=2)


def _forget_what_was_told(story: Story) -> None:
    attempt = story.journal.begin(reads="Patient/1")
    story.journal.answered(attempt, 404)
    story.records.append(replace(_record(attempt, "read"), outcome="refused", status=404))


def _break_a_chain(story: Story) -> None:
    story.breaks.append(Break("000001", 3, "unlinked"))


def _stop_the_clock(story: Story) -> None:
    newer = story.versions["Patient/1"][1]
    story.versions["Patient/1"][1] = replace(newer, last_updated=MORNING)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_lose_an_acknowledged_write, "which is not there"),
        (_lose_the_newest_version, "which is not there"),
        (_lose_a_record, "no AuditEvent speaks of it"),
        (_record_a_write_twice, "recorded 2 times"),
        (_record_a_write_that_is_not_there, "which is not there"),
        (_fail_with_a_version_that_is_not_there, "which is not there"),
        (_keep_half_of_an_unanswered_bundle, "of 2 resources there are ['g']"),
        (_keep_an_unanswered_bundle_without_its_records, "of 2 resources there are ['f', 'g']"),
        (_write_twice, "d: is in"),
        (_change_the_content, "has other content"),
        (_keep_what_was_refused, "was refused, and is there"),
        (_show_what_is_not_there, "which is not there"),
        (_show_the_past, "after version 2 had been told"),
        (_refuse_a_condition_that_holds, "is current, and was refused"),
        (_forget_what_was_told, "not found after version 2"),
        (_break_a_chain, "unlinked at position 3"),
        (_stop_the_clock, "not in the order of their times"),
    ],
)
def test_each_flaw_is_found(spoil: Callable[[Story], None], told: str) -> None:
    story = a_story()
    spoil(story)
    assert any(told in flaw for flaw in story.flaws()), story.flaws()


def _fed(*messages: Message) -> dict[str, list[Version]]:
    """What is there when the first message has made a Patient and the others have changed it."""
    story = Story()
    attempt = story.journal.begin()
    for message in messages:
        patient = {
            "resourceType": "Patient",
            "identifier": [{"value": message.patient}],
            "name": [{"family": message.family}],
        }
        told = {"resourceType": "Provenance", "target": [{"reference": "Patient/p"}]}
        story.keep(attempt, Write("PUT", "Patient", "p", patient))
        story.keep(attempt, Write("PUT", "Provenance", message.control_id, told))
    return story.versions


def test_messages_that_are_stored_in_order_have_no_flaw() -> None:
    messages = [
        Message("1", "4711", "A01", answers=["AA"]),
        Message("2", "4711", "A08", answers=[None, "AA"]),
    ]
    assert list(feed_flaws(messages, Evidence(_fed(*messages), [], []))) == []


def test_a_message_that_is_lost_doubled_or_overtaken_is_found() -> None:
    first, second = Message("1", "4711", "A01", answers=["AA"]), Message("2", "4711", "A08", answers=["AA"])
    for there in ([first], [second, first], [first, second, second], []):
        found = list(feed_flaws([first, second], Evidence(_fed(*there), [], [])))
        assert found, [message.control_id for message in there]
