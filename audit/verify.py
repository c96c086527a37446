"""
A verifier of exported ledgers that trusts nothing but the hash function.

It reads links (or bare payloads, one per line) of any number of shards, each in its own order,
and says where each chain stops holding, or how far it goes. Heads that were kept elsewhere (a
signed checkpoint, a printed page) show a tail that was cut off or a chain that was written anew:
without one, no chain can prove that it is complete.

Rules for editors: no import from the rest of the server, no state outside the call, one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audit.chain import Break, Head, Link, Unreadable, flaw_of, head_of, link_of, start_of


@dataclass(frozen=True, slots=True)
class Report:
    """
    What was found: for each shard the head up to which it holds, and the first break, if any.

    The position of a head is the number of links that hold, because positions start at 1.
    """

    heads: tuple[Head, ...]
    breaks: tuple[Break, ...]

    @property
    def holds(self) -> bool:
        return not self.breaks


def verify(links: Iterable[Link], known: Iterable[Head] = ()) -> Report:
    """Walk all chains from their beginning; `known` are heads that must be on them."""
    expected = {(head.shard, head.position): head.hash for head in known}
    heads = {shard: start_of(shard) for shard, _ in expected}
    breaks: dict[str, Break] = {}
    for item in links:
        if item.shard in breaks:
            continue
        after = heads.setdefault(item.shard, start_of(item.shard))
        kind = flaw_of(item, after)
        if kind is None and expected.get((item.shard, item.position), item.hash) != item.hash:
            kind = "edited"
        if kind is None:
            heads[item.shard] = head_of(item)
        else:
            breaks[item.shard] = Break(item.shard, after.position + 1, kind)
    for shard, position in sorted(expected):
        if shard not in breaks and heads[shard].position < position:
            breaks[shard] = Break(shard, heads[shard].position + 1, "truncated")
    return Report(tuple(heads.values()), tuple(breaks.values()))


def read_export(lines: Iterable[bytes]) -> Iterator[Link]:
    """
    The links of an export: one payload per line, empty lines between them allowed.

    Raises Unreadable, with the number of the line, when a line is not a payload of ours.
    """
    for number, line in enumerate(lines, start=1):
        payload = line.rstrip(b"\r\n")
        if payload:
            try:
                yield link_of(payload)
            except Unreadable as error:
                raise Unreadable(f"Line {number}: {error}") from error
