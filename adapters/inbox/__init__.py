"""
The inbox: where each inbound message is durable before anybody acts on it.

A port. It promises that the exact bytes are on disk when `keep` returns, that one identity is
kept once however often it arrives, and that what was decided about a message is decided in one
place. The implementation belongs to who runs the adapters; adapters only speak to this.

The life of a message::

    received --settle--> stored       the FHIR server has committed it
             --settle--> refused      judged, and the sender was told no
             --settle--> unreadable   nobody can tell what it says
             --settle--> received     not judged, and the sender was told to send it again
    refused, unreadable --reopen--> received
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Status = Literal["received", "stored", "refused", "unreadable"]

Facts = Mapping[str, str]
"""What is known of a message without showing it: names, codes, counts. Never patient data."""


class InboxUnavailable(Exception):
    """The inbox cannot promise durability now: nothing was kept, and the sender must not be told it was."""


@dataclass(frozen=True, slots=True)
class Kept:
    """
    A message in the inbox.

    `answer` is what the sender was last told by the application, None while nothing was decided
    or nothing was to be said. `fresh` is true for the call that kept it first. `facts` are the
    ones given when it was first kept, with those of later decisions over them.
    """

    id: str
    status: Status
    answer: bytes | None
    fresh: bool
    raw: bytes
    facts: Facts


class Inbox(Protocol):
    """Each method raises InboxUnavailable when what it promises cannot be done."""

    async def keep(self, identity: str, raw: bytes, facts: Facts, now: datetime) -> Kept:
        """
        The message with this identity, kept now if it was not there.

        Durable before it returns. Of several calls at once with one identity, in whatever
        process, exactly one is `fresh`.
        """

    async def settle(
        self, id: str, status: Status, answer: bytes | None, facts: Facts, now: datetime
    ) -> None:
        """Record what was decided and answered. `facts` are added to those already there."""

    async def reopen(self, id: str) -> None:
        """A message that was refused or unreadable is `received` again, without an answer."""

    async def unsettled(self, limit: int) -> Sequence[Kept]:
        """The oldest messages that are `received` and have no answer: nothing was decided about them."""
