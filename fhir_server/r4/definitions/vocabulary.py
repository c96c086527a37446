"""
R4's own code systems and value sets, compiled: what a search by the meaning of a code needs of them.

A code system that R4 has whole is here with its hierarchy, a value set with the codes of HL7's expansion
where that is complete. Loaded when first asked for: most processes never are.

https://hl7.org/fhir/R4/terminologies-systems.html, https://hl7.org/fhir/R4/terminologies-valuesets.html
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import msgspec

Json = dict[str, Any]

FILE: Final = "vocabulary.msgpack.gz"

_RETIRED: Final = frozenset(("inactive", "retired"))


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """`parents` has each code with those directly over it; `abstract` only group, `inactive` are retired."""

    version: str | None
    parents: Mapping[str, frozenset[str]]
    abstract: frozenset[str]
    inactive: frozenset[str]


@dataclass(frozen=True, slots=True)
class ValueSetFacts:
    """`codes` are by system."""

    version: str | None
    codes: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """By canonical url without version."""

    code_systems: Mapping[str, SystemFacts]
    value_sets: Mapping[str, ValueSetFacts]


@functools.cache
def vocabulary() -> Vocabulary:
    """The facts, read once in a process."""
    packed = resources.files(__package__ or "").joinpath(FILE).read_bytes()
    return msgspec.msgpack.decode(gzip.decompress(packed), type=Vocabulary)


def compile_vocabulary(code_systems: Iterable[Json], expanded: Iterable[Json]) -> Vocabulary:
    """What is whole of these CodeSystems and expanded ValueSets."""
    return Vocabulary(
        {system["url"]: _system(system) for system in code_systems if system["content"] == "complete"},
        {value_set["url"]: _value_set(value_set) for value_set in expanded if _is_whole(value_set)},
    )


def pack_vocabulary(compiled: Vocabulary) -> bytes:
    """The file's bytes; all is sorted, so that the same source gives the same file."""
    return gzip.compress(msgspec.msgpack.encode(compiled, order="sorted"), compresslevel=9, mtime=0)


def _system(system: Json) -> SystemFacts:
    parents: dict[str, set[str]] = {}
    properties: dict[str, list[Json]] = {}
    for concept, over in _concepts(system.get("concept", []), None):
        parents.setdefault(concept["code"], set()).update(() if over is None else (over,))
        properties.setdefault(concept["code"], []).extend(concept.get("property", ()))
    for code, stated in properties.items():
        for each in stated:
            if each["code"] == "child":
                parents[each["valueCode"]].add(code)
    return SystemFacts(
        version=system.get("version"),
        parents={code: frozenset(over) for code, over in parents.items()},
        abstract=frozenset(
            code for code, stated in properties.items() if _is(stated, ("notSelectable", "abstract"))
        ),
        inactive=frozenset(
            code
            for code, stated in properties.items()
            if _is(stated, ("inactive",))
            or any(each["code"] == "status" and each.get("valueCode") in _RETIRED for each in stated)
        ),
    )


def _is(stated: list[Json], names: tuple[str, ...]) -> bool:
    return any(each["code"] in names and each.get("valueBoolean", False) for each in stated)


def _value_set(value_set: Json) -> ValueSetFacts:
    codes: dict[str, set[str]] = {}
    for entry in _entries(value_set["expansion"].get("contains", [])):
        codes.setdefault(entry["system"], set()).add(entry["code"])
    return ValueSetFacts(
        value_set.get("version"), {system: frozenset(found) for system, found in codes.items()}
    )


def _is_whole(value_set: Json) -> bool:
    """HL7 says of what it has cut that it is too costly, limited or not closed."""
    expansion = value_set["expansion"]
    limited = any(each["name"] == "limitedExpansion" for each in expansion.get("parameter", ()))
    return not (limited or expansion.get("extension"))


def _concepts(concepts: list[Json], over: str | None) -> Iterator[tuple[Json, str | None]]:
    for concept in concepts:
        yield concept, over
        yield from _concepts(concept.get("concept", []), concept["code"])


def _entries(contains: list[Json]) -> Iterator[Json]:
    for entry in contains:
        if not entry.get("abstract"):
            yield entry
        yield from _entries(entry.get("contains", []))
