"""
The spine: what happens to a message between its arrival and its answers.

    keep        the exact bytes are durable in the inbox
    accept      CA, CE or CR, when MSH-15 asks for it: is the message safe?
    deliver     translated and committed by the FHIR server, or refused
    settle      what was decided is durable in the inbox
    answer      AA, AE or AR, when MSH-16 asks for it, always in original mode

AA is sent only after the commit. A message that is stored already changes nothing and gets the
answer it got; one that was refused is judged anew. When the FHIR server is away, a sender who
waits for the application's answer is told AE after a while and sends again. One who does not is
made to wait for the acceptance of its next message instead, so that nothing it was told is safe
is overtaken or left behind. What was under way when the process ended is taken up by `resume`,
before anything new is listened to.

HL7 v2.8, 2.9.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from adapters.hl7v2.acknowledge import Fault, acknowledgement, bare_acknowledgement
from adapters.hl7v2.charsets import decode
from adapters.hl7v2.delivery import Delivered, Delivery, Parcel, Unanswered, Undelivered
from adapters.hl7v2.er7 import Message, Unreadable, parse
from adapters.hl7v2.header import VERSIONS, Asked, Header, header_of, identity_of
from adapters.hl7v2.log import Log
from adapters.hl7v2.messages import CODES, TRANSLATORS
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.senders import Senders
from adapters.inbox import Inbox, InboxUnavailable, Kept, Status

RESUMED_AT_ONCE: Final = 100
ORIGINAL: Final = Asked(enhanced=False, accept="NE", application="AL")


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes as they came, and what can be made of them. `fault` is why they cannot be acted upon."""

    raw: bytes
    message: Message | None
    header: Header | None
    fault: Fault | None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        return self.header.asked if self.header else ORIGINAL


