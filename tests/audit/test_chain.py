"""The chain shows every change to what was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audit.chain import (
    Break,
    Head,
    Link,
    Unreadable,
    first_break,
    genesis,
    head_of,
    link,
    link_of,
    record_of,
    start_of,
)
from audit.record import Record
from tests.audit.records import NOON, a_chain, a_record, records

SHARD = "node-1"


def chains(size_min: int) -> st.SearchStrategy[list[Link]]:
    return st.lists(records(), min_size=size_min, max_size=5).map(lambda items: a_chain(*items))


def broken(links: list[Link], **known: Head) -> Break | None:
    return first_break(links, start_of(SHARD), **known)


@given(records())
@settings(max_examples=100)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    written = link(record, shard=SHARD, position=1, previous=genesis(SHARD))
    assert record_of(written.payload) == record
    assert link_of(written.payload) == written


@given(records())
@settings(max_examples=50)
def test_the_payload_is_canonical_json(record: Record) -> None:
    """https://www.rfc-editor.org/rfc/rfc8785: sorted members, no spaces, no needless escapes."""
    payload = link(record, shard=SHARD, position=9, previous=b"\x07" * 32).payload
    members = json.loads(payload)
    assert payload == json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert None not in members.values()


def test_the_hash_is_the_leaf_hash_of_rfc_6962() -> None:
    written = link(a_record(), shard=SHARD, position=1, previous=genesis(SHARD))
    assert written.hash == sha256(b"\x00" + written.payload).digest()


def test_a_link_reads_the_same_in_ten_years() -> None:
    """Changing this payload breaks the ledgers that exist."""
    written = link(a_record(query="a=1", count=2, reason="r"), shard=SHARD, position=1, previous=b"\x01" * 32)
    assert written.payload == (
        b'{"address":"192.0.2.7","client":"ward-app","count":2,"interaction":"read","outcome":"success",'
        b'"patients":["1"],"position":1,"previous":"' + b"01" * 32 + b'","purpose":"TREAT","query":"a=1",'
        b'"reason":"r","request_id":"request-1","shard":"node-1","status":200,"subject":"user-7",'
        b'"targets":[{"reference":"Observation/5","version":3}],"time":"2026-11-21T12:00:00.123456Z",'
        b'"token_id":"token-1","user":"Practitioner/7"}'
    )
    assert genesis(SHARD).hex() == "1c792cdd186a3bfaf57398486b9be66366fedc209a74aa51e5341cd643a75ef0"


def test_a_time_in_another_zone_is_the_same_instant() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-5)))
    here = link(a_record(), shard=SHARD, position=1, previous=genesis(SHARD))
    assert link(a_record(time=elsewhere), shard=SHARD, position=1, previous=genesis(SHARD)) == here


def test_a_time_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 11, 21, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="no zone"):
        link(a_record(time=naive), shard=SHARD, position=1, previous=genesis(SHARD))


def test_half_characters_do_not_keep_a_request_out_of_the_ledger() -> None:
    odd = a_record(client="a\ud800", patients=("1\udfff",))
    written = link(odd, shard=SHARD, position=1, previous=genesis(SHARD))
    assert record_of(written.payload) == a_record(client="a?", patients=("1?",))


def test_a_shard_must_fit_into_the_id_of_an_event() -> None:
    for name in ("", "a.b", "a" * 37, "é"):
        with pytest.raises(ValueError, match="shard"):
            genesis(name)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"not json",
        b'{"shard":"a"}',
        b"\xff\xfe",
        link(a_record(), shard=SHARD, position=1, previous=genesis(SHARD)).payload + b" ",
        link(a_record(), shard=SHARD, position=1, previous=genesis(SHARD)).payload.replace(
            b"{", b'{"x":1,', 1
        ),
    ],
)
def test_what_is_no_payload_of_ours_is_not_read(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        record_of(payload)


@given(chains(0))
@settings(max_examples=30)
def test_an_untouched_chain_holds(links: list[Link]) -> None:
    assert broken(links) is None
    assert all(broken(links, up_to=head_of(item)) is None for item in links)


@given(chains(1), st.data())
@settings(max_examples=100)
def test_any_edit_breaks_the_chain(links: list[Link], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(links) - 1))
    payload = bytearray(links[index].payload)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    links[index] = replace(links[index], payload=bytes(payload))
    assert broken(links) == Break(SHARD, index + 1, "edited")


@given(chains(2), records(), st.data())
@settings(max_examples=50)
def test_an_edit_with_a_fresh_hash_breaks_at_the_next_link(
    links: list[Link], other: Record, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(links) - 2))
    before = links[index - 1].hash if index else genesis(SHARD)
    forged = link(replace(other, request_id="forged"), shard=SHARD, position=index + 1, previous=before)
    if forged != links[index]:
        known = head_of(links[index])
        links[index] = forged
        assert broken(links) == Break(SHARD, index + 2, "unlinked")
        assert broken(links, up_to=known) == Break(SHARD, index + 1, "edited")


@given(chains(2), st.data())
@settings(max_examples=50)
def test_any_deletion_breaks_the_chain(links: list[Link], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(links) - 2))
    del links[index]
    assert broken(links) == Break(SHARD, index + 1, "missing")


@given(chains(1))
@settings(max_examples=20)
def test_a_tail_cut_off_shows_against_a_head_kept_elsewhere(links: list[Link]) -> None:
    known = head_of(links.pop())
    assert broken(links) is None
    assert broken(links, up_to=known) == Break(SHARD, known.position, "truncated")


@given(chains(1), st.data())
@settings(max_examples=50)
def test_any_insertion_breaks_the_chain(links: list[Link], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(links) - 1))
    links.insert(index + 1, links[index])
    assert broken(links) == Break(SHARD, index + 2, "out-of-order")


@given(chains(2), st.data())
@settings(max_examples=50)
def test_any_reordering_breaks_the_chain(links: list[Link], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(links))))
    found = broken([links[index] for index in order])
    if order == list(range(len(links))):
        assert found is None
    else:
        first = next(place for place, index in enumerate(order) if place != index)
        assert found == Break(SHARD, first + 1, "missing")


def test_a_link_of_another_shard_or_place_is_seen() -> None:
    links = a_chain(a_record(), a_record())
    for moved in (replace(links[0], shard="node-2"), replace(links[0], position=2)):
        assert broken([moved, links[1]]) == Break(SHARD, 1, "relabelled")
    assert broken(a_chain(a_record(), shard="node-2")) == Break(SHARD, 1, "relabelled")


def test_a_payload_of_something_else_is_seen() -> None:
    payload = b"{}"
    stranger = Link(SHARD, 1, payload, sha256(b"\x00" + payload).digest())
    assert broken([stranger]) == Break(SHARD, 1, "unreadable")


def test_a_chain_is_checked_onwards_from_a_trusted_link() -> None:
    links = a_chain(*[a_record(request_id=str(number)) for number in range(4)])
    assert first_break(links[2:], head_of(links[1])) is None
    assert first_break(links[2:], head_of(links[0])) == Break(SHARD, 2, "missing")
