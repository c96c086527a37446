"""Bundles prepared here and in another process: the same answers, and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.interactions.entries import Asked
from fhir_server.interactions.submission import Item, Order, Ready, Refused, Rules
from fhir_server.preparing.pool import BrokenError
from fhir_server.preparing.preparing import Preparing, PreparingLimits
from fhir_server.r4.errors import FhirError, TooLarge, Unavailable
from fhir_server.r4.interaction import Submission
from fhir_server.r4.media import Format
from fhir_server.r4.resource import Key, to_text
from fhir_server.r4.xml import to_xml
from tests.processes.served import children, command_of
from tests.server.running import a_patient, an_observation

BASE = "http://fhir.example/fhir"
RULES = Rules(BASE, resource_bytes_max=8 << 20, entries_max=25_000)
HERE = PreparingLimits(inline_bytes_max=1 << 30)
ELSEWHERE = PreparingLimits(inline_bytes_max=1)
ORDER_OF_NO_ENTRY = Order(7, Key("Patient", "1"))
PATIENT = "urn:uuid:2b1c3d4e-0000-4000-8000-000000000001"


@asynccontextmanager
async def preparing(limits: PreparingLimits = ELSEWHERE, rules: Rules = RULES) -> AsyncIterator[Preparing]:
    made = Preparing(rules, limits)
    try:
        yield made
    finally:
        await made.close()


def a_post(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    entry = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
    return entry if full_url is None else {"fullUrl": full_url, **entry}


def a_bundle(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def some_bundles() -> dict[str, dict[str, Any]]:
    observation = an_observation("x", subject={"reference": PATIENT})
    return {
        "right": a_bundle(a_post(a_patient(gender="female"), PATIENT), a_post(observation)),
        "a batch": a_bundle(a_post(a_patient()), a_post(a_patient(gender="nonsense")), kind="batch"),
        "none": a_bundle(),
        "two wrong": a_bundle(*[a_post(a_patient(gender="nonsense"))] * 2, a_post(a_patient())),
        "unresolved": a_bundle(a_post(a_patient()), a_post(observation)),
        "no resource": a_bundle({"request": {"method": "POST", "url": "Group"}}),
        "no request": a_bundle(a_post(a_patient()), {"resource": a_patient()}),
        "an unknown element": a_bundle({**a_post(a_patient()), "colour": "blue"}),
        "no bundle": a_patient(),
        "a collection": a_bundle(kind="collection"),
        "nested": a_bundle(a_post({"resourceType": "Bundle", "type": "batch", "entry": [{"x": 1}]})),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def elsewhere() -> AsyncIterator[Preparing]:
    """One whose process is warm."""
    async with preparing() as made:
        yield made


async def outcome(text: bytes, made: Preparing | None = None, format: Format = Format.JSON) -> Any:
    """All that comes of a Bundle, in plain values; here, where nothing else is said."""
    try:
        return await _prepared(made or Preparing(RULES, HERE), Submission(text, format))
    except FhirError as refusal:
        return type(refusal), str(refusal), refusal.issues


async def _prepared(
    made: Preparing,
    submission: Submission,
    *,
    at: signal.Signals | None = None,
    orders: Sequence[Order] | None = None,
) -> tuple[str, list[Asked], list[Item]]:
    """Both steps; `at` is sent to the process between them."""
    async with made.turn(submission), made.opened(submission) as bundle:
        if at is not None:
            os.kill(max(_processes()), at)
        if orders is None:
            orders = [
                Order(index, Key(one.resource_type or "", f"id{index}"), has_content=bool(one.resource_type))
                for index, one in enumerate(bundle.asked)
            ]
        others: Mapping[str, str] | None = {} if bundle.kind == "transaction" else None
        items = [item async for some in bundle.prepared(orders, others) for item in some]
        return bundle.kind, list(bundle.asked), items


@pytest.mark.parametrize("name", some_bundles())
async def test_a_bundle_has_the_same_outcome_here_and_elsewhere(name: str, elsewhere: Preparing) -> None:
    bundle = some_bundles()[name]
    text = to_text(bundle)
    assert await outcome(text) == await outcome(text, elsewhere)
    assert await outcome(text[:-1]) == await outcome(text[:-1], elsewhere)


async def test_xml_has_the_outcome_of_json(elsewhere: Preparing) -> None:
    """https://hl7.org/fhir/R4/xml.html"""
    bundle = some_bundles()["right"]
    here = await outcome(to_text(bundle))
    assert await outcome(to_xml(bundle), None, Format.XML) == here
    assert await outcome(to_xml(bundle), elsewhere, Format.XML) == here


