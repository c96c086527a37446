"""
The types of search parameters with values of one kind: what a search asks of them, and what is kept.

A value is kept as tokens or as ranges. composite.py joins values of these types; special.py, whose one
parameter is a place, is neither.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fhir_server.r4.fhirpath import Collection
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.values import date, number, quantity, reference, string, token, uri
from fhir_server.search.values.site import Site

Criterion = Callable[[Parameter, str | None, Sequence[str], Site], Predicate]
"""What a parameter is asked by a modifier (or none) and values, one of which is meant."""

Suffixes = Callable[[Collection, Site], list[str]]
"""What follows the parameter's name in each token."""

Extents = Callable[[Collection, Site], Sequence[tuple[Any, ...]]]
"""What Range has beside the parameter's name."""

CRITERIA: Final[Mapping[str, Criterion]] = {
    "token": token.criterion,
    "reference": reference.criterion,
    "string": string.criterion,
    "uri": uri.criterion,
    "date": date.criterion,
    "number": number.criterion,
    "quantity": quantity.criterion,
}

AS_TOKENS: Final[Mapping[str, Suffixes]] = {
    "token": token.suffixes,
    "reference": reference.suffixes,
    "string": string.suffixes,
    "uri": uri.suffixes,
}

AS_RANGES: Final[Mapping[str, Extents]] = {
    "date": date.ranges,
    "number": number.ranges,
    "quantity": quantity.ranges,
}
