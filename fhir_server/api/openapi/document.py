"""One OpenAPI document, put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.api.openapi.answers import answers_of, headers, refusals
from fhir_server.api.openapi.contents import (
    bundle_content,
    patch_content,
    resource_content,
    schemas_of,
)
from fhir_server.api.openapi.parameters import (
    GENERAL,
    HISTORY,
    common,
    form_of,
    of_results,
    search_parameters,
    steps_of,
)
from fhir_server.api.openapi.telling import SECTIONS, Telling, id_of, telling_of
from fhir_server.api.routes import ROUTES, Route
from fhir_server.interactions.capabilities import (
    SOFTWARE_VERSION,
    interactions_of,
    operations_of,
)
from fhir_server.interactions.registered import Registered
from fhir_server.r4.compartments import compartments_with
from fhir_server.r4.definitions import definitions

OPENAPI_VERSION: Final = "3.1.1"
SYSTEM: Final = "system"
"""The name of the document of what is not about one type."""

_SPECIFICATION: Final = "https://hl7.org/fhir/R4/"
_OF_THE_SERVER: Final = "What can be asked of the server as a whole."
_MODES: Final = ("full", "normative", "terminology")


def names() -> tuple[str, ...]:
    """Of the documents there are: the server's own, then those of the types by their names."""
    return (SYSTEM, *sorted(definitions().resource_types))


def openapi(name: str, registered: Registered, base_path: str) -> dict[str, Any]:
    """The document of a resource type or of the server, whose FHIR base is at `base_path`."""
    resource_type = None if name == SYSTEM else name
    paths = _paths(resource_type, registered)
    used = {tag for each in paths.values() for operation in each.values() for tag in operation["tags"]}
    return {
        "openapi": OPENAPI_VERSION,
        "info": _info(resource_type),
        "externalDocs": {"url": _SPECIFICATION + (f"{name.lower()}.html" if resource_type else "http.html")},
        "servers": [{"url": base_path or "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": section} for section in SECTIONS if section in used],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token with SMART scopes. It is kept in this page alone.",
                }
            },
            "parameters": common() | search_parameters(resource_type, registered),
            "headers": headers(),
            "responses": refusals(),
            "schemas": schemas_of(resource_type or "CapabilityStatement"),
        },
    }


def _info(resource_type: str | None) -> dict[str, str]:
    told = f"What can be asked about `{resource_type}`." if resource_type else _OF_THE_SERVER
    return {
        "title": f"FHIR R4: {resource_type or 'the server'}",
        "version": SOFTWARE_VERSION,
        "description": f"{told} All but the capabilities needs an access token: *Authorize* takes it.",
    }


def _paths(resource_type: str | None, registered: Registered) -> dict[str, Any]:
    paths: dict[str, Any] = {} if resource_type else {"/metadata": {"get": _metadata()}}
    for route in _routes(resource_type, registered):
        path = "/" + route.template.replace("{type}", resource_type or "")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, resource_type, registered)
    return paths


def _routes(resource_type: str | None, registered: Registered) -> Iterator[Route]:
    """Those of the level, but for what the type has not."""
    if resource_type is None:
        yield from (route for route in ROUTES if "{type}" not in route.template)
        return
    interactions = frozenset(interactions_of(resource_type, registered))
    operations = {operation.name for operation in operations_of(resource_type, registered)}
    in_none = not compartments_with(resource_type)
    for route in ROUTES:
        if route.template.startswith("{compartment}") and in_none:
            continue
        here = interactions.intersection(route.serves) or route.template.rpartition("$")[2] in operations
        if "{type}" in route.template and here:
            yield route


def _operation(route: Route, resource_type: str | None, registered: Registered) -> dict[str, Any]:
    telling = telling_of(route)
    asked = _asked(telling, resource_type, registered)
    told: dict[str, Any] = {
        "operationId": id_of(route),
        "summary": telling.name,
        "tags": [telling.section],
        "externalDocs": {"url": _page(route, telling, registered)},
        "parameters": [
            *steps_of(route.template, resource_type),
            *({"$ref": f"#/components/parameters/{name}"} for name in (*asked, *telling.headers, *GENERAL)),
        ],
        "responses": answers_of(telling, resource_type or "Resource"),
    }
    content = _body(telling, resource_type, registered)
    if content:
        told["requestBody"] = {"required": telling.body not in ("form", "operation"), "content": content}
    return told


def _page(route: Route, telling: Telling, registered: Registered) -> str:
    """Where it is defined."""
    name = route.template.rpartition("$")[2]
    defined = (operation.definition for operation in registered.operations if operation.name == name)
    return next(defined, _SPECIFICATION + telling.page)


def _asked(telling: Telling, resource_type: str | None, registered: Registered) -> tuple[str, ...]:
    """The components of the query's parameters, but for those of each interaction."""
    match telling.query:
        case "criteria":
            return tuple(search_parameters(resource_type, registered))
        case "search":
            return _searched(resource_type, registered)
        case "history":
            return HISTORY
    return ()


def _searched(resource_type: str | None, registered: Registered) -> tuple[str, ...]:
    results = of_results(several_types=resource_type is None)
    return (*search_parameters(resource_type, registered), *results)


def _body(telling: Telling, resource_type: str | None, registered: Registered) -> dict[str, Any]:
    match telling.body:
        case "resource":
            content = resource_content(resource_type or "Resource")
            if resource_type == "Binary":
                content["*/*"] = {"schema": {"type": "string", "format": "binary"}}
            return content
        case "bundle":
            return bundle_content()
        case "patch":
            return patch_content(resource_type or "Resource", registered)
        case "operation":
            return resource_content("Parameters")
        case "form":
            known = common() | search_parameters(resource_type, registered)
            form = {name: known[name] for name in (*_searched(resource_type, registered), *GENERAL)}
            return {"application/x-www-form-urlencoded": {"schema": form_of(form)}}
    return {}


def _metadata() -> dict[str, Any]:
    """The one address of FHIR's that takes no token."""
    mode = {"name": "mode", "in": "query", "schema": {"type": "string", "enum": list(_MODES)}}
    return {
        "operationId": "capabilities",
        "summary": "What this server does",
        "tags": [SECTIONS[0]],
        "externalDocs": {"url": _SPECIFICATION + "http.html#capabilities"},
        "security": [],
        "parameters": [mode, *({"$ref": f"#/components/parameters/{name}"} for name in GENERAL)],
        "responses": {
            "200": {
                "description": "A CapabilityStatement, or a TerminologyCapabilities.",
                "content": resource_content("CapabilityStatement"),
            },
            **{status: {"$ref": f"#/components/responses/{status}"} for status in ("400", "406")},
        },
    }
