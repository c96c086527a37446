"""
Validation: structure and every invariant, by calling what the server calls.

A typical resource has a budget of a millisecond. A Bundle is validated and, in turns with that,
sent to the server, which validates it, too, and stores it.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from conformance.bench.data import large_bundles, to_create
from conformance.bench.figures import Comparison, Goal
from conformance.bench.rounds import Run, in_turns
from conformance.bench.scene import Scene
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation import validate

TYPICAL: Final = ("Observation", "Patient")
TYPICAL_RESOURCES: Final = 2_000
BUDGET: Final = Run(1.0, (1.0,))
"""A millisecond for each."""
WITHIN_BUDGET: Final = Goal(1.0, at_least=False)
FASTER_THAN_STORED: Final = Goal(1.0)
BUNDLE_ENTRIES: Final = 500
"""At least: patients are whole."""


async def validations(scene: Scene) -> AsyncIterator[Comparison]:
    """Resources of people who are not stored yet, as they come out of the parser."""
    resources = [from_text(to_text(resource)) for resource in to_create(TYPICAL_RESOURCES)]
    for type in TYPICAL:
        some = [resource for resource in resources if resource["resourceType"] == type]

        async def ours(some: list[dict[str, Any]] = some) -> Run:
            return _validated(scene.options.allowance.of(some))

        async def budget() -> Run:
            return BUDGET

        rounds = await in_turns(scene.options.rounds, ours, budget)
        yield Comparison(f"validate: {type}", "a millisecond", rounds, WITHIN_BUDGET, "median")
    async for comparison in _bundles(scene):
        yield comparison


async def _bundles(scene: Scene) -> AsyncIterator[Comparison]:
    bundles = large_bundles(BUNDLE_ENTRIES)
    sent: list[dict[str, Any]] = []

    async def ours() -> Run:
        sent.append(next(bundles))
        return _validated([from_text(to_text(entry["resource"])) for entry in sent[-1]["entry"]])

    async def stored() -> Run:
        request = scene.server.address.request("POST", "", to_text(sent[-1]))
        run = await scene.ask("large bundle", [request])
        return Run(run.seconds, run.latencies_ms, len(sent[-1]["entry"]))

    rounds = await in_turns(scene.options.rounds, ours, stored)
    what = f"validate: resources of a Bundle of {BUNDLE_ENTRIES} or more"
    yield Comparison(what, "the same Bundle stored", rounds, FASTER_THAN_STORED)


def _validated(resources: Iterable[dict[str, Any]]) -> Run:
    latencies = []
    started = time.perf_counter()
    for resource in resources:
        before = time.perf_counter()
        validate(resource)
        latencies.append((time.perf_counter() - before) * 1000)
    return Run(time.perf_counter() - started, tuple(latencies))
