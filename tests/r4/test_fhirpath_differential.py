"""
One expression, one meaning: R4's search expressions select what the library fhirpathpy selects.

R4's invariants hold of what they hold of for the library, too. Where it cannot follow R4's own
usage, it is asked in words it knows: `Resource.` as the type itself, `x as T` as `x.ofType(T)` (it
refuses `as` on a collection). It has no `resolve()`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from fhir_server.r4.definitions import Invariant, definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.fhirpath import evaluate
from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.validation.invariants import meaning
from tests.r4.instances import instance_at, minimal, places
from tests.r4.invariants import DECLARED, attempts, verdict
from tests.r4.packages import EXAMPLES, SYNTHEA

OF_THEIR_OWN = {
    "mdd-1": "dates of different precision",
    "inv-1": "dates of different precision",
    "per-1": "dates of different precision",
    "rng-2": "the library cannot compare quantities",
    "que-7": "to the library a FHIR boolean is no Boolean",
}
"""Invariants that are not compared; nor are those with `matches`, which to the library is a search."""
ATTEMPTS_EACH = 12

SEED = 20_240_229
PER_TYPE = 4
BYTES_MAX = 30_000
"""The library takes seconds for the largest examples."""


def test_it_selects_the_same_in_generated_resources() -> None:
    compare(_generated())


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the synthetic population is not here")
def test_it_selects_the_same_in_a_synthetic_population() -> None:
    compare(_sample(_synthea()))


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="hl7.fhir.r4.examples is not here")
def test_it_selects_the_same_in_the_examples_of_hl7() -> None:
    compare(_sample(_examples()))


@pytest.mark.parametrize("path_invariant", DECLARED, ids=lambda pair: f"{pair[1].key}-{pair[0]}")
def test_an_invariant_holds_of_what_it_holds_of_for_the_library(
    path_invariant: tuple[str, Invariant],
) -> None:
    path, invariant = path_invariant
    expression = meaning(invariant.expression)
    if invariant.key in OF_THEIR_OWN or re.search(r"atches\(|hasValue\(|resolve\(", expression):
        return
    base = path.removesuffix("[x]")
    is_whole = base in definitions().resource_types
    asked = expression if is_whole else {"base": base, "expression": expression}
    _prepare_library()
    for resource, focus in itertools.islice(attempts(path, invariant.expression), ATTEMPTS_EACH):
        whole, part = _plain(resource.value), _plain(focus.value)
        known = {"resource": whole, "rootResource": whole, "context": part}
        theirs = fhirpathpy.evaluate(part, asked, known, models["r4"])
        assert verdict(invariant, resource, focus) == (theirs == [True]), part


def compare(resources: Iterable[Any]) -> None:
    differing = []
    for resource in resources:
        type = resource["resourceType"]
        plain = _plain(resource)
        for parameter in definitions().search_parameters[type].values():
            expression = parameter.expression
            if expression is None or "resolve()" in expression or "hasExtension" in expression:
                continue
            ours = [node.value for node in evaluate(expression, resource) if node.value is not None]
            theirs = _library(_in_its_words(expression, type))(plain)
            if _plain(ours) != theirs:
                differing.append((type, resource.get("id"), expression))
    assert differing == []


@cache
def _library(expression: str) -> Any:
    _prepare_library()
    return fhirpathpy.compile(expression, models["r4"])


@cache
def _prepare_library() -> None:
    """Its `ofType` knows which type is which only after an `is` or `as` has run in the process."""
    fhirpathpy.evaluate({"resourceType": "Patient"}, "Patient is Patient", None, models["r4"])


def _plain(value: Any) -> Any:
    return json.loads(to_text(value), parse_float=Decimal)


def _in_its_words(expression: str, type: str) -> str:
    known = re.sub(r"\b(?:Domain)?Resource\.", f"{type}.", expression)
    return re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)", re.sub(r"\.as\((\w+)\)", r".ofType(\1)", known))


def _generated() -> Iterator[Any]:
    choice = random.Random(SEED)
    for type in sorted(definitions().resource_types):
        yield minimal(type)
        for place in choice.sample(list(places(type)), PER_TYPE):
            yield instance_at(place)


def _synthea() -> Iterator[Any]:
    for path in sorted(SYNTHEA.glob("*.json.gz"))[:4]:
        yield from (entry["resource"] for entry in from_text(gzip.decompress(path.read_bytes()))["entry"])


def _examples() -> Iterator[Any]:
    for path in sorted(EXAMPLES.glob("*-*.json")):
        if path.stat().st_size < BYTES_MAX:
            try:
                yield from_text(path.read_bytes())
            except FhirError:
                continue


def _sample(resources: Iterable[Any]) -> Iterator[Any]:
    by_type: dict[str, list[Any]] = {}
    for resource in resources:
        by_type.setdefault(resource["resourceType"], []).append(resource)
    choice = random.Random(SEED)
    for type in sorted(by_type):
        if type in definitions().resource_types:
            yield from choice.sample(by_type[type], min(PER_TYPE, len(by_type[type])))
