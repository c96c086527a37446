"""FHIRPath Patches, said shortly. https://hl7.org/fhir/R4/fhirpatch.html."""

from __future__ import annotations

import copy
import json
from typing import Any

from fhir_server.r4.patch import fhirpath_patch
from fhir_server.r4.resource import from_text, to_text


def operation(type: str, path: str, *parts: dict[str, Any]) -> dict[str, Any]:
    said = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}, *parts]
    return {"name": "operation", "part": said}


def value(**given: Any) -> dict[str, Any]:
    """`value(valueDate="1930-01-01")`"""
    return {"name": "value", **given}


def parts(**elements: dict[str, Any]) -> dict[str, Any]:
    """`parts(url={"valueUri": "http://..."})`"""
    return {"name": "value", "part": [{"name": name, **given} for name, given in elements.items()]}


def add(path: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return operation("add", path, {"name": "name", "valueString": name}, given)


def insert(path: str, index: int, given: dict[str, Any]) -> dict[str, Any]:
    return operation("insert", path, given, {"name": "index", "valueInteger": index})


def delete(path: str) -> dict[str, Any]:
    return operation("delete", path)


def replace(path: str, given: dict[str, Any]) -> dict[str, Any]:
    return operation("replace", path, given)


def move(path: str, source: int, destination: int) -> dict[str, Any]:
    return operation(
        "move",
        path,
        {"name": "source", "valueInteger": source},
        {"name": "destination", "valueInteger": destination},
    )


def parameters(*operations: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def patched(resource: dict[str, Any], *operations: Any) -> dict[str, Any]:
    """The resource after the operations, as JSON; neither may be changed."""
    before = from_text(json.dumps(resource).encode())
    patch = from_text(json.dumps(parameters(*operations)).encode())
    kept = copy.deepcopy((before, patch))
    after = from_text(to_text(fhirpath_patch(before, patch)))
    assert (before, patch) == kept
    return after
