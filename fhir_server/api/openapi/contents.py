"""
What bodies look like: the elements of a resource, and its media types.

The schema of a resource goes one level deep: names, cardinalities and types. What is really
checked is R4's own definitions (fhir_server/r4/validation).

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.interactions.registered import Registered
from fhir_server.r4.definitions import ElementFacts, definitions
from fhir_server.r4.media import Format
from fhir_server.r4.xml import to_xml

Schema = dict[str, Any]

_PRIMITIVES: Final[Mapping[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer"},
    "positiveInt": {"type": "integer", "minimum": 1},
    "unsignedInt": {"type": "integer", "minimum": 0},
}
"""As JSON has them; the others are strings."""

_PATCHES: Final[Mapping[str, Any]] = {
    "application/json-patch+json": [{"op": "add", "path": "/language", "value": "en"}],
    "application/xml-patch+xml": (
        '<diff xmlns:f="http://hl7.org/fhir"><add sel="f:{type}"><f:language value="en"/></add></diff>'
    ),
    "application/fhir+json": {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "replace"},
                    {"name": "path", "valueString": "{type}.language"},
                    {"name": "value", "valueCode": "en"},
                ],
            }
        ],
    },
}


def schema_of(resource_type: str) -> Schema:
    """The elements at the root of the resource."""
    properties: Schema = {"resourceType": {"const": resource_type}}
    for element in definitions().types[resource_type].elements.values():
        for declared in element.types:
            properties[element.json_name(declared.code)] = _element(element, declared.code)
    required = [
        element.name
        for element in definitions().types[resource_type].elements.values()
        if element.min and not element.is_choice
    ]
    return {"type": "object", "required": ["resourceType", *required], "properties": properties}


def schemas_of(resource_type: str) -> dict[str, Schema]:
    """Those that a document refers to."""
    return {name: schema_of(name) for name in (resource_type, "Bundle", "OperationOutcome", "Parameters")}


def resource_content(resource_type: str, **shown: Any) -> dict[str, Any]:
    """A resource in each format, with the beginning of one as its example."""
    schema = {"$ref": f"#/components/schemas/{resource_type}"} if resource_type != "Resource" else {}
    example = {"resourceType": resource_type, **shown} if schema else {}
    json = {"schema": schema or {"type": "object"}, "example": example}
    xml: dict[str, Any] = {"schema": {"type": "string"}}
    if schema:
        xml["example"] = to_xml(example).decode()
    return {Format.JSON.media_type: json, Format.XML.media_type: xml}


def bundle_content() -> dict[str, Any]:
    """A transaction to fill in."""
    basic = {"resourceType": "Basic", "code": {"text": "an example"}}
    entry = {"resource": basic, "request": {"method": "POST", "url": "Basic"}}
    return resource_content("Bundle", type="transaction", entry=[entry])


def patch_content(resource_type: str, registered: Registered) -> dict[str, Any]:
    """Each kind of patch that is registered, with an example."""
    return {
        media_type: {
            "schema": {"type": "string"}
            if media_type.endswith("xml")
            else {"type": "array" if "json-patch" in media_type else "object"},
            **({"example": _named(_PATCHES[media_type], resource_type)} if media_type in _PATCHES else {}),
        }
        for media_type in registered.patch_formats
    }


def _element(element: ElementFacts, code: str) -> Schema:
    if code in _PRIMITIVES:
        schema = dict(_PRIMITIVES[code])
    elif definitions().types[code].kind == "primitive":
        schema = {"type": "string"}
    else:
        schema = {"type": "object"}
    schema["title"] = code
    return schema if element.max == 1 else {"type": "array", "items": schema}


def _named(example: Any, resource_type: str) -> Any:
    match example:
        case str():
            return example.replace("{type}", resource_type)
        case list():
            return [_named(item, resource_type) for item in example]
        case dict():
            return {name: _named(item, resource_type) for name, item in example.items()}
    return example
