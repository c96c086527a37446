"""
Does a Reference lead to a type that is allowed there?

Judged from what the reference itself says: `[type]/[id]`, a URL that ends so, `type`, or the
contained resource behind `#id`. Whether the target exists is not asked, except for `#id`.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.validation.scope import Hook, Path, Scope

_TARGETS_SHOWN_MAX: Final = 8

_RESTFUL: Final = re.compile(r"([A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_CONDITIONAL: Final = re.compile(r"([A-Za-z]+)\?\S+")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_RESTFUL_END: Final = re.compile(rf"https?://\S*/{_RESTFUL.pattern}")
_CANONICAL: Final = "http://hl7.org/fhir/StructureDefinition/"


@functools.cache
def reference_hook(targets: frozenset[str]) -> Hook:
    """The rule of a Reference that may lead to these types; none means any."""
    expected = _listed(targets)

    def judge(value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        target = _target_type(value.get("reference"), path, scope)
        declared = _declared_type(value.get("type"))
        if target is not None and targets and target not in targets:
            scope.report("value", (path, "reference", None), f"must refer to {expected}")
        elif declared is None:
            return
        elif targets and declared not in targets:
            scope.report("value", (path, "type", None), f"must be {expected}")
        elif target is not None and declared != target:
            scope.report("value", (path, "type", None), "must be the type that `reference` names")

    return judge


def local_uri(value: str, _path: Path, scope: Scope) -> None:
    """`#id` in a uri or url may be what a contained resource is kept for; it need not be."""
    if value == "#":
        scope.to_container = True
    else:
        scope.local.add(value[1:])


def local_canonical(value: str, path: Path, scope: Scope) -> None:
    """`#id` in a canonical names a contained resource."""
    local_uri(value, path, scope)
    if value != "#" and value[1:] not in scope.contained:
        scope.report("invariant", path, "must be the id of a contained resource")


def _declared_type(type: object) -> str | None:
    """The resource type that `type` names; a logical model's is left alone."""
    if not isinstance(type, str):
        return None
    name = type.removeprefix(_CANONICAL)
    return name if name in definitions().resource_types else None


def _target_type(reference: object, path: Path, scope: Scope) -> str | None:
    """The type that `reference` leads to, as far as it says; None when it does not."""
    if not isinstance(reference, str) or not reference:
        return None
    if reference[0] == "#":
        return _contained_type(reference, path, scope)
    return _literal_type(reference, path, scope)


def _contained_type(reference: str, path: Path, scope: Scope) -> str | None:
    if reference == "#":
        scope.to_container = True
        return scope.type
    id = reference[1:]
    scope.local.add(id)
    if id not in scope.contained:
        scope.report("invariant", (path, "reference", None), "must be the id of a contained resource (ref-1)")
        return None
    return scope.contained[id] or None


def _literal_type(reference: str, path: Path, scope: Scope) -> str | None:
    """The type that a literal reference names; None when it names none."""
    match = _RESTFUL.fullmatch(reference) or _CONDITIONAL.fullmatch(reference)
    if match is not None:
        if match[1] in definitions().resource_types:
            return match[1]
        scope.report("value", (path, "reference", None), "must name a resource type of R4")
    elif not _ABSOLUTE.fullmatch(reference):
        scope.report("value", (path, "reference", None), "must be [type]/[id], a URL, a urn or #[id]")
    else:
        end = _RESTFUL_END.fullmatch(reference)
        if end is not None and end[1] in definitions().resource_types:
            return end[1]
    return None


def _listed(targets: frozenset[str]) -> str:
    names = sorted(targets)
    if len(names) > _TARGETS_SHOWN_MAX:
        return f"one of {len(names)} types: {', '.join(names[:_TARGETS_SHOWN_MAX])} ..."
    return " or ".join(names)
