"""
Is this a resource as R4 defines it? Structure, judged whole and at once.

`validate` returns every broken rule with the element that breaks it. It checks names,
cardinality, JSON types, primitive formats, choices, required bindings, the types that
references may lead to, ele-1, ext-1, dom-2 to dom-5, txt-1, txt-2, ref-1 and sqty-1, in the
resource and in each one nested in it. The other invariants are FHIRPath and are not judged here.

* `plan.py`        the facts of each type, compiled for the walk
* `walk.py`        the walk: one pass over the JSON
* `references.py`, `bindings.py`, `contained.py`   rules about whole elements
* `scope.py`       what the walk carries: where it is, what it found

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Resource
from fhir_server.r4.validation.scope import ISSUES_MAX, is_showable
from fhir_server.r4.validation.walk import walk_resource

__all__ = ["ISSUES_MAX", "validate"]


def validate(resource: Resource, *, expected_type: str | None = None) -> tuple[Issue, ...]:
    """
    Each rule that `resource` breaks, all of severity error; empty when it breaks none.

    At most ISSUES_MAX of them, then one that says that there are more.
    """
    issues: list[Issue] = []
    name = resource.get("resourceType")
    if expected_type is not None and name is not None and name != expected_type:
        where = "resourceType"
        issues.append(Issue("error", "structure", f"`{where}` must be {expected_type}", (where,)))
    root = name if isinstance(name, str) and is_showable(name) else "Resource"
    walk_resource(resource, (None, root, None), issues)
    return tuple(issues)
