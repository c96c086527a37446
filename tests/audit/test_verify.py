"""The verifier of exports."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audit.chain import Break, Unreadable, head_of, start_of
from audit.record import Record
from audit.verify import read_export, verify
from tests.audit.records import a_chain, a_record, records


@given(st.lists(records(), min_size=1, max_size=4), st.lists(records(), max_size=4), st.randoms())
@settings(max_examples=30)
def test_shards_may_be_interleaved(one: list[Record], two: list[Record], random: Random) -> None:
    first, second = a_chain(*one, shard="a"), a_chain(*two, shard="b")
    order = [first] * len(first) + [second] * len(second)
    random.shuffle(order)
    position = {"a": 0, "b": 0}
    mixed = []
    for chain in order:
        item = chain[position[chain[0].shard]]
        position[item.shard] += 1
        mixed.append(item)
    report = verify(mixed, known=[head_of(first[-1])])
    assert report.holds
    assert {head.shard: head.position for head in report.heads} == {
        shard: count for shard, count in position.items() if count
    }


def test_an_export_is_one_payload_per_line() -> None:
    links = a_chain(a_record(query="a\nb"), a_record())
    lines = [item.payload + b"\n" for item in links]
    assert list(read_export([*lines, b"\n"])) == links


def test_a_line_that_is_no_payload_is_named() -> None:
    with pytest.raises(Unreadable, match="Line 2"):
        list(read_export([a_chain(a_record())[0].payload, b"{}"]))


def test_each_shard_tells_its_first_break() -> None:
    good, bad, cut = (a_chain(a_record(), a_record(), a_record(), shard=shard) for shard in "abc")
    bad[1] = replace(bad[1], payload=bad[1].payload.replace(b"read", b"vread"))
    report = verify([*good, *bad, *cut[:2]], known=[head_of(cut[2])])
    assert not report.holds
    assert report.breaks == (Break("b", 2, "edited"), Break("c", 3, "truncated"))
    assert {head.shard: head.position for head in report.heads} == {"a": 3, "b": 1, "c": 2}


def test_a_chain_written_anew_shows_against_a_known_head() -> None:
    known = head_of(a_chain(a_record())[0])
    anew = a_chain(a_record(status=201), a_record())
    assert verify(anew).holds
    assert verify(anew, known=[known]).breaks == (Break("node-1", 1, "edited"),)


def test_a_shard_that_vanished_is_truncated_from_its_start() -> None:
    report = verify([], known=[head_of(a_chain(a_record())[0])])
    assert report.breaks == (Break("node-1", 1, "truncated"),)
    assert report.heads == (start_of("node-1"),)


def test_an_empty_ledger_holds() -> None:
    assert verify([]).holds
