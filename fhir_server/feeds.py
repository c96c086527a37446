"""
The feeds that come in beside FHIR: each adapter gets the inbox, a client and an identity.

An adapter submits through the same application as anybody else, over ASGI instead of a socket,
as the registered client `hl7v2` with a token of its own; so scopes, consent and audit hold for it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from socket import socket
from typing import TYPE_CHECKING, Any, Final

import httpx
import structlog

from adapters.fhir_client import FhirClient
from adapters.hl7v2.delivery import Delivery, Patience
from adapters.hl7v2.listener import Limits, Listener
from adapters.hl7v2.receiver import Receiver
from adapters.hl7v2.senders import Sender, Senders, senders_from
from adapters.inbox import Facts, InboxUnavailable, Kept, Status
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import FhirError
from fhir_server.smart.tokens import Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_server.store.inbox import Inbox as StoredInbox
    from fhir_server.store.inbox import Kept as StoredKept

log = structlog.get_logger()

CLIENT: Final = "hl7v2"
TYPES: Final = (
    "AllergyIntolerance", "Condition", "DiagnosticReport", "DocumentReference", "Encounter", "Location",
    "Observation", "Organization", "Patient", "Practitioner", "Provenance", "RelatedPerson", "ServiceRequest",
)  # fmt: skip
"""What the feed may read, search, create and update; it deletes nothing."""

TOKEN_SECONDS: Final = 600
TOKEN_SECONDS_LEFT_MIN: Final = 60
IDENTIFIERS: Final = ("settings", "identifiers")
"""Where the base of identifier systems of our own is kept: it must never change."""


@asynccontextmanager
async def hl7v2_feed(application: Any, bound: socket, services: Services) -> AsyncIterator[None]:
    """Listen for HL7 v2 on `bound` until the block ends; what is under way is finished and answered."""
    settings = services.settings
    transport = httpx.ASGITransport(application, client=("127.0.0.1", 0))
    async with FhirClient(settings.base_url, _Identity(services).token, transport) as client:
        receiver = Receiver(
            _Inbox(services.store.inbox),
            Delivery(client, Patience(), SystemRandom().random),
            await _senders(services),
            services.clock,
            lambda: secrets.token_hex(10),
            log,
        )
        limits = Limits(settings.mllp_message_bytes_max, settings.mllp_connections_max)
        listener = Listener(receiver, limits, log)
        resumed = asyncio.Event()
        listening = asyncio.create_task(_listen(receiver, listener, bound, resumed))
        try:
            yield
        finally:
            listener.stop()
            if not resumed.is_set():
                # It may wait for a database that is away; what is not finished is taken up next time.
                listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _listen(receiver: Receiver, listener: Listener, bound: socket, resumed: asyncio.Event) -> None:
    """What was not finished when the process ended comes first; senders wait in the socket's queue."""
    count = await receiver.resume()
    resumed.set()
    if count:
        log.info("messages_resumed", count=count)
    await listener.serve(bound)


async def _senders(services: Services) -> Senders:
    """
    The agreements with senders.

    Systems of our own begin with the first base URL that was ever served here.
    """
    settings = services.settings
    kept = await services.store.state.insert(*IDENTIFIERS, {"base": settings.base_url})
    default = Sender(time_zone=settings.hl7v2_time_zone)
    if settings.hl7v2_senders is None:
        return Senders(kept["base"], default=default)
    text = await asyncio.to_thread(Path(settings.hl7v2_senders).read_text, "utf-8")
    return senders_from(text, kept["base"], default)


class _Identity:
    """The adapter's own token, made anew before it expires."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._token = ""
        self._expires = 0

    async def token(self) -> str:
        now = int(self._services.clock().timestamp())
        if self._expires - now < TOKEN_SECONDS_LEFT_MIN:
            scope = " ".join(f"system/{name}.crus" for name in TYPES)
            grant = Grant(client=CLIENT, scope=scope, lifetime_seconds=TOKEN_SECONDS)
            token_id = f"{CLIENT}-{self._services.new_id()}"
            self._token = self._services.tokens.issue(grant, now=now, token_id=token_id)
            self._expires = now + TOKEN_SECONDS
        return self._token


class _Inbox:
    """The store's inbox in the adapters' words."""

    def __init__(self, stored: StoredInbox) -> None:
        self._stored = stored

    async def keep(self, identity: str, raw: bytes, facts: Facts, now: datetime) -> Kept:
        with _in_adapters_words():
            return _kept(await self._stored.keep(identity, raw, facts, now))

    async def settle(
        self, id: str, status: Status, answer: bytes | None, facts: Facts, now: datetime
    ) -> None:
        with _in_adapters_words():
            await self._stored.settle(id, status, answer, facts, now)

    async def reopen(self, id: str) -> None:
        with _in_adapters_words():
            await self._stored.reopen(id)

    async def unsettled(self, limit: int) -> Sequence[Kept]:
        with _in_adapters_words():
            return [_kept(kept) for kept in await self._stored.unsettled(limit)]


def _kept(kept: StoredKept) -> Kept:
    return Kept(kept.id, kept.status, kept.answer, kept.fresh, kept.raw, kept.facts)


@contextmanager
def _in_adapters_words() -> Iterator[None]:
    try:
        yield
    except FhirError as error:
        raise InboxUnavailable(str(error)) from error
