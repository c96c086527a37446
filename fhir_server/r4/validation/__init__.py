"""
Is this a resource as R4 defines it? Structure and invariants, judged whole and at once.

`validate` returns every broken rule with the element that breaks it. It checks names,
cardinality, JSON types, primitive formats, choices, required bindings, the types that
references may lead to, and each invariant of R4, in the resource and in each one nested in it.

* `invariants.py`  what R4 states as FHIRPath, compiled
* `plan.py`        the facts of each type, compiled for the walk
* `walk.py`        the walk: one pass over the JSON
* `references.py`, `bindings.py`, `contained.py`   rules about whole elements
* `scope.py`       what the walk carries: where it is, what it found

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Resource
from fhir_server.r4.validation.scope import ISSUES_MAX, Findings, is_showable
from fhir_server.r4.validation.walk import walk_resource

__all__ = ["ISSUES_MAX", "validate"]


def validate(
    resource: Resource, *, expected_type: str | None = None, best_practice: bool = False
) -> tuple[Issue, ...]:
    """
    Each rule that `resource` breaks, error or warning; empty when it breaks none.

    At most ISSUES_MAX of each severity, then one that says that there are more. What R4 calls
    best practice (dom-6: there should be a narrative) is judged when asked for.
    """
    findings = Findings(best_practice)
    name = resource.get("resourceType")
    if expected_type is not None and name is not None and name != expected_type:
        where = "resourceType"
        findings.report("error", "structure", (None, where, None), f"must be {expected_type}")
    root = name if isinstance(name, str) and is_showable(name) else "Resource"
    walk_resource(resource, (None, root, None), findings)
    return tuple(findings.issues)
