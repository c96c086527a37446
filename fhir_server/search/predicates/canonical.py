r"""
Canonical URLs as tokens: by what resources are named, and what names them.

A resource that has a `url` has `Questionnaire|url:canonical|http://a.example/q`, with a version also
`...|http://a.example/q\|1.0`. What refers to it has the canonical as it is written:
`QuestionnaireResponse|questionnaire:canonical|http://a.example/q\|1.0`. So what is equal belongs together: a
canonical with a version is of that version alone, one without is of each that has the url.

R4 lets a server choose the newest of several; which is newest nobody can say of versions that are any text.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.resource import Resource
from fhir_server.search.declared.parameters import r4_parameters_of
from fhir_server.search.predicates.entry import Entry, escape

_MARK: Final = ":canonical"


def canonical_name(name: str) -> str:
    """Under which the canonicals stand that a parameter `name` (`Type|param`) has."""
    return name + _MARK


def are_canonical(names: Iterable[str]) -> bool:
    """Do canonical URLs stand under these names? Under all or none of those of one question."""
    return any(name.endswith(_MARK) for name in names)


def plain(names: Iterable[str]) -> frozenset[str]:
    """The parameters' own names."""
    return frozenset(name.removesuffix(_MARK) for name in names)


@lru_cache(maxsize=1)
def with_url() -> frozenset[str]:
    """The types that can be named by a canonical URL."""
    types = definitions().resource_types
    return frozenset(each for each in types if {"url", "version"} <= r4_parameters_of(each).keys())


def names_of(types: Iterable[str]) -> frozenset[str]:
    """Under which resources of these types have what they are named by."""
    return frozenset(canonical_name(f"{type}|url") for type in with_url().intersection(types))


def tokens_of(resource_type: str, resource: Resource) -> list[str]:
    """What the resource is named by."""
    url, version = resource.get("url"), resource.get("version")
    if resource_type not in with_url() or not isinstance(url, str):
        return []
    canonicals = [url, f"{url}|{version}"] if isinstance(version, str) else [url]
    [name] = names_of((resource_type,))
    return [f"{name}|{escape(each)}" for each in canonicals]


def canonicals_in(entry: Entry, names: Iterable[str]) -> set[str]:
    """What stands in it under these names, escaped."""
    starts = tuple(f"{name}|" for name in names)
    return {token.split("|", 2)[2] for token in entry.tokens if token.startswith(starts)}
