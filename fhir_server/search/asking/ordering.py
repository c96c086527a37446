"""
The order of versions by what their index entries say.

A parameter with several values sorts by the least of them, descending by the greatest. A
version without a value comes last, whichever way. `compare` is the whole order, for tests and
for sorts in memory; ties are broken by the creation sequence.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from fhir_server.search.asking.results import SortKey
from fhir_server.search.declared.parameters import Parameter, parameters_of
from fhir_server.search.indexing.clinical_dates import earliest
from fhir_server.search.predicates.version import Version
from fhir_server.search.values.escaping import split
from fhir_server.search.values.quantity import is_converted

Value = str | int | float | Decimal
"""What is compared under one key: all of one kind for one parameter."""


def sort_value(version: Version, key: SortKey) -> Value | None:
    """What `version` is sorted by under `key`, None when it has nothing there."""
    match key.kind:
        case "sequence":
            return version.sequence
        case "updated":
            return version.last_updated.timestamp()
        case "clinical_date":
            return version.entry.clinical_date
        case "parameter":
            return _of_parameter(version, key)
        case "chained":
            raise AssertionError("an entry does not say what it refers to: store/sorting.py")


def compare(left: Version, right: Version, order: Sequence[SortKey]) -> int:
    """Less than 0 when `left` comes first."""
    for key in order:
        found = _compare_values(sort_value(left, key), sort_value(right, key), key)
        if found:
            return found
    return (left.sequence > right.sequence) - (left.sequence < right.sequence)


def _compare_values(left: Value | None, right: Value | None, key: SortKey) -> int:
    if left is None or right is None:
        return (left is None) - (right is None)
    if isinstance(left, str) or isinstance(right, str):
        found = (str(left) > str(right)) - (str(left) < str(right))
    else:
        found = (left > right) - (left < right)
    return -found if key.descending else found


def _of_parameter(version: Version, key: SortKey) -> Value | None:
    if key.parameter == "_id":
        return version.key.id
    parameter = parameters_of(version.key.type).get(key.parameter or "")
    if parameter is None:
        return None
    values: Sequence[Value]
    match parameter.type:
        case "date":
            values = _moments(version, parameter)
        case "number" | "quantity":
            values = _decimals(version, parameter)
        case _:
            values = _texts(version, parameter)
    return (max if key.descending else min)(values, default=None)


def _moments(version: Version, parameter: Parameter) -> list[int]:
    moments = [
        earliest(int(found.low), int(found.high))
        for found in version.entry.ranges
        if found.parameter in parameter.found_as
    ]
    return [moment for moment in moments if moment is not None]


def _decimals(version: Version, parameter: Parameter) -> list[Decimal]:
    """
    The numbers, of what is open to one side the end that is known.

    Where some are in the unit that commensurable ones are converted to, only those.
    """
    found = [each for each in version.entry.ranges if each.parameter in parameter.found_as]
    converted = [each for each in found if is_converted(each.units)]
    ends = [(each.high if Decimal(each.low).is_infinite() else each.low) for each in converted or found]
    return [Decimal(end) for end in ends]


def _texts(version: Version, parameter: Parameter) -> list[str]:
    """Folded strings, codes without their system, references: the first part of a token's value."""
    starts = tuple(f"{name}|" for name in parameter.found_as)
    values = [
        split(token.split("|", 2)[2], "|") for token in version.entry.tokens if token.startswith(starts)
    ]
    return [value[0] for value in values if value[0] and (len(value) == 1 or parameter.type == "string")]
