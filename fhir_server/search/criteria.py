"""
One criterion of a search, `name:modifier=value,value`, as a predicate.

https://hl7.org/fhir/R4/search.html#parameters
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from fhir_server.r4.errors import Invalid, Unsupported
from fhir_server.r4.primitives import is_id
from fhir_server.search.escaping import unescaped
from fhir_server.search.parameters import SUPPORTED_TYPES, Parameter, parameters_of
from fhir_server.search.predicate import (
    Everything,
    InRange,
    Nothing,
    Predicate,
    RangePrefix,
    TokenPrefix,
    WithId,
    any_of,
    none_of,
)
from fhir_server.search.site import Site
from fhir_server.search.unions import union
from fhir_server.search.values import (
    composite,
    date,
    number,
    quantity,
    reference,
    special,
    string,
    token,
    uri,
)
from fhir_server.search.values.modifiers import refuse_modifier

Criterion = Callable[[Parameter, str | None, Sequence[str], Site], Predicate]

_CRITERIA: Final[Mapping[str, Criterion]] = {
    "token": token.criterion,
    "reference": reference.criterion,
    "string": string.criterion,
    "date": date.criterion,
    "uri": uri.criterion,
    "number": number.criterion,
    "quantity": quantity.criterion,
    "composite": composite.criterion,
    "special": special.criterion,
}

UNSUPPORTED: Final = frozenset(("_content", "_filter", "_has", "_list", "_query", "_text"))
"""Parameters of R4 for all types that this server does not have."""


def is_known(types: Iterable[str], name: str) -> bool:
    """R4 defines the parameter, or the start of the chain, for each of the types."""
    code = name.partition(":")[0].partition(".")[0]
    return code in UNSUPPORTED or all(code in parameters_of(type) for type in types)


def is_supported(types: Iterable[str], name: str) -> bool:
    """A criterion of this name gets an answer, whatever its value."""
    code = name.partition(":")[0]
    return (
        "." not in name
        and code not in UNSUPPORTED
        and all(code in parameters_of(type) and parameters_of(type)[code].supported for type in types)
    )


def refusal(types: Iterable[str], name: str) -> Unsupported:
    """Why a parameter that R4 defines is not answered."""
    if "." in name:
        return Unsupported(f"Chained parameters such as `{name}` are not supported")
    code = name.partition(":")[0]
    kinds = sorted({parameters_of(type)[code].type for type in types if code in parameters_of(type)})
    if any(kind not in SUPPORTED_TYPES for kind in kinds):
        return Unsupported(f"`{code}` is a search parameter of type {kinds[0]}, which is not supported")
    return Unsupported(f"The search parameter `{code}` is not supported")


def criterion(types: Sequence[str], name: str, values: Sequence[str], site: Site) -> Predicate:
    """
    The predicate for resources of `types`, which all have the parameter.

    `values` are what stood between the commas. Raises Invalid for a modifier or a value that
    the parameter has not.
    """
    code, colon, modifier = name.partition(":")
    if colon and not modifier:
        raise Invalid(f"`{name}` has an empty modifier")
    if not all(values):
        raise Invalid(f"`{name}` has an empty value")
    match code:
        case "_id":
            return _ids(modifier, values)
        case "_lastUpdated":
            return _last_updated(code, modifier, values, site)
        case _:
            return union([_of_type(parameters_of(type)[code], modifier, values, site) for type in types])


def _of_type(parameter: Parameter, modifier: str, values: Sequence[str], site: Site) -> Predicate:
    if parameter.name == "AuditEvent|date":
        # What the ledger records is recorded when it happens: its date is the version's time.
        return _last_updated(parameter.code, modifier, values, site)
    if modifier == "missing":
        present = union(_present(part) for part in parameter.parts())
        return none_of(present) if _is_true(parameter.code, values) else present
    if parameter.resource_type == "AuditEvent" and modifier in ("text", "of-type"):
        raise Unsupported(f"The modifier `:{modifier}` of `{parameter.code}` is not there for AuditEvents")
    ask = _CRITERIA[parameter.type]
    if modifier == "not" and parameter.type == "token":
        # Of all parts together: not in one of them is not enough.
        return none_of(union(ask(part, None, values, site) for part in parameter.parts()))
    return union(ask(part, modifier or None, values, site) for part in parameter.parts())


def _present(parameter: Parameter) -> Predicate:
    """There is a value: something to find it by, or the bare token that extraction leaves."""
    bare = TokenPrefix(f"{parameter.name}|")
    match parameter.type:
        case "date" | "number" | "quantity":
            return any_of(InRange(parameter.name), bare)
        case "composite" if composite.is_ranged(parameter):
            return any_of(RangePrefix(bare.prefix), bare)
        case "reference":
            return any_of(bare, TokenPrefix(f"{parameter.name}:identifier|"))
        case _:
            return bare


def _ids(modifier: str, values: Sequence[str]) -> Predicate:
    """A resource always has an id."""
    if modifier == "missing":
        return Nothing() if _is_true("_id", values) else Everything()
    ids = frozenset(unescaped(value) for value in values)
    if not all(is_id(id) for id in ids):
        raise Invalid("A value of `_id` is not the id of a resource")
    match modifier:
        case "":
            return WithId(ids)
        case "not":
            return none_of(WithId(ids))
        case _:
            raise refuse_modifier("_id", modifier, "not", "missing")


def _last_updated(code: str, modifier: str, values: Sequence[str], site: Site) -> Predicate:
    """A version always has this time."""
    match modifier:
        case "":
            return any_of(*(date.updated(date.comparison(code, value, site.zone)) for value in values))
        case "missing":
            return Nothing() if _is_true(code, values) else Everything()
        case _:
            raise refuse_modifier(code, modifier, "missing")


def _is_true(code: str, values: Sequence[str]) -> bool:
    if len(values) != 1 or values[0] not in ("true", "false"):
        raise Invalid(f"`{code}:missing` is `true` or `false`")
    return values[0] == "true"
