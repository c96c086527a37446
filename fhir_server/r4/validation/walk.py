"""
The walk through a resource: each property against its plan, every broken rule reported.

This is on the path of each write, so it is plain: one loop over the properties that are
there, one over those that must be. A rule about a whole element is in the hook of its property,
or, as an invariant of its type, in the rules of its plan.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.r4.fhirpath import Node
from fhir_server.r4.validation.contained import contained_types, id_of, judge_anchors, judge_contained
from fhir_server.r4.validation.invariants import judge
from fhir_server.r4.validation.plan import Plan, Property, plans
from fhir_server.r4.validation.scope import Findings, Path, Scope, report_unknown

_NOTHING_SAID: Final = "must have a value or an extension (ele-1)"


def walk_resource(value: object, path: Path, findings: Findings) -> None:
    """A resource that stands for itself: what was sent, or an entry of a Bundle."""
    root = Node("Resource", value)
    scope = Scope(findings, root, root)
    if isinstance(value, dict):
        scope.contained = contained_types(value)
    plan = _resource(value, path, scope)
    if plan is not None:
        judge_anchors(scope)


def _resource(value: object, path: Path, scope: Scope) -> Plan | None:
    if not isinstance(value, dict):
        scope.report("structure", path, "must be a JSON object")
        return None
    name = value.get("resourceType")
    if name is None:
        scope.report("required", (path, "resourceType", None), "is required")
        return None
    plan = plans().get(name) if isinstance(name, str) else None
    if plan is None or not plan.is_resource:
        scope.report("structure", (path, "resourceType", None), "must be a resource type of R4")
        return None
    scope.resource = Node(plan.name, value)
    if not scope.type:
        scope.type, scope.root = plan.name, scope.resource
    _object(value, plan, path, scope)
    return plan


def _object(value: dict[str, Any], plan: Plan, path: Path, scope: Scope) -> None:
    chosen: dict[str, str] | None = None
    properties = plan.properties
    for name, content in value.items():
        rule = properties.get(name)
        if rule is None:
            report_unknown(path, name, _why_unknown(plan, name), scope)
            continue
        if rule.choice is not None:
            chosen = chosen or {}
            if chosen.setdefault(rule.name, rule.choice) != rule.choice:
                scope.report("structure", (path, rule.name, None), "must be there in one type only")
        if rule.is_array:
            _array(content, rule, value, path, scope)
        elif rule.check is not None:
            _primitive(content, rule, (path, rule.name, None), scope)
        elif rule.is_beside:
            _beside(content, rule, (path, rule.name, None), scope, has_value=rule.beside in value)
        else:
            _element(content, rule, (path, rule.name, None), scope)
    for required in plan.required:
        if not any(name in value for name in required.properties):
            scope.report("required", (path, required.name, None), "is required")
    if plan.rules:
        judge(plan.rules, Node(plan.name, value), path, scope)
    if plan.best_practice and scope.findings.asks_for_best_practice:
        judge(plan.best_practice, Node(plan.name, value), path, scope)


def _array(content: object, rule: Property, around: dict[str, Any], path: Path, scope: Scope) -> None:
    if not isinstance(content, list):
        scope.report("structure", (path, rule.name, None), "must be a JSON array")
    elif not content:
        scope.report("structure", (path, rule.name, None), "must not be an empty array")
    elif rule.check is not None:
        _primitives(content, rule, around.get(rule.beside or ""), path, scope)
    elif rule.is_beside:
        _besides(content, rule, around.get(rule.beside or ""), path, scope)
    else:
        for place, item in enumerate(content):
            _element(item, rule, (path, rule.name, place), scope)


def _primitive(content: Any, rule: Property, path: Path, scope: Scope) -> None:
    problem = rule.check(content) if rule.check else None
    if problem is None:
        if rule.link is not None and content[0] == "#":
            rule.link(content, path, scope)
    elif isinstance(content, list) and path[2] is None:
        scope.report("structure", path, "must not be a JSON array: it cannot repeat")
    else:
        scope.report(problem.code, path, problem.text)


def _primitives(content: list[Any], rule: Property, besides: object, path: Path, scope: Scope) -> None:
    """A null holds the place of a value that has only extensions."""
    for place, item in enumerate(content):
        here: Path = (path, rule.name, place)
        if item is not None:
            _primitive(item, rule, here, scope)
        elif not isinstance(besides, list) or place >= len(besides) or not besides[place]:
            scope.report("structure", here, _NOTHING_SAID)


def _besides(content: list[Any], rule: Property, values: object, path: Path, scope: Scope) -> None:
    """The ids and extensions of a repeating primitive, each at the place of its value."""
    if isinstance(values, list) and len(values) != len(content):
        scope.report(
            "structure",
            (path, rule.name, None),
            f"must have as many entries as `_{rule.name}`, null for none",
        )
    for place, item in enumerate(content):
        here: Path = (path, rule.name, place)
        value = values[place] if isinstance(values, list) and place < len(values) else None
        if item is not None:
            _beside(item, rule, here, scope, has_value=value is not None)
        elif not isinstance(values, list):
            scope.report("structure", here, _NOTHING_SAID)


def _beside(content: Any, rule: Property, path: Path, scope: Scope, *, has_value: bool) -> None:
    """The id and extensions of a primitive: `_birthDate`."""
    if not isinstance(content, dict) or rule.plan is None:
        scope.report("structure", path, f"must be a JSON object in `_{rule.name}`")
    elif not content or not (has_value or "extension" in content):
        scope.report("invariant", path, _NOTHING_SAID)
    else:
        _object(content, rule.plan, path, scope)


def _element(content: Any, rule: Property, path: Path, scope: Scope) -> None:
    if rule.plan is None:
        _nested(content, rule, path, scope)
    elif not isinstance(content, dict):
        scope.report("structure", path, "must be a JSON object")
    elif not content or (len(content) == 1 and "id" in content):
        scope.report("invariant", path, _NOTHING_SAID)
    else:
        _object(content, rule.plan, path, scope)
        if rule.hook is not None:
            rule.hook(content, path, scope)


def _nested(content: Any, rule: Property, path: Path, scope: Scope) -> None:
    """A resource in a resource: contained ones share the scope, others have their own."""
    if rule.name != "contained":
        walk_resource(content, path, scope.findings)
        return
    container, to_container, scope.to_container = scope.resource, scope.to_container, False
    if _resource(content, path, scope) is not None:
        judge_contained(content, path, scope)
        scope.anchors.append((path, id_of(content), scope.to_container))
    scope.resource, scope.to_container = container, to_container


def _why_unknown(plan: Plan, name: str) -> str:
    for choice, properties in plan.choices.items():
        if name == choice:
            return f"must be written with its type, such as `{properties[0]}`"
        if name.startswith((choice, f"_{choice}")):
            return f"is not a type that `{plan.name}.{choice}[x]` may have"
    return f"is not an element of {plan.name}"
