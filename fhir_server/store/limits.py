"""What the store lets one request, one group and one process take; each with its unit in its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """
    The bounds of a Store; the defaults serve one process of several on one machine.

    `operation_seconds_max` bounds each call of the driver, and how long one waits for a server
    that is away; searches and histories have `search_seconds_max`, the commit of a group
    `commit_seconds_max`, and one unit that is too large for a group `transaction_seconds_max`
    (below MongoDB's transactionLifetimeLimitSeconds, 60 by default). A unit with more writes or
    bytes than `group_unit_writes_max` and `group_unit_bytes_max` is such a unit.

    A text beyond `inline_bytes_max` is kept in parts of `body_part_bytes_max` (bodies.py). An entry
    has `entry_tokens_max` tokens, ranges and patients; one of a type that lists without end
    `overflow_tokens_max`, and beyond `entry_tokens_inline_max` only `name_tokens_inline_max` of a
    name stay in its document (overflow.py); of its words, of whatever type, `entry_words_inline_max`,
    or all are put beside it, `entry_words_max` at most. A question may be about
    `overflow_matches_max` versions of such.

    A process that is gone holds the watermark back for `writer_lease_seconds`, longer than a transaction
    lives (watermark.py); the first page of an order that can change waits `settling_seconds_max` at most
    for the writes that were under way as it was read.
    """

    operation_seconds_max: float = 10.0
    search_seconds_max: float = 10.0
    commit_seconds_max: float = 10.0
    transaction_seconds_max: float = 55.0
    connections_max: int = 20
    read_group_keys_max: int = 400
    read_groups_max: int = 2
    record_group_max: int = 1000
    record_groups_max: int = 1
    write_group_units_max: int = 128
    write_groups_max: int = 2
    group_unit_writes_max: int = 50
    group_unit_bytes_max: int = 250_000
    transactions_max: int = 2
    transaction_bytes_max: int = 128_000_000
    insert_batch_documents_max: int = 100
    insert_batch_bytes_max: int = 500_000
    inline_bytes_max: int = 250_000
    body_part_bytes_max: int = 4_000_000
    document_bytes_max: int = 15_000_000
    entry_tokens_max: int = 20_000
    entry_tokens_inline_max: int = 2_000
    name_tokens_inline_max: int = 500
    entry_words_inline_max: int = 2_000
    entry_words_max: int = 500_000
    overflow_tokens_max: int = 500_000
    overflow_part_tokens_max: int = 5_000
    overflow_part_characters_max: int = 500_000
    overflow_matches_max: int = 10_000
    shards_max: int = 6
    lease_seconds: float = 30.0
    writer_lease_seconds: float = 90.0
    settling_seconds_max: float = 1.0
    page_bytes_max: int = 32_000_000
    sort_matches_max: int = 10_000
    labels_max: int = 1_000

    @property
    def operation_milliseconds_max(self) -> int:
        """As the driver takes it."""
        return max(1, int(self.operation_seconds_max * 1000))

    @property
    def search_milliseconds_max(self) -> int:
        """As the server takes it: whole milliseconds, never 0, which would be no limit."""
        return max(1, int(self.search_seconds_max * 1000))
