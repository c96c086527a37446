"""
How a shipment reaches the server, and what the server said.

A 429 or 503 is tried again after what Retry-After asks for, with some jitter, a bounded number of
times. So is a connection that fails, but only when nothing can be stored twice by it: either the
request never left, or the server would only put the same resource again.

https://hl7.org/fhir/R4/http.html#transaction-response, https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from fhir_server.commands.load.answers import (
    Answer,
    Failure,
    answer_in,
    failures_by_entry,
    failures_in,
    failures_of_batch,
)
from fhir_server.commands.load.shipments import Entry, Group, Shipment, Whole, transaction

ATTEMPTS_MAX: Final = 8
BACKOFF_SECONDS: Final = 0.5
BACKOFF_SECONDS_MAX: Final = 30.0
RETRY_AFTER_SECONDS_MAX: Final = 120.0
TRY_AGAIN: Final = (429, 503)
# Refusals that may concern one entry of a group only, or its size.
MAY_BE_DIVIDED: Final = (400, 403, 404, 409, 410, 412, 413, 422)


class Stopped(Exception):
    """There is no use in sending anything more, and why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a shipment, in resources."""

    loaded: int = 0
    failed: int = 0
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: Receipt) -> Receipt:
        return Receipt(self.loaded + other.loaded, self.failed + other.failed, self.failures + other.failures)


class Sender:
    """Sends shipments over one client. `stopping` ends every wait; `jitter` gives numbers below 1."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        stopping: asyncio.Event,
        jitter: Callable[[], float],
        note: Callable[[str], None],
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._stopping = stopping
        self._jitter = jitter
        self._note = note
        self._is_away = False

    async def greet(self) -> None:
        """Raises Stopped unless a FHIR server is there."""
        response = await self._answer("GET", "/metadata", b"", repeatable=True)
        if answer_in(response).resource_type != "CapabilityStatement":
            raise Stopped(
                f"{self._base_url} is not the address of a FHIR server: "
                f"GET {self._base_url}/metadata answers {response.status_code} and no CapabilityStatement"
            )

    async def send(self, shipment: Shipment) -> Receipt:
        """Send it, in parts if need be. Raises Stopped when neither it nor anything after it can be sent."""
        try:
            match shipment:
                case Whole():
                    return await self._send_whole(shipment)
                case Group(entries=(entry,)):
                    return await self._send_one(entry)
                case Group():
                    return await self._send_group(shipment)
        except _Unanswered as error:
            return _lost(shipment, Failure(shipment.place, "transient", str(error)))

    async def _send_whole(self, whole: Whole) -> Receipt:
        response = await self._answer("POST", "", whole.body, repeatable=whole.repeatable)
        if not response.is_success:
            return _lost(whole, *failures_in(response, whole.place))
        answer = answer_in(response)
        if not _is_response(answer, whole):
            return _lost(whole, _no_response(whole))
        refused = failures_of_batch(answer, whole.place)
        return Receipt(whole.resources - len(refused), len(refused), _flat(refused.values()))

    async def _send_one(self, entry: Entry) -> Receipt:
        response = await self._answer(
            entry.method, f"/{entry.url}", entry.resource, repeatable=entry.key is not None
        )
        if response.is_success:
            return Receipt(loaded=1)
        return Receipt(failed=1, failures=tuple(failures_in(response, entry.place)))

    async def _send_group(self, group: Group) -> Receipt:
        body = transaction(group.entries)
        response = await self._answer("POST", "", body, repeatable=group.repeatable)
        if response.is_success:
            worked = _is_response(answer_in(response), group)
            return Receipt(loaded=group.resources) if worked else _lost(group, _no_response(group))
        if response.status_code in MAY_BE_DIVIDED:
            return await self._send_in_parts(group, response)
        return _lost(group, *failures_in(response, group.place))

    async def _send_in_parts(self, group: Group, refusal: httpx.Response) -> Receipt:
        """What the refusal names has failed; the rest is sent in halves, until what is bad stands alone."""
        named = failures_by_entry(refusal, group)
        receipt = Receipt(failed=len(named), failures=_flat(named.values()))
        rest = [entry for index, entry in enumerate(group.entries) if index not in named]
        middle = (len(rest) + 1) // 2
        for part in (rest[:middle], rest[middle:]):
            if part:
                receipt += await self.send(Group(tuple(part)))
        return receipt

    async def _answer(self, method: str, path: str, body: bytes, *, repeatable: bool) -> httpx.Response:
        """The server's answer; _Unanswered or Stopped when there is none, or none worth going on for."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            is_last = attempt == ATTEMPTS_MAX
            try:
                response = await self._client.request(method, self._base_url + path, content=body or None)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if is_last:
                    raise Stopped(f"{self._base_url} cannot be reached: {error}") from error
                self._say_that_it_is_away()
                wait = self._backoff(attempt)
            except httpx.TransportError as error:
                if is_last or not repeatable:
                    raise _Unanswered("The connection broke: whether this was stored is not known") from error
                wait = self._backoff(attempt)
            else:
                self._is_away = False
                if response.status_code == httpx.codes.UNAUTHORIZED:
                    raise Stopped("The server does not accept the token (401)")
                if response.status_code not in TRY_AGAIN or is_last:
                    return response
                wait = _retry_after_seconds(response) + self._backoff(attempt)
            await self._pause(wait)
        raise AssertionError("the last attempt returns or raises")

    def _say_that_it_is_away(self) -> None:
        if not self._is_away:
            self._is_away = True
            self._note(f"{self._base_url} cannot be reached; trying again for a while")

    def _backoff(self, attempt: int) -> float:
        return self._jitter() * min(BACKOFF_SECONDS * float(2**attempt), BACKOFF_SECONDS_MAX)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped("Interrupted")


class _Unanswered(Exception):
    """A request that may have been served, or not."""


def _lost(shipment: Shipment, *failures: Failure) -> Receipt:
    return Receipt(failed=shipment.resources, failures=failures)


def _is_response(answer: Answer, shipment: Shipment) -> bool:
    return answer.type == f"{shipment.type}-response" and len(answer.entry) == shipment.resources


def _no_response(shipment: Shipment) -> Failure:
    return Failure(
        shipment.place,
        "incomplete",
        f"The answer is no {shipment.type}-response with an entry for each that was sent",
    )


def _flat(failures: Iterable[list[Failure]]) -> tuple[Failure, ...]:
    return tuple(failure for some in failures for failure in some)


def _retry_after_seconds(response: httpx.Response) -> float:
    """Seconds, or a date to be read by the server's own clock; bounded, and 0 when it says nothing."""
    asked = str(response.headers.get("Retry-After", ""))
    if asked.isdecimal():
        return min(float(asked), RETRY_AFTER_SECONDS_MAX)
    try:
        date = str(response.headers.get("Date", ""))
        seconds: float = (parsedate_to_datetime(asked) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
