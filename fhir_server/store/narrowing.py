"""
The same question, said so that an index answers it.

Two things are known here that a predicate does not say. A token such as `Observation|code|1`
implies its type, so asking for the type as well only leads the database to a long index scan.
And where a type belongs to one patient at most, the token that names this patient says the same
as the scalar `pt`, which leads the index of a patient's record.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from fhir_server.r4.compartments import patient_parameters, single_patient_types
from fhir_server.r4.definitions import definitions
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    AnyWord,
    Containing,
    Everything,
    OfPatients,
    Predicate,
    all_of,
    of_types,
)


def narrowed(predicate: Predicate, types: frozenset[str] | None) -> tuple[Predicate, frozenset[str]]:
    """`predicate` of living resources of `types` (None: any), and which types these are."""
    wanted = definitions().resource_types if types is None else types
    parts = predicate.parts if isinstance(predicate, And) else (predicate,)
    kept = [_of_patients(part, wanted) for part in parts if not _says_no_more(part, wanted)]
    if not any(_implies(part, wanted) for part in kept):
        kept.append(of_types(wanted))
    return all_of(*dict.fromkeys(kept)), wanted


def _says_no_more(part: Predicate, types: frozenset[str]) -> bool:
    """Is it true of everything that has one of these types?"""
    return isinstance(part, Everything) or (isinstance(part, AnyToken) and types <= part.values)


def _implies(part: Predicate, types: frozenset[str]) -> bool:
    """Is it true only of living resources of these types? A tombstone has no such token, and is empty."""
    if isinstance(part, Containing):
        return types == definitions().resource_types
    return isinstance(part, AnyToken | AnyWord) and all(
        value.partition("|")[0] in types for value in part.values
    )


def _of_patients(part: Predicate, types: frozenset[str]) -> Predicate:
    """`OfPatients` for tokens that say just this."""
    if not isinstance(part, AnyToken) or len(types) != 1:
        return part
    names = _names_of_the_patient(*types)
    found = [_PATIENT.fullmatch(value) for value in part.values]
    if found and all(match is not None and match[1] in names for match in found):
        return OfPatients(frozenset(match[2] for match in found if match is not None))
    return part


@functools.cache
def _names_of_the_patient(type: str) -> frozenset[str]:
    """`Type|param` of the parameters over the one element that says whose a resource is."""
    if type not in single_patient_types():
        return frozenset()
    declared = definitions().search_parameters[type]
    places = {_path(type, code) for code in patient_parameters(type)}
    return frozenset(f"{type}|{code}" for code in declared if _path(type, code) in places)


def _path(type: str, code: str) -> str:
    return (definitions().search_parameters[type][code].expression or "").removesuffix(
        ".where(resolve() is Patient)"
    )


_PATIENT: Final = re.compile(r"([^|]+\|[^|]+)\|Patient/([A-Za-z0-9.\-]{1,64})")
