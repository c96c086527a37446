"""
Parameters of the query, headers and steps of the path, as OpenAPI has them.

https://hl7.org/fhir/R4/http.html#parameters, https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.interactions.capabilities import searchable, searchable_in_all
from fhir_server.interactions.registered import Registered
from fhir_server.r4.compartments import COMPARTMENTS, compartments_with
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.shaping import GENERAL_PARAMETERS
from fhir_server.search.asking.results import RESULT_PARAMETERS, refuse_unsupported
from fhir_server.search.declared.parameters import Parameter

Described = dict[str, Any]

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}

_QUERY: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "_at": ("Versions that were current at some time in this period.", _TEXT),
    "_count": ("Entries on a page.", _NUMBER),
    "_elements": ("Only these elements, separated by commas.", _TEXT),
    "_format": (
        "`json` or `xml`; goes before the header Accept.",
        {"type": "string", "enum": ["json", "xml"]},
    ),
    "_include": ("Also what matches refer to: `Observation:subject`, `Observation:*`, `*`.", _TEXT),
    "_pretty": ("Indented, for people.", {"type": "string", "enum": ["true", "false"]}),
    "_revinclude": ("Also what refers to matches: `Provenance:target`, `Observation:*`, `*`.", _TEXT),
    "_since": ("Versions made at or after this instant.", _TEXT),
    "_sort": ("Search parameters to sort by, separated by commas; `-` before one is descending.", _TEXT),
    "_summary": (
        "A part of each resource, as FHIR marks it.",
        {"type": "string", "enum": ["true", "text", "data", "count", "false"]},
    ),
    "_total": (
        "Is the number of matches wanted?",
        {"type": "string", "enum": ["none", "estimate", "accurate"]},
    ),
    "_type": ("The types to search, separated by commas.", _TEXT),
}

_HEADERS: Final[Mapping[str, str]] = {
    "If-Match": 'Only when this is the current version: `W/"1"`.',
    "If-Modified-Since": "Only when it is newer than this; else 304.",
    "If-None-Exist": "Only when nothing matches this search: `identifier=http://example.org|1`.",
    "If-None-Match": "A read: 304 when this version is current. A write: `*`, only when there is none.",
    "Prefer": (
        "`return=minimal`, `return=representation` or `return=OperationOutcome` of a write; "
        "`handling=strict` or `handling=lenient` of a search."
    ),
}

_STEPS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "id": ("The logical id.", {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}),
    "vid": ("The version.", {"type": "string", "pattern": r"^[0-9]+$"}),
}

_NOT_TOLD: Final = frozenset(("_cursor",)) | GENERAL_PARAMETERS
"""`_cursor` is for the links of a page alone; what every interaction has is told for each."""

HISTORY: Final = ("_count", "_since", "_at")
GENERAL: Final = tuple(sorted(GENERAL_PARAMETERS))


def of_results(*, several_types: bool) -> tuple[str, ...]:
    """The parameters that shape the answer of a search, as far as they are there."""
    return tuple(
        name
        for name in sorted(RESULT_PARAMETERS - _NOT_TOLD)
        if name in _QUERY and _is_there(name) and (several_types or name != "_type")
    )


def search_parameters(resource_type: str | None, registered: Registered) -> dict[str, Described]:
    """Those of a type, or of all, by the name of their component: `search.birthdate`."""
    parameters = searchable(resource_type, registered) if resource_type else searchable_in_all(registered)
    return {f"search.{found.code}": _of_search(found) for found in parameters}


def common() -> dict[str, Described]:
    """What is told once in a document: query parameters and headers, by their names."""
    queried = {
        name: {"name": name, "in": "query", "description": told, "schema": dict(schema)}
        for name, (told, schema) in _QUERY.items()
    }
    headers = {
        name: {"name": name, "in": "header", "description": told, "schema": dict(_TEXT)}
        for name, told in _HEADERS.items()
    }
    return queried | headers


def steps_of(template: str, resource_type: str | None) -> Iterator[Described]:
    """The steps of the path that a client fills in, asking for the type or for any."""
    compartments = compartments_with(resource_type) if resource_type else tuple(COMPARTMENTS)
    told_of_compartment = "The type of the resource whose compartment it is."
    schema_of_compartment = {"type": "string", "enum": list(compartments)}
    steps = {"compartment": (told_of_compartment, schema_of_compartment), **_STEPS}
    for name, (told, schema) in steps.items():
        if f"{{{name}}}" in template:
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": told,
                "schema": dict(schema),
            }


def form_of(names: dict[str, Described]) -> Described:
    """The same parameters as the properties of a form."""
    return {
        "type": "object",
        "properties": {
            told["name"]: {**told["schema"], "description": told["description"]} for told in names.values()
        },
    }


def _of_search(parameter: Parameter) -> Described:
    declared = definitions().search_parameters[parameter.resource_type][parameter.code]
    targets = f" to {', '.join(declared.targets)}" if declared.targets else ""
    return {
        "name": parameter.code,
        "in": "query",
        "description": f"{parameter.type}{targets}: [{declared.url.rpartition('/')[2]}]({declared.url})",
        "schema": dict(_TEXT),
    }


def _is_there(name: str) -> bool:
    try:
        refuse_unsupported(name, "1")
    except FhirError:
        return False
    return True
