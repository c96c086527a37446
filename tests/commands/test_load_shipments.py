"""Entries become groups: none lost, none out of order, none too large."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.commands.load.contents import shipments_of_document, shipments_of_lines
from fhir_server.commands.load.shipments import (
    GROUP_BYTES_MAX,
    GROUP_ENTRIES_MAX,
    Entry,
    Group,
    Unloadable,
    Whole,
    grouped,
)


def an_entry(key: str, size: int) -> Entry:
    return Entry("", "PUT" if key else "POST", key or "Patient", b"x" * size)


entries = st.builds(
    an_entry,
    st.sampled_from(["", "", "", "Patient/a", "Patient/b", "Patient/c"]),
    st.sampled_from([1, 100, GROUP_BYTES_MAX // 3, GROUP_BYTES_MAX + 1]),
)
others = st.sampled_from([Whole(b"", "batch", 1, frozenset(), repeatable=True), Unloadable("", "")])


@settings(max_examples=60)
@given(st.lists(st.one_of(entries, entries, entries, others), max_size=400))
def test_grouping_keeps_everything_in_order_and_every_limit(items: list[Entry | Whole | Unloadable]) -> None:
    result = list(grouped(items))
    unpacked = [item for each in result for item in (each.entries if isinstance(each, Group) else (each,))]
    assert unpacked == items
    for group in (each for each in result if isinstance(each, Group)):
        written = [entry.key for entry in group.entries if entry.key]
        assert 1 <= group.resources <= GROUP_ENTRIES_MAX
        assert len(written) == len(set(written))
        assert group.resources == 1 or sum(len(entry.resource) for entry in group.entries) <= GROUP_BYTES_MAX


def test_groups_are_as_large_as_they_may_be() -> None:
    lines = [(number, b'{"resourceType":"Patient"}') for number in range(2 * GROUP_ENTRIES_MAX)]
    assert [s.resources for s in shipments_of_lines(lines, update=False) if isinstance(s, Group)] == [
        200,
        200,
    ]


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_whatever_a_file_holds_it_is_sent_or_refused(text: bytes) -> None:
    for each in shipments_of_document(text, update=True):
        assert isinstance(each, Group | Whole | Unloadable)


def test_a_key_that_stands_twice_is_refused_where_one_would_be_dropped() -> None:
    entry = b'{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"POST","url":"Patient"}}'
    text = b'{"resourceType":"Bundle","type":"transaction","entry":[%b],"entry":[%b]}' % (entry, entry)
    assert list(shipments_of_document(text, update=True)) == [
        Unloadable("", "The key `entry` stands twice in one object")
    ]
