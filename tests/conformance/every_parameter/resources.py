"""
Valid resources that have a certain value at a certain place, or have nothing beyond what they must.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.conformance.every_parameter.paths import Selection, Step
from tests.r4.instances import minimal
from tests.r4.instances import value as value_of

_CONDITION: Final = {
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "inactive"}]
    }
}
_BUNDLE: Final = {
    "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
    "timestamp": "2024-02-29T13:28:17Z",
    "entry": [{"fullUrl": "http://example.org/fhir/It/1"}],
}
_SEQUENCE: Final = {"referenceSeq": {"chromosome": {"text": "1"}, "genomeBuild": "GRCh 37"}}
_IN_A_SNAPSHOT: Final = {"id": "Name", "definition": "text", "min": 0, "max": "*"}
_SNAPSHOT: Final = {
    "snapshot": {"element": [{**_IN_A_SNAPSHOT, "base": {"path": "Base", "min": 0, "max": "*"}}]}
}

_AT_REST: Final[Mapping[str, Mapping[str, Any]]] = {"SearchParameter": {"status": "retired"}}
"""What keeps a resource from acting: a SearchParameter that is active or about to be must say how."""

_BESIDE: Final[Mapping[str, Mapping[str, Any]]] = {
    "Appointment.start": {"end": "2044-01-01T00:00:00Z"},
    "Appointment.status": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T01:00:00Z"},
    "Bundle.entry.resource:Composition": {"type": "document", **_BUNDLE},
    "Bundle.entry.resource:MessageHeader": {"type": "message", **_BUNDLE},
    "CapabilityStatement.software.name": {"kind": "capability"},
    "Composition.section.code": {"section": [{"entry": [{"reference": "Basic/1"}]}]},
    "ConceptMap.group.unmapped.url": {"group": [{"unmapped": {"mode": "other-map"}}]},
    "Condition.abatementAge": _CONDITION,
    "Condition.abatementDateTime": _CONDITION,
    "Condition.abatementPeriod": _CONDITION,
    "Condition.abatementRange": _CONDITION,
    "Condition.abatementString": _CONDITION,
    "MolecularSequence.referenceSeq.chromosome": {"referenceSeq": {"genomeBuild": "GRCh 37"}},
    "MolecularSequence.referenceSeq.referenceSeqId": {"referenceSeq": {"chromosome": None}},
    "MolecularSequence.referenceSeq.windowEnd": _SEQUENCE,
    "MolecularSequence.referenceSeq.windowStart": _SEQUENCE,
    "RequestGroup.action.participant": {"action": [{"resource": {"reference": "Task/1"}}]},
    "StructureDefinition.abstract": {"baseDefinition": "http://hl7.org/fhir/StructureDefinition/Element"},
    "StructureDefinition.kind": {"type": "Text"},
    "StructureDefinition.snapshot.element.base.path": {
        "snapshot": {"element": [{**_IN_A_SNAPSHOT, "base": {"min": 0, "max": "*"}}]}
    },
    "StructureDefinition.snapshot.element.path": _SNAPSHOT,
    "StructureDefinition.snapshot.element.binding.valueSet": _SNAPSHOT,
}
"""What must stand beside an element, by its path, for the invariants of its type."""


def without(type: str, id: str) -> dict[str, Any]:
    """The least that a resource of the type must say."""
    return {**minimal(type), **_AT_REST.get(type, {}), "id": id}


def with_value(one: Selection, value: Any, id: str) -> dict[str, Any]:
    """A resource that has `value` where the selection ends."""
    resource = without(one.type, id)
    put(resource, one, value)
    beside = _BESIDE.get(f"{one.path}:{one.target}", _BESIDE.get(one.path, {}))
    merged: dict[str, Any] = _merged(resource, beside)
    return merged


def put(resource: dict[str, Any], one: Selection, value: Any) -> None:
    """`value` into the first element at each step of the selection."""
    holder = resource
    for step in one.steps[:-1]:
        holder = _entered(holder, step)
    last = one.last
    _clear(holder, last)
    if isinstance(value, dict):
        value = {**last.beside, **value}
    holder[last.name] = [value] if last.repeats else value


def _entered(holder: dict[str, Any], step: Step) -> dict[str, Any]:
    if step.name not in holder:
        _clear(holder, step)
        made = value_of(step.element, step.declared)
        holder[step.name] = [made] if step.repeats else made
    found = holder[step.name]
    inner: dict[str, Any] = found[0] if isinstance(found, list) else found
    if "url" in step.beside:
        inner.clear()
    inner.update(step.beside)
    return inner


def _merged(into: Any, more: Any) -> Any:
    """What is in `into` stays unless `more` says another value, or None; lists go by position."""
    if isinstance(into, dict) and isinstance(more, dict):
        both = {**into, **{name: _merged(into.get(name), value) for name, value in more.items()}}
        return {name: value for name, value in both.items() if value is not None}
    if isinstance(into, list) and isinstance(more, list):
        return [_merged(*pair) for pair in zip(into, more, strict=True)]
    return more


def _clear(holder: dict[str, Any], step: Step) -> None:
    for declared in step.element.types:
        holder.pop(step.element.json_name(declared.code), None)
