"""
`_explain=true`: how a search is answered, told to an operator in place of what it finds.

The search runs whole, as it would for this caller; then each question that it has put to the database is
explained by MongoDB. The answer is a Parameters resource of names of indexes and numbers, without a value
of the query and without a resource. Its numbers count what was looked at, hidden or not, so only who may
search everything is told: a scope `system/*.s`.

https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.interactions.answers import Document
from fhir_server.pipeline.admission import all_types
from fhir_server.pipeline.searching import run_search
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.errors import Forbidden, Invalid
from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Literal
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import contexts
from fhir_server.store.explaining import Explained, Watch, watching

EXPLAIN = "_explain"

_Part = dict[str, Any]


def explains(search: Search) -> bool:
    """Is the plan wanted instead of the matches? Raises Invalid for what is neither yes nor no."""
    values = [value for name, value in search.parameters if name == EXPLAIN]
    if not values:
        return False
    if len(values) > 1 or values[0] not in ("true", "false"):
        raise Invalid("`_explain` is `true` or `false`, once")
    return values[0] == "true"


def without_explain(search: Search) -> Search:
    """The search itself."""
    if all(name != EXPLAIN for name, _ in search.parameters):
        return search
    return replace(search, parameters=tuple(one for one in search.parameters if one[0] != EXPLAIN))


async def run_explained(search: Search, caller: Caller, services: Services, trail: Trail) -> Document:
    """Raises Forbidden for who is no operator, and whatever the search itself is refused with."""
    _require_operator(caller)
    trail.shows_nothing()
    started = time.perf_counter()
    with watching() as watch:
        await run_search(without_explain(search), caller, services, trail)
    seconds = time.perf_counter() - started
    return Document(_plan(watch, await services.store.explained(watch), seconds))


def _require_operator(caller: Caller) -> None:
    if not all("system" in contexts(caller.scopes, type, "s") for type in all_types()):
        raise Forbidden("`_explain` is for operators: a token with the scope `system/*.s`")


def _plan(watch: Watch, explained: Sequence[Explained], seconds: float) -> dict[str, Any]:
    stages = [
        _stage(name, took, [one for one in explained if one.stage == name])
        for name, took in watch.seconds.items()
    ]
    together = _part("total", part=[*_examined(explained), _milliseconds(seconds)])
    left_out = [_part("queriesLeftOut", valueUnsignedInt=watch.left_out)] if watch.left_out else []
    return {"resourceType": "Parameters", "parameter": [*stages, together, *left_out]}


def _stage(name: str, seconds: float, explained: Sequence[Explained]) -> _Part:
    queries = [_query(one) for one in explained]
    told = [_part("name", valueCode=name), _milliseconds(seconds), *_examined(explained)]
    return _part("stage", part=[*told, *queries])


def _query(one: Explained) -> _Part:
    indexes = [_part("index", valueString=name) for name in one.indexes]
    told = [_part("collection", valueString=one.collection), _part("plan", valueString=one.plan), *indexes]
    returned = _part("documentsReturned", valueUnsignedInt=one.returned)
    took = _part("milliseconds", valueDecimal=one.milliseconds)
    return _part("query", part=[*told, *_examined((one,)), returned, took])


def _examined(explained: Iterable[Explained]) -> list[_Part]:
    some = tuple(explained)
    return [
        _part("keysExamined", valueUnsignedInt=sum(one.keys_examined for one in some)),
        _part("documentsExamined", valueUnsignedInt=sum(one.documents_examined for one in some)),
    ]


def _milliseconds(seconds: float) -> _Part:
    return _part("milliseconds", valueDecimal=Literal(f"{seconds * 1000:.3f}".encode()))


def _part(name: str, **said: Any) -> _Part:
    return {"name": name, **said}
