"""
ValueSet.compose.include.filter: which concepts of a code system are meant.

On `concept` (or `code`) the filters are about the code and its place in the hierarchy, on `parent` and
`child` about its neighbours, on anything else about a property that the code system declares. Regular
expressions are refused: nobody hands this server one to run.

https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.r4.errors import Unsupported
from terminology.code_system import CodeSystem

Filter = Mapping[str, Any]
"""`{"property": ..., "op": ..., "value": ...}`"""

_CODE: Final = frozenset(("concept", "code"))


def filtered(system: CodeSystem, filter: Filter) -> frozenset[str]:
    """The codes that pass. Raises Unsupported, with the reason, for what cannot be told exactly."""
    property, op, value = (filter.get(name) for name in ("property", "op", "value"))
    if not (isinstance(property, str) and isinstance(op, str) and isinstance(value, str)):
        raise Unsupported("a filter has no property, op or value")
    if property in _CODE:
        return _of_codes(system, op, value)
    if property in ("parent", "child") and op in ("=", "in"):
        return _of_neighbours(system, property, op, value)
    return _of_properties(system, property, op, value)


def _of_codes(system: CodeSystem, op: str, value: str) -> frozenset[str]:
    evaluate = _OF_CODES.get(op)
    if evaluate is None:
        raise _not_evaluated(op, "concept")
    named = _listed(value) if op in ("in", "not-in") else frozenset((value,))
    if op in _HIERARCHICAL and not named <= system.codes:
        raise Unsupported("a filter is about a code that its code system has not")
    return evaluate(system, value)


_HIERARCHICAL: Final = frozenset(("is-a", "descendent-of", "is-not-a", "generalizes"))

_OF_CODES: Final[Mapping[str, Callable[[CodeSystem, str], frozenset[str]]]] = {
    "=": lambda system, value: system.codes & {value},
    "in": lambda system, value: system.codes & _listed(value),
    "not-in": lambda system, value: system.codes - _listed(value),
    "is-a": lambda system, value: system.below(value),
    "descendent-of": lambda system, value: system.below(value) - {value},
    "is-not-a": lambda system, value: system.codes - system.below(value),
    "generalizes": lambda system, value: system.above(value),
    "exists": lambda system, value: system.codes if _is_true(value) else frozenset(),
}


def _of_neighbours(system: CodeSystem, property: str, op: str, value: str) -> frozenset[str]:
    system.require_subsumption()
    named = _listed(value) if op == "in" else frozenset((value,))
    if property == "parent":
        return frozenset(child for code in named for child in system.children.get(code, ()))
    return frozenset(parent for code in named for parent in system.parents.get(code, ()))


def _of_properties(system: CodeSystem, property: str, op: str, value: str) -> frozenset[str]:
    type = system.properties.get(property)
    if type is None:
        raise Unsupported(
            f"a filter is about a property `{property[:64]}` that its code system does not declare"
        )
    if op == "exists":
        having = frozenset(code for code, stated in system.values.items() if property in stated)
        return having if _is_true(value) else system.codes - having
    if op not in ("=", "in", "not-in"):
        raise _not_evaluated(op, property)
    if type == "decimal":
        raise Unsupported(f"a filter compares `{property[:64]}`, a decimal")
    named = frozenset((value,)) if op == "=" else _listed(value)
    among = frozenset(
        code for code, stated in system.values.items() if not named.isdisjoint(stated.get(property, ()))
    )
    return system.codes - among if op == "not-in" else among


def _listed(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))


def _is_true(value: str) -> bool:
    if value not in ("true", "false"):
        raise Unsupported("a filter `exists` is neither true nor false")
    return value == "true"


def _not_evaluated(op: str, property: str) -> Unsupported:
    return Unsupported(f"a filter `{op[:32]}` on `{property[:64]}` is not evaluated here")
