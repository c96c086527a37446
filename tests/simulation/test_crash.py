"""
kill -9 at any moment of a write load: what was acknowledged is there, once, and the audit log agrees.

Real processes: a supervisor, two workers, a mongod; clients that write and read over HTTP, senders
of HL7 v2 over MLLP. Who is killed when is decided by the seed, as is all that the clients do; how
far each of them has come by then is up to the machine, so a seed repeats a run nearly, not exactly.
docs/testing.md says how to run more of it, and how to run one again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest

from tests.simulation.checker import flaws
from tests.simulation.evidence import gathered
from tests.simulation.feed import Message, Sender, feed_flaws
from tests.simulation.journal import MARKS, Fate, Journal
from tests.simulation.load import Client
from tests.simulation.server import Serving, Victim

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

CLIENTS: Final = 8
SENDERS: Final = 2
BEFORE_A_KILL_SECONDS: Final = (0.1, 1.2)
IN_A_START_SECONDS: Final = (0.1, 3.0)
KILLED_IN_ITS_START: Final = 0.3
"""How often a later start is killed once before it is left alone; the first one always is."""
ANSWERS_BEFORE_A_KILL: Final = 40
RECOVERY_SECONDS_MAX: Final = 60.0
WRITABLE_SECONDS_MAX: Final = 20.0
POLL_SECONDS: Final = 0.02
IDENTIFIERS_ASKED_AT_ONCE: Final = 40
SHOWN_MAX: Final = 12


@pytest.mark.slow
async def test_what_was_acknowledged_survives_any_kill(short_folder: Path, seed: int, rounds: int) -> None:
    serving, journal = Serving(short_folder), Journal(seed)
    try:
        found = await _run(serving, journal, rounds)
    finally:
        await serving.end()
    assert len(journal.kills) > rounds
    assert journal.acknowledged > ANSWERS_BEFORE_A_KILL * rounds
    assert not found, _report(found, journal, serving, rounds)


async def _run(serving: Serving, journal: Journal, rounds: int) -> list[str]:
    """What is wrong after so many kills."""
    seed, random = journal.seed, Random(journal.seed)
    await _start_and_kill(serving, journal, random)
    await serving.start()
    token = await serving.token()
    senders = [Sender(f"{seed}-{number}-", serving.mllp_port) for number in range(SENDERS)]
    async with serving.client(token) as http:
        clients = [Client(number, http, journal, Random(f"{seed}/{number}")) for number in range(CLIENTS)]
        probe = Client(CLIENTS, http, journal, Random(f"{seed}/probe"))
        async with _working([*clients, *senders]):
            for victim in _victims(random, rounds):
                await _kill(serving, victim, journal, random)
                await probe.write_to_all(WRITABLE_SECONDS_MAX)
            await _answers(journal, ANSWERS_BEFORE_A_KILL)
        messages = [message for sender in senders for message in sender.messages]
        await _send_again(senders, random)
        found = [complaint for client in [*clients, probe] for complaint in client.complaints]
        async with serving.store() as store:
            evidence = await gathered(store)
        found += [*flaws(journal, evidence), *feed_flaws(messages, evidence)]
        found += await _flaws_in_answers(http, journal, messages, random)
    await serving.stop()
    return found


def _victims(random: Random, rounds: int) -> list[Victim]:
    """Everybody's turn comes before anybody's comes again."""
    victims: list[Victim] = []
    while len(victims) < rounds:
        victims += random.sample(list(Victim), len(Victim))
    return victims[:rounds]


@asynccontextmanager
async def _working(workers: Sequence[Client | Sender]) -> AsyncIterator[None]:
    """All of them at work until the block ends; the last request of each is seen through."""
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run(ended))
        try:
            yield
        finally:
            ended.set()


async def _kill(serving: Serving, victim: Victim, journal: Journal, random: Random) -> None:
    """One round: work, a kill, and back at work with all processes."""
    await _answers(journal, ANSWERS_BEFORE_A_KILL)
    await asyncio.sleep(random.uniform(*BEFORE_A_KILL_SECONDS))
    journal.kills.append(f"{victim.value}, after {len(journal.attempts)} requests")
    await serving.kill(victim, random)
    if victim in (Victim.SUPERVISOR, Victim.EVERYTHING, Victim.NOBODY):
        if random.random() < KILLED_IN_ITS_START:
            await _start_and_kill(serving, journal, random)
        await serving.start()
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while not serving.is_whole:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(POLL_SECONDS)


async def _start_and_kill(serving: Serving, journal: Journal, random: Random) -> None:
    """Of a first start, too, whatever it has done by then must be no hindrance to the next."""
    seconds = random.uniform(*IN_A_START_SECONDS)
    journal.kills.append(f"everything, {seconds:.2f} s into its start")
    await serving.start_and_kill(seconds)


async def _answers(journal: Journal, count: int) -> None:
    """Returns when so many more requests have been acknowledged."""
    wanted = journal.acknowledged + count
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while journal.acknowledged < wanted:  # noqa: ASYNC110 - what tells is a count
            await asyncio.sleep(POLL_SECONDS)


async def _send_again(senders: Sequence[Sender], random: Random) -> None:
    """A message that was accepted is accepted again; that it changes nothing, the rules see."""
    for sender in senders:
        for message in random.sample(sender.messages, min(3, len(sender.messages))):
            again = replace(message, answers=[])
            await sender.accepted(again)
            assert again.answers == [message.wanted]
        sender.hang_up()


async def _flaws_in_answers(
    http: httpx.AsyncClient, journal: Journal, messages: Sequence[Message], random: Random
) -> list[str]:
    """What the API shows of it: each create by its identifier and its id, and in the audit log."""
    created = {
        write.mark or "": seen.key
        for attempt in journal.attempts
        if attempt.fate is Fate.ACKNOWLEDGED
        for write, seen in zip(attempt.writes, attempt.seen, strict=False)
        if write.method == "POST" and write.type == "Patient"
    }
    wanted = {(MARKS, mark): key for mark, key in created.items()}
    found = await _found(http, [f"{MARKS}|{mark}" for mark in created])
    said = [f"{mark}: {key} was acknowledged, a search finds {found.get(mark)}"
            for (_, mark), key in wanted.items() if found.get(mark) != [key]]  # fmt: skip
    fed = await _found(http, sorted({message.patient for message in messages}))
    said += [f"{number}: a search finds {keys}" for number, keys in fed.items() if len(keys) != 1]
    for mark, key in random.sample(sorted(created.items()), min(20, len(created))):
        if (await http.get(f"/{key}")).status_code != httpx.codes.OK:
            said.append(f"{mark}: {key} cannot be read")
        if (events := await _events_about(http, f"{key}/_history/1")) != 1:
            said.append(f"{mark}: {key} has {events} AuditEvents of its creation")
    return said


async def _events_about(http: httpx.AsyncClient, version: str) -> int:
    """How many AuditEvents say that this version was created."""
    key = version.partition("/_history/")[0]
    entries = (await http.get(f"/AuditEvent?entity={key}&action=C&_count=200")).json().get("entry", [])
    named = [[entity["what"].get("reference") for entity in one["resource"]["entity"]] for one in entries]
    return sum(version in references for references in named)


async def _found(http: httpx.AsyncClient, tokens: Sequence[str]) -> dict[str, list[str]]:
    """The keys of the Patients that are found, by the value of the identifier asked for."""
    found: dict[str, list[str]] = {token.rpartition("|")[2]: [] for token in tokens}
    for start in range(0, len(tokens), IDENTIFIERS_ASKED_AT_ONCE):
        asked = ",".join(tokens[start : start + IDENTIFIERS_ASKED_AT_ONCE])
        response = await http.get("/Patient", params={"identifier": asked, "_count": 200})
        for entry in response.json().get("entry", []):
            resource = entry["resource"]
            for identifier in resource["identifier"]:
                found.setdefault(identifier["value"], []).append(f"Patient/{resource['id']}")
    return found


def _report(found: Sequence[str], journal: Journal, serving: Serving, rounds: int) -> str:
    lines = [f"{len(found)} flaws with seed {journal.seed}; the kills were"]
    lines += [f"  {kill}" for kill in journal.kills]
    for flaw in found[:SHOWN_MAX]:
        lines.append(f"- {flaw}")
        lines += [f"    {line}" for line in journal.about(flaw.split(":")[0])[:SHOWN_MAX]]
    lines += ["the server's log says", *serving.problems()[-SHOWN_MAX:]]
    lines.append(
        f"again: pytest tests/simulation --simulation-seed {journal.seed} --simulation-rounds {rounds}"
    )
    return "\n".join(lines)
