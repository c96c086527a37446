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
    types = definitions().resource_types
    expected = _listed(targets)

    def judge(value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        declared = value.get("type")
        if isinstance(declared, str):
            declared = declared.removeprefix(_CANONICAL)
            if targets and declared in types and declared not in targets:
                scope.report("value", (path, "type", None), f"must be {expected}")
        reference = value.get("reference")
        if not isinstance(reference, str) or not reference:
            return
        if reference[0] == "#":
            target = _contained_type(reference, path, scope)
        else:
            target = _literal_type(reference, path, scope)
        if target is None:
            return
        if targets and target not in targets:
            scope.report("value", (path, "reference", None), f"must refer to {expected}")
        elif isinstance(declared, str) and declared in types and declared != target:
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
