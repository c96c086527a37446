"""
The ledger is a chain per shard: each link names the hash of the one before it.

A link's payload is the canonical JSON (RFC 8785) of its shard, its position, the previous hash
and the record, what is absent left out. Its hash is SHA-256(0x00 || payload), the leaf hash of
RFC 6962, so that Merkle checkpoints can be put over the same leaves. Whoever has the payloads can
therefore prove the whole chain; a tail that was cut off shows only against a head kept elsewhere.

Keep the members of `_Envelope` and `_Target` in alphabetical order (that is what makes their JSON
canonical), add new ones only with a default that is left out, and never a float: links that are
written today must read and hash the same in ten years.

https://www.rfc-editor.org/rfc/rfc8785, https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal

import msgspec

from audit.record import Outcome, Record, Target

BreakKind = Literal["edited", "unreadable", "relabelled", "missing", "out-of-order", "unlinked", "truncated"]
"""
edited: the payload does not have its hash; unreadable: it is no canonical link of ours;
relabelled: it was filed under another shard or position than it names; missing: positions were
skipped; out-of-order: a position came again or too late; unlinked: it names another predecessor;
truncated: the chain ends before a head that is known to exist.
"""


class Link(msgspec.Struct, frozen=True):
    """One record in its place; `payload` is what was hashed and all that must be kept."""

    shard: str
    position: int
    payload: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    """A place in a chain: the link at `position` has this hash. Position 0 is before the first."""

    shard: str
    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain stops holding; `position` is the first that cannot be trusted."""

    shard: str
    position: int
    kind: BreakKind


class Unreadable(ValueError):
    """A payload is not one that this ledger writes."""


def genesis(shard: str) -> bytes:
    """
    What the first link of a shard names as its predecessor; never the hash of any payload.

    Raises ValueError when `shard` cannot be part of an AuditEvent's id.
    """
    if not _SHARD.fullmatch(shard):
        raise ValueError("The name of a shard has 1 to 36 letters, digits and hyphens")
    return start_of(shard).hash


def link(record: Record, *, shard: str, position: int, previous: bytes) -> Link:
    """`record` as the link at `position` (from 1), after the one whose hash is `previous`."""
    envelope = _envelope(record, shard, position, previous)
    try:
        payload = _encode(envelope)
    except UnicodeEncodeError:
        payload = _encode(_without_surrogates(envelope))
    return Link(shard, position, payload, sha256(_LEAF_PREFIX + payload).digest())


def record_of(payload: bytes) -> Record:
    """
    The record that `link` put into `payload`.

    Raises Unreadable when it is not a payload of ours.
    """
    return _record(_read(payload))


def link_of(payload: bytes) -> Link:
    """
    The link that `payload` alone describes, its hash computed.

    Raises Unreadable when it is not a payload of ours.
    """
    envelope = _read(payload)
    return Link(envelope.shard, envelope.position, payload, sha256(_LEAF_PREFIX + payload).digest())


def head_of(last: Link) -> Head:
    """The place that `last` marks, to be kept elsewhere or continued from."""
    return Head(last.shard, last.position, last.hash)


def first_break(links: Iterable[Link], after: Head, *, up_to: Head | None = None) -> Break | None:
    """
    The first link that does not follow from the one before it, None when the chain holds.

    `links` are of one shard, in the order of the ledger, from the one behind `after` (the genesis
    head, or one that is trusted). With `up_to`, a head known from elsewhere, the chain must reach
    it and have its hash there.
    """
    for item in links:
        found = flaw_of(item, after)
        if found is None and up_to is not None and _contradicts(item, up_to):
            found = "edited"
        if found is not None:
            return Break(after.shard, after.position + 1, found)
        after = head_of(item)
    if up_to is not None and after.position < up_to.position:
        return Break(after.shard, after.position + 1, "truncated")
    return None


