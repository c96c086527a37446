"""
Reads beside a flood of logins: wrong passwords without end, from many addresses, as fast as they are refused.

Each guess is at another name, so that no lock-out helps. Of what is guessed a little is looked at, by one
thread; the rest is refused with 429 and Retry-After. What counts is the 95th percentile of the reads.

https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlencode

from conformance.bench.figures import Comparison, Goal
from conformance.bench.rounds import Run, in_turns
from conformance.bench.scene import Scene
from conformance.bench.wire import Answer, UnexpectedAnswer, drive
from fhir_server.api.authorization.cookies import form_token
from fhir_server.pipeline.authorizing.addresses import LOGIN_PATH

FLOODED: Final = Goal(3.0, at_least=False)
ATTACKERS: Final = 40
READERS: Final = 8
KEYS_MAX: Final = 5_000
_COOKIE: Final = "an-attackers-own-cookie"


async def logins(scene: Scene) -> AsyncIterator[Comparison]:
    """Audited reads, a few at a time, while nobody logs in and while many try to."""
    requests = [scene.server.address.request("GET", key) for key in scene.keys[:KEYS_MAX]]
    names = itertools.count()
    statuses: Counter[int] = Counter()
    seconds = 0.0

    async def flooded() -> Run:
        nonlocal seconds
        over = asyncio.Event()
        flood = asyncio.create_task(_flood(scene, names, over, statuses))
        try:
            # Those that wait for their hash are as many as they will be.
            await asyncio.sleep(min(0.5, scene.options.allowance.seconds))
            run = await scene.ask("read beside logins", itertools.cycle(requests), in_flight=READERS)
        finally:
            over.set()
            seconds += (await flood).seconds
        return run

    async def idle() -> Run:
        return await scene.ask("idle read", itertools.cycle(requests), in_flight=READERS)

    rounds = await in_turns(scene.options.rounds, flooded, idle)
    looked_at, refused = statuses[401] / seconds, statuses[429] / seconds
    limit = f"idle ({looked_at:,.0f}/s guesses looked at, {refused:,.0f}/s refused: 429 with Retry-After)"
    yield Comparison("read beside a flood of logins, p95", limit, rounds, FLOODED, "p95")


async def _flood(scene: Scene, names: Iterator[int], over: asyncio.Event, statuses: Counter[int]) -> Run:
    def seen(answer: Answer) -> None:
        statuses[answer.status] += 1
        if answer.status == 429 and b"\r\nretry-after:" not in answer.head.lower():
            raise UnexpectedAnswer("429 without Retry-After")

    def guesses() -> Iterator[bytes]:
        while not over.is_set():
            yield _guess(scene, next(names))

    return await drive(
        scene.server.address,
        guesses(),
        in_flight=ATTACKERS,
        expected=frozenset({401, 429}),
        seen=seen,
        # Linux has all of 127/8: one address would be slowed long before the hashing is busy.
        hosts=[f"127.0.1.{number}" for number in range(1, ATTACKERS + 1)],
    )


def _guess(scene: Scene, number: int) -> bytes:
    told = {"csrf": form_token(_COOKIE), "name": f"nobody-{number}", "password": "not the password"}
    body = urlencode(told).encode()
    lines = (
        f"POST {LOGIN_PATH} HTTP/1.1",
        f"host: {scene.server.address.host}:{scene.server.address.port}",
        f"cookie: form={_COOKIE}",
        "content-type: application/x-www-form-urlencoded",
        f"content-length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
