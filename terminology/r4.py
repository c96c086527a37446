"""The code systems and value sets of R4 itself, where nobody has stored others under their names."""

from __future__ import annotations

import functools

from fhir_server.r4.definitions import FHIR_VERSION, definitions
from fhir_server.r4.definitions.vocabulary import vocabulary
from terminology.code_system import CodeSystem
from terminology.codes import ANY, Codes, Selected


def value_set_of_r4(url: str, version: str | None) -> Codes | None:
    """Its codes, of the version if one is asked for; a system with a grammar has any code."""
    required = definitions().value_sets.get(url)
    whole = vocabulary().value_sets.get(url)
    versions = {FHIR_VERSION if required is not None else None, whole.version if whole is not None else None}
    if version is not None and version not in versions:
        return None
    if required is not None:
        return Codes({system: Selected(codes) if codes else ANY for system, codes in required.items()})
    if whole is not None:
        return Codes({system: Selected(codes) for system, codes in whole.codes.items()})
    return None


def code_system_of_r4(url: str, version: str | None) -> CodeSystem | None:
    """Its concepts, of the version if one is asked for. Its properties are not kept."""
    facts = vocabulary().code_systems.get(url)
    if facts is None or version not in (None, facts.version):
        return None
    return _code_system(url)


@functools.cache
def _code_system(url: str) -> CodeSystem:
    facts = vocabulary().code_systems[url]
    return CodeSystem(
        url=url,
        version=facts.version,
        parents=facts.parents,
        abstract=facts.abstract,
        inactive=facts.inactive,
    )
