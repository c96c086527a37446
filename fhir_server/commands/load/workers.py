"""
Many shipments on their way at once, none of them out of order.

One reader takes the sources one after the other, and never more of them than is being sent. Workers
send what it hands them, several parts of one big file at once too. But a shipment waits as long as
another one that writes the same resource is on its way: so a later line never loses to an earlier
one, and two Bundles that share a Practitioner do not meet in a conflict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fhir_server.commands.load.answers import Failure
from fhir_server.commands.load.contents import shipments_of_document, shipments_of_lines
from fhir_server.commands.load.journal import Journal
from fhir_server.commands.load.report import Display, Tally
from fhir_server.commands.load.sender import Receipt, Sender, Stopped
from fhir_server.commands.load.shipments import Shipment, Unloadable
from fhir_server.commands.load.sources import Content, Source, Unreadable, opened

Item = Shipment | Unloadable | None
"""What comes out of a source, one after the other; None is its end."""


@dataclass(slots=True)
class _File:
    """A source that is being loaded; it is done when it is read and nothing of it is on its way."""

    source: Source
    on_the_way: int = 0
    is_read: bool = False
    is_complete: bool = True
    was_known: bool = False


class Workers:
    """Loads sources through one sender, each of them once."""

    def __init__(
        self,
        sender: Sender,
        journal: Journal,
        tally: Tally,
        display: Display,
        stopping: asyncio.Event,
        *,
        update: bool,
    ) -> None:
        self._sender = sender
        self._journal = journal
        self._tally = tally
        self._display = display
        self._stopping = stopping
        self._update = update
        self._turn = asyncio.Lock()
        self._keys_on_the_way: set[str] = set()
        self._arrived = asyncio.Event()
        self._stopped: Stopped | None = None

    async def load(self, sources: Iterable[Source], concurrency: int) -> None:
        """Load them all, `concurrency` shipments at once; raises Stopped when there is no use in going on."""
        items = self._items(sources)
        await asyncio.gather(*(self._work(items) for _ in range(concurrency)))
        # Stopped right behind the last shipment of a file, that file has been loaded all the same.
        match next(items, None):
            case (file, None):
                self._end(file)
        if self._stopped:
            raise self._stopped

    async def _work(self, items: Iterator[tuple[_File, Item]]) -> None:
        """Deal with item after item, until there is no more, or a worker was stopped: that stops all."""
        while taken := await self._take(items):
            file, item = taken
            match item:
                case None:
                    self._end(file)
                case Unloadable(place, reason):
                    failure = Failure(place, "invalid", reason)
                    self._count(file, Receipt(failed=1, failures=(failure,)))
                case _:
                    await self._send(file, item)
            self._display.show(self._tally)

    async def _take(self, items: Iterator[tuple[_File, Item]]) -> tuple[_File, Item] | None:
        async with self._turn:
            if self._stopping.is_set():
                return None
            # Reading and unpacking take their time: they leave the event loop to the sending.
            taken = await asyncio.to_thread(next, items, None)
            if taken is None:
                return None
            file, item = taken
            if isinstance(item, Shipment):
                file.on_the_way += 1
                await self._alone_with(item.keys)
            return file, item

    async def _alone_with(self, keys: frozenset[str]) -> None:
        """Wait until nothing on its way writes one of `keys`; then they are on their way."""
        while not self._keys_on_the_way.isdisjoint(keys):
            self._arrived.clear()
            await self._arrived.wait()
        self._keys_on_the_way |= keys

    async def _send(self, file: _File, shipment: Shipment) -> None:
        try:
            receipt = await self._sender.send(shipment)
        except Stopped as stopped:
            # The file stays on its way for ever: it is neither loaded nor refused.
            self._stopped = self._stopped or stopped
            self._stopping.set()
        else:
            self._count(file, receipt)
            file.on_the_way -= 1
            self._finish_if_done(file)
        finally:
            self._keys_on_the_way -= shipment.keys
            self._arrived.set()

    def _count(self, file: _File, receipt: Receipt) -> None:
        file.is_complete &= not receipt.failures
        self._tally.add(str(file.source), receipt)

    def _end(self, file: _File) -> None:
        file.is_read = True
        self._finish_if_done(file)

    def _finish_if_done(self, file: _File) -> None:
        if file.is_read and not file.on_the_way:
            self._tally.files_done += 1
            if file.is_complete and not file.was_known:
                self._journal.record(file.source)

    def _items(self, sources: Iterable[Source]) -> Iterator[tuple[_File, Item]]:
        bytes_before = 0
        for source in sources:
            file = _File(source, was_known=self._journal.has(source))
            if file.was_known:
                self._tally.files_known += 1
            else:
                try:
                    with opened(source) as content:
                        for item in self._contents(source, content):
                            self._tally.bytes_read = bytes_before + content.bytes_read
                            yield file, item
                except Unreadable as error:
                    yield file, Unloadable("", str(error))
            bytes_before += source.bytes
            self._tally.bytes_read = bytes_before
            yield file, None

    def _contents(self, source: Source, content: Content) -> Iterator[Shipment | Unloadable]:
        if source.holds_lines:
            return shipments_of_lines(content.lines(), update=self._update)
        return shipments_of_document(content.document(), update=self._update)
