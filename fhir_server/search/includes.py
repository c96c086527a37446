"""
What a page of matches refers to, by the parameters that `_include` names.

The entry's tokens say it all: no resource is read for it.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.r4.fhirpath.references import target_of
from fhir_server.r4.resource import Key
from fhir_server.search.parameters import parameters_of
from fhir_server.search.results import Include
from fhir_server.search.version import Version


def included(versions: Iterable[Version], includes: Sequence[Include]) -> tuple[Key, ...]:
    """The keys that `versions` refer to, each once, in the order they are met; no match is among them."""
    page = tuple(versions)
    own = {version.key for version in page}
    wanted: dict[Key, None] = {}
    for version in page:
        for include in includes:
            if include.type == version.key.type:
                wanted.update(dict.fromkeys(_targets(version, include)))
    return tuple(key for key in wanted if key not in own)


def _targets(version: Version, include: Include) -> Iterable[Key]:
    parameter = parameters_of(include.type)[include.parameter]
    starts = tuple(f"{name}|" for name in parameter.found_as)
    types = (include.target,) if include.target else parameter.targets
    for token in version.entry.tokens:
        if token.startswith(starts):
            target = target_of(token.split("|", 2)[2])
            # A base is another server's; one with a version is there without it, too.
            if target and not target.base and not target.version and (not types or target.type in types):
                yield Key(target.type, target.id)
