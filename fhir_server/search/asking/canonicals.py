"""
`_include` along canonical URLs: what a page of matches names by `url`, or by `url|version`.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fhir_server.search.asking.includes import Include, is_canonical, targets_of
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.canonical import canonical_name, canonicals_in, names_of
from fhir_server.search.predicates.predicate import AnyToken, Predicate
from fhir_server.search.predicates.version import Version


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
        target: AnyToken(frozenset(f"{name}|{each}" for name in names_of((target,)) for each in canonicals))
        for target, canonicals in wanted.items()
    }


def _canonicals(version: Version, include: Include) -> Iterator[tuple[frozenset[str], set[str]]]:
    """What stands under each parameter, and the types that it may lead to."""
    for parameter in parameters_of(version.key.type).values():
        if include.parameter not in (None, parameter.code) or not is_canonical(parameter):
            continue
        types = targets_of(parameter)
        if include.target is not None:
            types &= {include.target}
        found = canonicals_in(version.entry, map(canonical_name, parameter.found_as))
        if types and found:
            yield types, found