class Receiver:
    """
    `clock` gives the time, with its zone, for MSH-7 of answers; `new_control_id` their MSH-10, of
    at most 20 characters.
    """

    def __init__(
        self,
        inbox: Inbox,
        delivery: Delivery,
        senders: Senders,
        clock: Callable[[], datetime],
        new_control_id: Callable[[], str],
        log: Log,
    ) -> None:
        self._inbox = inbox
        self._delivery = delivery
        self._senders = senders
        self._clock = clock
        self._new_control_id = new_control_id
        self._log = log

    async def receive(self, raw: bytes, peer: str = "") -> AsyncIterator[bytes]:
        """
        The answers to a message, each when it is due: the acceptance before the work is done.

        Go through all of them, even if one cannot be sent: the work is between them.
        """
        arrived = _arrived(raw, {"peer": peer} if peer else {})
        kept = await self._keep(arrived)
        if kept is None:
            unavailable = Fault("207", "", "The message could not be made durable")
            for answer in self._refusals(arrived, "CE", "AE", unavailable):
                yield answer
            return
        if arrived.fault is not None:
            for answer in await self._unfit(arrived, arrived.fault, kept):
                yield answer
            return
        if arrived.asked.wants_accept(success=True):
            yield self._answer("CA", arrived, ())
        last = await self._processed(arrived, kept)
        if last is not None:
            yield last

    def refuse(self, head: bytes, text: str) -> Sequence[bytes]:
        """The answers to a message that was not taken in at all, of which `head` is the beginning."""
        arrived = _arrived(head, {})
        fault = Fault("207", "", text)
        self._log.warning("message_not_taken", reason=text, **_named(arrived.header))
        return list(self._refusals(arrived, "CR", "AR", fault))

    async def resume(self) -> int:
        """
        Take up what was not finished when the process ended; how many there were.

        Call before listening: what came first is to be done first. Nobody is waiting for these
        answers; a sender that sends again gets them then.
        """
        done: set[str] = set()
        while unsettled := [k for k in await self._inbox.unsettled(RESUMED_AT_ONCE) if k.id not in done]:
            for kept in unsettled:
                arrived = _arrived(kept.raw, {})
                self._log.info("message_resumed", message=kept.id, **_named(arrived.header))
                if arrived.fault is not None:
                    await self._unfit(arrived, arrived.fault, kept)
                else:
                    await self._processed(arrived, kept)
                done.add(kept.id)
        return len(done)

    async def _keep(self, arrived: Arrived) -> Kept | None:
        """Durable, and ready to be judged. None when the inbox is not to be reached."""
        now = self._clock()
        facts = {**arrived.facts, "received": _instant(now)}
        try:
            kept = await self._inbox.keep(identity_of(arrived.raw, arrived.header), arrived.raw, facts, now)
            if kept.status in ("refused", "unreadable"):
                await self._inbox.reopen(kept.id)
        except InboxUnavailable:
            self._log.error("inbox_unavailable", **_named(arrived.header))
            return None
        return kept

    async def _unfit(self, arrived: Arrived, fault: Fault, kept: Kept) -> Sequence[bytes]:
        """Settle what cannot be acted upon; the answers that are wanted."""
        answers = self._refusals(arrived, "CR", "AR", fault)
        status: Status = "unreadable" if arrived.message is None else "refused"
        facts = {"answer": "AR", "fault": f"{fault.code}:{fault.location}"}
        await self._settle(kept, status, answers[0] if answers else None, facts)
        return answers

    async def _processed(self, arrived: Arrived, kept: Kept) -> bytes | None:
        """Judge the message, or remember how it was judged: the application's answer, if one is wanted."""
        if kept.status != "stored":
            return await self._delivered(arrived, kept)
        self._log.info("message_again", message=kept.id, **_named(arrived.header))
        if not arrived.asked.wants_application(success=True):
            return None
        return kept.answer or self._answer("AA", arrived, ())

    async def _delivered(self, arrived: Arrived, kept: Kept) -> bytes | None:
        message, header = arrived.message, arrived.header
        assert message is not None
        assert header is not None
        sender = self._senders.of(header)
        reading = Reading(header, sender, self._senders.base, identity_of(arrived.raw, header))
        recorded = kept.facts.get("received", _instant(self._clock()))
        parcel = Parcel(message, reading, kept.id, recorded, tried_before=not kept.fresh)
        waits = arrived.asked.wants_application(success=False)
        match await self._delivery.deliver(parcel, give_up=waits):
            case Delivered(unmapped=unmapped):
                facts = {} if unmapped is None else {"unmapped": " ".join(unmapped)}
                return await self._decided(arrived, kept, "stored", "AA", (), facts)
            case Undelivered(faults=faults):
                return await self._decided(arrived, kept, "refused", "AE", faults)
            case Unanswered(reason=reason):
                away = Fault("207", "", "The FHIR server cannot be reached, send the message again")
                return await self._decided(arrived, kept, "received", "AE", [away], {"reason": reason})

    async def _decided(
        self,
        arrived: Arrived,
        kept: Kept,
        status: Status,
        code: str,
        faults: Sequence[Fault],
        facts: Mapping[str, str] | None = None,
    ) -> bytes | None:
        """Settle, then answer: what a sender is told was decided before."""
        wanted = arrived.asked.wants_application(success=code == "AA")
        answer = self._answer(code, arrived, faults) if wanted else None
        told = {"answer": code if wanted else "none", **(facts or {})}
        if faults:
            told["fault"] = " ".join(f"{fault.code}:{fault.location}" for fault in faults)
        await self._settle(kept, status, answer, told)
        return answer

    async def _settle(
        self, kept: Kept, status: Status, answer: bytes | None, facts: Mapping[str, str]
    ) -> None:
        """
        When the inbox is away the message stays undecided there and is taken up again: what was
        committed is found committed then, and what was refused is judged anew. So the answer holds.
        """
        self._log.info("message_settled", message=kept.id, status=status, **facts)
        try:
            await self._inbox.settle(kept.id, status, answer, facts, self._clock())
        except InboxUnavailable:
            self._log.error("inbox_unavailable", message=kept.id)

    def _refusals(self, arrived: Arrived, accept: str, application: str, fault: Fault) -> Sequence[bytes]:
        """A message whose refusal the acceptance tells gets no application answer beside it."""
        asked = arrived.asked
        if asked.wants_accept(success=False):
            return [self._answer(accept, arrived, [fault])]
        return [self._answer(application, arrived, [fault])] if asked.wants_application(success=False) else []

    def _answer(self, code: str, arrived: Arrived, faults: Sequence[Fault]) -> bytes:
        now, control_id = self._clock(), self._new_control_id()
        if arrived.message is None or arrived.header is None:
            return bare_acknowledgement(code, control_id, now, faults[0])
        return acknowledgement(code, arrived.message, arrived.header, control_id, now, faults)


def _arrived(raw: bytes, facts: Mapping[str, str]) -> Arrived:
    decoded = decode(raw)
    declared = decoded.declared or "none declared"
    charset = decoded.codec if decoded.kept else f"{decoded.codec} ({declared})"
    try:
        message = parse(decoded.text, decoded.codec)
    except Unreadable as unreadable:
        fault = Fault("207", "MSH^1", str(unreadable))
        return Arrived(raw, None, None, fault, {**facts, "protocol": "hl7v2"})
    header = header_of(message)
    known = {**facts, "protocol": "hl7v2", **_named(header), "version": header.version, "charset": charset}
    return Arrived(raw, message, header, _fault_of(message, header), known)


def _fault_of(message: Message, header: Header) -> Fault | None:
    """Why a message that can be read cannot be acted upon."""
    if len(message.all("MSH")) > 1:
        return Fault("100", "MSH^2", "A frame holds one message, this one holds several")
    if not header.control_id:
        return Fault("101", "MSH^1^10", "The message has no control id")
    if header.version not in VERSIONS:
        return Fault("203", "MSH^1^12", "Versions 2.3 to 2.8 are understood")
    if header.code not in CODES:
        return Fault("200", "MSH^1^9", "This message type is not understood")
    if (header.code, header.event) not in TRANSLATORS:
        return Fault("201", "MSH^1^9", "This trigger event is not understood")
    return None


def _named(header: Header | None) -> dict[str, str]:
    if header is None:
        return {}
    return {
        "sender": f"{header.application}|{header.facility}",
        "control_id": header.control_id,
        "type": header.type,
    }


def _instant(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