async def test_references_between_entries_become_those_of_their_keys(elsewhere: Preparing) -> None:
    _kind, _asked, items = await outcome(to_text(some_bundles()["right"]), elsewhere)
    patient, observation = items
    assert isinstance(patient, Ready)
    assert isinstance(observation, Ready)
    assert b'"reference":"Patient/id0"' in b"".join(observation.prepared.parts)
    assert observation.prepared.entry.patients == ("id0",)


async def test_after_what_cannot_be_mended_nothing_more_is_prepared(elsewhere: Preparing) -> None:
    _kind, _asked, items = await outcome(to_text(some_bundles()["unresolved"]), elsewhere)
    assert [type(item) for item in items] == [Ready, Refused]
    assert items[1].issues[0].expression == ("Observation.subject.reference",)


async def test_a_process_is_kept_and_one_that_died_is_replaced() -> None:
    submission = to_text(some_bundles()["right"])
    async with preparing() as made:
        pids = []
        for _ in range(2):
            await _prepared(made, Submission(submission))
            pids.append(made._pool._idle[0].pid)
        assert pids[0] == pids[1]
        os.kill(pids[0], signal.SIGKILL)
        await made._pool._idle[0]._process.wait()
        await _prepared(made, Submission(submission))
        assert made._pool._idle[0].pid != pids[0]


async def test_a_bundle_whose_process_dies_is_refused_once_and_others_are_not() -> None:
    submission = Submission(to_text(some_bundles()["right"]))
    async with preparing() as made:
        with pytest.raises(Unavailable, match="died"):
            await _prepared(made, submission, at=signal.SIGKILL)
        assert made._pool._idle == []
        kind, _, items = await _prepared(made, Submission(to_text(some_bundles()["right"])))
        assert (kind, len(items)) == ("transaction", 2)


async def test_who_gives_up_in_the_middle_leaves_no_answers_behind() -> None:
    text = to_text(some_bundles()["right"])
    async with preparing() as made:
        # It stands still until it is killed.
        giving_up = asyncio.create_task(_prepared(made, Submission(text), at=signal.SIGSTOP))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(giving_up, 1.5)
        assert made._pool._idle == []
        _, asked, items = await _prepared(made, Submission(text))
        assert (len(asked), len(items)) == (2, 2)


async def test_a_bundle_that_takes_too_much_memory_is_refused_by_that_limit() -> None:
    limits = PreparingLimits(inline_bytes_max=1, memory_bytes_max=130 << 20)
    padding = "x" * (60 << 20)
    async with preparing(limits) as made:
        with pytest.raises(TooLarge, match="bytes of memory"):
            await _prepared(made, Submission(to_text({**some_bundles()["right"], "id": padding})))
        assert await _prepared(made, Submission(to_text(some_bundles()["right"])))


async def test_a_bug_elsewhere_is_a_bug_here_and_ends_the_process() -> None:
    async with preparing() as made:
        with pytest.raises(BrokenError, match="IndexError"):
            await _prepared(made, Submission(to_text(some_bundles()["right"])), orders=[ORDER_OF_NO_ENTRY])
        assert await _prepared(made, Submission(to_text(some_bundles()["right"])))


async def test_large_bundles_wait_for_each_other_within_a_limit() -> None:
    text = to_text(some_bundles()["right"])
    limits = PreparingLimits(inline_bytes_max=1, bundles_max=1, waiting_bytes_max=len(text))
    made = Preparing(RULES, limits)
    async with made.turn(Submission(text)):
        waiting = asyncio.create_task(_in_turn(made, text))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="waiting"):
            await _in_turn(made, text)
        assert not waiting.done()
    assert await waiting


def _processes() -> list[int]:
    return [pid for pid in children(os.getpid()) if "fhir_server.preparing" in command_of(pid)]


async def _in_turn(made: Preparing, text: bytes) -> bool:
    async with made.turn(Submission(text)):
        return True
