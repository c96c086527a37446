"""
`_include` along canonical URLs: what a page of matches names by `url`, or by `url|version`.

A canonical without a version leads to whatever has this URL. R4 lets a server choose the newest; which is
newest nobody can say of versions that are any text.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from fhir_server.r4.definitions import definitions
from fhir_server.search.asking.criteria import criterion
from fhir_server.search.asking.includes import Include, is_canonical
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.predicate import Predicate, all_of, any_of
from fhir_server.search.predicates.version import Version
from fhir_server.search.values.escaping import unescaped, written
from fhir_server.search.values.site import Site


def named(versions: Iterable[Version], includes: Sequence[Include]) -> dict[str, Predicate]:
    """By type, what is true of those that `versions` refer to by canonical URLs."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for version in versions:
        for include in includes:
            if not include.reverse and include.type in (None, version.key.type):
                for types, canonicals in _canonicals(version, include):
                    for target in types:
                        wanted[target] |= canonicals
    return {
        target: any_of(*(_named(target, canonical) for canonical in sorted(canonicals)))
        for target, canonicals in wanted.items()
    }


def _canonicals(version: Version, include: Include) -> Iterator[tuple[frozenset[str], set[str]]]:
    """What stands under each parameter, and the types that it may lead to."""
    for parameter in parameters_of(version.key.type).values():
        if include.parameter not in (None, parameter.code) or not is_canonical(parameter):
            continue
        types = (frozenset(parameter.targets) or _with_url()) & _with_url()
        if include.target is not None:
            types &= {include.target}
        starts = tuple(f"{name}|" for name in parameter.found_as)
        found = {
            unescaped(token.split("|", 2)[2]) for token in version.entry.tokens if token.startswith(starts)
        }
        # One that is written with its version is there without it, too.
        versioned = {canonical.partition("|")[0] for canonical in found if "|" in canonical}
        if types and found:
            yield types, found - versioned


@lru_cache(maxsize=1)
def _with_url() -> frozenset[str]:
    """The types that can be named by a canonical URL."""
    types = definitions().resource_types
    return frozenset(each for each in types if {"url", "version"} <= parameters_of(each).keys())


def _named(target: str, canonical: str) -> Predicate:
    url, _, version = canonical.partition("|")
    parts = [criterion((target,), "url", [written(url)], Site())]
    if version:
        parts.append(criterion((target,), "version", [written(version)], Site()))
    return all_of(*parts)