def flaw_of(item: Link, after: Head) -> BreakKind | None:
    """Why `item` is not the link that follows `after`; None when it is."""
    if sha256(_LEAF_PREFIX + item.payload).digest() != item.hash:
        return "edited"
    try:
        envelope = _read(item.payload)
    except Unreadable:
        return "unreadable"
    if (envelope.shard, envelope.position) != (item.shard, item.position) or item.shard != after.shard:
        return "relabelled"
    if item.position > after.position + 1:
        return "missing"
    if item.position <= after.position:
        return "out-of-order"
    if envelope.previous != after.hash.hex():
        return "unlinked"
    return None


def start_of(shard: str) -> Head:
    """The head before the first link of a shard, whatever its name."""
    return Head(shard, 0, sha256(_GENESIS_PREFIX + shard.encode("utf-8", "replace")).digest())


class _Target(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    reference: str
    version: int | None = None


class _Envelope(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    address: str
    client: str | None = None
    count: int = 1
    interaction: str
    outcome: Outcome
    patients: tuple[str, ...] = ()
    position: int
    previous: str
    purpose: str | None = None
    query: str | None = None
    reason: str | None = None
    request_id: str
    shard: str
    status: int
    subject: str | None = None
    targets: tuple[_Target, ...] = ()
    time: datetime
    token_id: str | None = None
    user: str | None = None


def _envelope(record: Record, shard: str, position: int, previous: bytes) -> _Envelope:
    if record.time.tzinfo is None:
        raise ValueError("The time of a record has no zone")
    return _Envelope(
        address=record.address,
        client=record.client,
        count=record.count,
        interaction=record.interaction,
        outcome=record.outcome,
        patients=record.patients,
        position=position,
        previous=previous.hex(),
        purpose=record.purpose,
        query=record.query,
        reason=record.reason,
        request_id=record.request_id,
        shard=shard,
        status=record.status,
        subject=record.subject,
        targets=tuple([_Target(target.reference, target.version) for target in record.targets]),
        time=record.time if record.time.tzinfo is UTC else record.time.astimezone(UTC),
        token_id=record.token_id,
        user=record.user,
    )


def _record(envelope: _Envelope) -> Record:
    return Record(
        time=envelope.time,
        interaction=envelope.interaction,
        outcome=envelope.outcome,
        status=envelope.status,
        request_id=envelope.request_id,
        address=envelope.address,
        client=envelope.client,
        subject=envelope.subject,
        user=envelope.user,
        purpose=envelope.purpose,
        token_id=envelope.token_id,
        targets=tuple(Target(target.reference, target.version) for target in envelope.targets),
        patients=envelope.patients,
        query=envelope.query,
        reason=envelope.reason,
        count=envelope.count,
    )


def _without_surrogates(envelope: _Envelope) -> _Envelope:
    """
    The envelope with `?` for each lone surrogate, which UTF-8 cannot write.

    Half characters come from a caller's token or headers; refusing to record them would let a
    request go unrecorded.
    """
    strings = {
        name: value.encode("utf-8", "replace").decode()
        for name in envelope.__struct_fields__
        if isinstance(value := getattr(envelope, name), str)
    }
    return msgspec.structs.replace(
        envelope,
        **strings,
        patients=tuple(patient.encode("utf-8", "replace").decode() for patient in envelope.patients),
        targets=tuple(
            _Target(target.reference.encode("utf-8", "replace").decode(), target.version)
            for target in envelope.targets
        ),
    )


def _read(payload: bytes) -> _Envelope:
    try:
        envelope = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable("The payload is not a link of the ledger") from error
    if _encode(envelope) != payload:
        raise Unreadable("The payload is not in its canonical form")
    return envelope


def _contradicts(item: Link, known: Head) -> bool:
    return item.position == known.position and item.hash != known.hash


_SHARD: Final = re.compile(r"[A-Za-z0-9-]{1,36}")
_LEAF_PREFIX: Final = b"\x00"
_GENESIS_PREFIX: Final = b"audit ledger shard\x00"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Envelope).decode
