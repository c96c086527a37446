"""
capabilities: what this server does, made from what is registered.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from audit.capabilities import SEARCHABLE
from fhir_server.r4.definitions import FHIR_VERSION, SearchParameter, definitions
from fhir_server.r4.resource import Resource
from fhir_server.search.query import SUPPORTED_TYPES
from fhir_server.search.version import instant

SOFTWARE: Final = "FHIR interoperability server"
_READS: Final = ("read", "vread", "history-instance", "history-type", "search-type")
_WRITES: Final = ("create", "update", "delete")


@lru_cache(maxsize=4)
def capability_statement(base_url: str, started: datetime) -> Resource:
    """The CapabilityStatement of the server at `base_url`, serving since `started`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(started),
        "kind": "instance",
        "software": {"name": SOFTWARE},
        "implementation": {"description": SOFTWARE, "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": True,
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                },
                "resource": [_resource(name) for name in sorted(definitions().resource_types)],
                "interaction": [
                    {"code": code} for code in ("transaction", "batch", "history-system", "search-system")
                ],
            }
        ],
    }


def _resource(name: str) -> dict[str, Any]:
    written = () if name == "AuditEvent" else _WRITES
    parameters = [
        parameter
        for parameter in definitions().search_parameters[name].values()
        if is_searchable(name, parameter)
    ]
    return {
        "type": name,
        "interaction": [{"code": code} for code in (*_READS, *written)],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": bool(written),
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchInclude": [
            f"{name}:{parameter.code}" for parameter in parameters if parameter.type == "reference"
        ],
        "searchParam": [
            {"name": parameter.code, "definition": parameter.url, "type": parameter.type}
            for parameter in sorted(parameters, key=lambda parameter: parameter.code)
        ],
    }


def is_searchable(resource_type: str, parameter: SearchParameter) -> bool:
    """Does a search by this parameter get an answer?"""
    if resource_type == "AuditEvent" and parameter.code not in SEARCHABLE:
        return False
    return parameter.type in SUPPORTED_TYPES and parameter.expression is not None
