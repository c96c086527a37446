"""
Each of the 146 types, with each of its elements: extraction takes whatever is valid, and what
it extracts is found by a search for just that value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.r4.definitions import ElementFacts, ElementType, definitions
from fhir_server.r4.resource import Key
from fhir_server.search.declared.parameters import CORRECTED, parameters_of
from fhir_server.search.indexing.clinical_dates import CLINICAL_DATES
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.values.escaping import split, unescaped, written
from tests.r4.instances import instance_at, minimal, places, put, value
from tests.search.versions import a_version, query

TYPES = sorted(definitions().resource_types)


@pytest.mark.parametrize("type", TYPES)
def test_what_is_extracted_is_found_again(type: str) -> None:
    seen: set[str] = set()
    for resource in resources(type):
        entry = extract(resource, Key(type, "1"))
        assert entry.tokens[0] == type
        for token in set(entry.tokens[1:]) - seen:
            seen.add(token)
            for name, text in searches_for(token):
                found = query(type, (name, text)).predicate
                assert matches(found, a_version(entry, type=type)), (name, text)
                without = a_version(Entry((type,)), type=type, id="2")
                assert not matches(found, without), (name, text)
        for found_range in set(entry.ranges):
            code, _, first = found_range.parameter.partition("|")[2].partition("|")
            least = "gt1800" if isinstance(found_range.low, int) else "gt-1e300"
            values = len(parameters_of(type)[code.partition(":")[0]].components) - 1
            least = "$".join([written(unescaped(first)), *[least] * values]) if first else least
            asked = query(type, (code, least), (f"{code}:missing", "false")).predicate
            assert matches(asked, a_version(entry, type=type)) or type == "AuditEvent", code


def resources(type: str) -> Iterator[dict[str, Any]]:
    """One with each element of the type, the datatypes' own elements all there."""
    yield minimal(type)
    for place in places(type):
        yield instance_at(place)
        if definitions().types[place.declared.code].kind == "complex":
            yield put(place, filled(place.element, place.declared, depth=2))


def filled(element: ElementFacts, declared: ElementType, depth: int) -> dict[str, Any]:
    """A datatype or backbone with every element, of the first type of a choice."""
    found = value(element, declared) if declared.code == "Reference" else {}
    for inner in definitions().types[element.structure or declared.code].elements.values():
        type = inner.types[0] if inner.types else ElementType("BackboneElement")
        facts = definitions().types.get(inner.structure or type.code)
        is_deep = depth and facts is not None and facts.kind in ("complex", "backbone")
        one = filled(inner, type, depth - 1) if is_deep else value(inner, type)
        found.setdefault(inner.json_name(type.code), one if inner.max == 1 else [one])
    return found


def searches_for(token: str) -> Iterator[tuple[str, str]]:
    """Searches that ask for the value of a token, as a client would write it."""
    type, name, rest = token.split("|", 2)
    code = name.partition(":")[0]
    parameter = parameters_of(type)[code]
    parts = [part.replace("\\|", "|").replace("\\\\", "\\") for part in split(rest, "|")]
    if type == "AuditEvent" and name.endswith((":text", ":of-type")):
        return
    if name.endswith(":canonical"):
        # It is what chains are joined by, and no search asks for it.
        return
    if parameter.type == "composite" and any(parts):
        first = "|".join(written(unescaped(part)) for part in split(parts[0], "|"))
        second = parts[1:] if parameter.components[1].type == "token" else parts[1:2]
        yield name, f"{first}${'|'.join(map(written, second))}"
    elif not any(parts):
        yield f"{code}:missing", "false"
    elif name.endswith(":whole"):
        yield f"{code}:contains", written(parts[0][:200])
    elif name.endswith(":word"):
        yield code, written(parts[0])
    elif parameter.type == "string":
        yield name, written(parts[0])
        if len(parts) > 1:
            yield f"{name}:exact", written(parts[1])
    elif parameter.type == "date":
        raise AssertionError("a date has ranges")
    elif parameter.type == "token" and parameter.types == {"code"} and parameter.systems:
        yield name, written(parts[0])
        systems = [system for system, codes in parameter.systems.items() if parts[0] in codes or not codes]
        yield name, f"{written(systems[0])}|{written(parts[0])}"
    elif parameter.type == "token" or name.endswith(":identifier"):
        yield name, "|".join(written(part) for part in parts)
    else:
        yield name, written(parts[0])


def test_extraction_looks_at_every_parameter_that_can_be_searched() -> None:
    never = []
    for type in TYPES:
        names: set[str] = set()
        for resource in resources(type):
            names |= names_in(extract(resource, Key(type, "1")))
        never += [
            parameter.name
            for parameter in parameters_of(type).values()
            if parameter.indexed
            and parameter.name not in names
            and parameter.code not in ("_id", "_lastUpdated")
        ]
    # What asks for a certain url, system or type is left: no generated resource has it. Nor has any a
    # UsageContext of another type than the first, or all three parts of a coordinate.
    assert [name for name in never if not asks_for_a_value(name)] == []


def names_in(entry: Entry) -> set[str]:
    named = {"|".join(token.split("|", 2)[:2]).partition(":")[0] for token in entry.tokens[1:]}
    return named | {"|".join(found.parameter.split("|", 2)[:2]) for found in entry.ranges}


def asks_for_a_value(name: str) -> bool:
    type, _, code = name.partition("|")
    declared = definitions().search_parameters[type][code]
    if code == "context-type-quantity" or code.endswith("-coordinate"):
        return True
    expression = CORRECTED.get(declared.url, declared.expression) or ""
    return any(
        word in expression
        for word in ("extension(", "where(system", "where(type", "where(resolve() is", "useContext.value")
    )


def test_what_is_found_as_something_else_is_found_as_what_is_indexed() -> None:
    for type in TYPES:
        parameters = parameters_of(type)
        for parameter in parameters.values():
            if parameter.supported:
                assert parameter.found_as
                assert all(parameters[name.partition("|")[2]].indexed for name in parameter.found_as)


def test_each_clinical_date_is_a_date_parameter_that_is_indexed() -> None:
    for type, code in CLINICAL_DATES.items():
        parameter = parameters_of(type)[code]
        assert parameter.type == "date"
        assert parameter.indexed


def test_a_resource_with_an_unknown_member_or_a_null_is_extracted_all_the_same() -> None:
    resource: dict[str, Any] = {"resourceType": "Patient", "nonsense": 1, "name": None, "gender": "male"}
    assert "Patient|gender|male" in extract(resource, Key("Patient", "1")).tokens
