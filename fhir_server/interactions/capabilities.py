"""
capabilities: what this server does, made from what is registered.

`mode=normative` leaves out the elements of CapabilityStatement that R4 marks as trial use.
`mode=terminology` is a TerminologyCapabilities.

https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html,
https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, cast, get_args

from audit.capabilities import SEARCHABLE, WRITTEN_BY_THE_SERVER
from fhir_server.interactions.registered import Registered, RegisteredOperation, TypeInteraction
from fhir_server.r4.compartments import COMPARTMENTS
from fhir_server.r4.definitions import FHIR_VERSION, definitions
from fhir_server.r4.errors import Invalid
from fhir_server.r4.interaction import Capabilities, CapabilityMode, Parameters
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.r4.shaping import shape_of_one, shaped
from fhir_server.search.asking.criteria import why_not
from fhir_server.search.asking.includes import followed_to, includable
from fhir_server.search.declared.catalogue import Catalogue, in_force
from fhir_server.search.declared.parameters import Parameter, parameters_of
from fhir_server.search.predicates.version import instant
from fhir_server.search.values.indexed_words import Indexed

SOFTWARE: Final = "FHIR interoperability server"
SOFTWARE_VERSION: Final = version("fhir-server")
STRUCTURE_DEFINITION: Final = "http://hl7.org/fhir/StructureDefinition/"

TERMINOLOGY_OPERATIONS: Final = frozenset(
    ("closure", "expand", "find-matches", "lookup", "subsumes", "translate", "validate-code")
)
"""https://hl7.org/fhir/R4/terminology-service.html"""

_WRITES: Final = frozenset(("create", "update", "patch", "delete"))

_TRIAL_USE_IN_REST: Final = frozenset(("security",))
_TRIAL_USE_IN_RESOURCE: Final = frozenset(
    (
        "supportedProfile",
        "versioning",
        "readHistory",
        "updateCreate",
        "conditionalCreate",
        "conditionalRead",
        "conditionalUpdate",
        "conditionalDelete",
        "referencePolicy",
        "searchInclude",
        "searchRevInclude",
    )
)


def capabilities_from(parameters: Parameters, *, lenient: bool = False) -> Capabilities:
    """
    What the query of a GET of metadata asks for.

    Raises Invalid for a mode that R4 does not have and for a parameter that is none of capabilities.
    """
    modes = [value for name, value in parameters if name == "mode"]
    if len(modes) > 1:
        raise Invalid("`mode` is given more than once")
    mode = modes[0] if modes else "full"
    if mode not in get_args(CapabilityMode):
        raise Invalid("`mode` is `full`, `normative` or `terminology`")
    told = "TerminologyCapabilities" if mode == "terminology" else "CapabilityStatement"
    others = [pair for pair in parameters if pair[0] != "mode"]
    return Capabilities(cast("CapabilityMode", mode), shape_of_one(others, told, lenient=lenient))


def capabilities(
    interaction: Capabilities, registered: Registered, base_url: str, started: datetime
) -> Resource:
    """What the server at `base_url`, serving since `started`, does, as it was asked for."""
    told = _whole(interaction.mode, registered, base_url, started, in_force())
    if interaction.shape.is_whole:
        return told
    return from_text(shaped(to_text(told), told["resourceType"], interaction.shape))


@lru_cache(maxsize=8)
def _whole(
    mode: CapabilityMode, registered: Registered, base_url: str, started: datetime, _in_force: Catalogue
) -> Resource:
    match mode:
        case "full":
            return _capability_statement(registered, base_url, started)
        case "normative":
            return _normative(_capability_statement(registered, base_url, started))
        case "terminology":
            return _terminology_capabilities(registered, base_url, started)


def _capability_statement(registered: Registered, base_url: str, started: datetime) -> Resource:
    return {
        **_head("CapabilityStatement", base_url, started),
        "fhirVersion": FHIR_VERSION,
        "format": list(registered.formats),
        "patchFormat": list(registered.patch_formats),
        "rest": [_rest(registered)],
    }


def _terminology_capabilities(registered: Registered, base_url: str, started: datetime) -> Resource:
    """What each operation does belongs to its own part of it, once there is one."""
    told: dict[str, Any] = _head("TerminologyCapabilities", base_url, started)
    if TERMINOLOGY_OPERATIONS.isdisjoint(operation.name for operation in registered.operations):
        told["description"] = "No terminology operations are served."
    return told


def _head(resource_type: str, base_url: str, started: datetime) -> dict[str, Any]:
    return {
        "resourceType": resource_type,
        "status": "active",
        "date": instant(started),
        "kind": "instance",
        "software": {"name": SOFTWARE, "version": SOFTWARE_VERSION},
        "implementation": {"description": SOFTWARE, "url": base_url},
    }


def _rest(registered: Registered) -> dict[str, Any]:
    return {
        "mode": "server",
        "security": {
            "cors": registered.cors,
            "service": [{"coding": [{"system": _SECURITY_SERVICE, "code": "OAuth"}]}],
            "description": "Bearer tokens with SMART scopes, issued by the operator of the server.",
        },
        "resource": [_resource(name, registered) for name in sorted(definitions().resource_types)],
        "interaction": [{"code": code} for code in registered.system],
        "searchParam": [_search_param(parameter) for parameter in searchable_in_all(registered)],
        **_operations(registered.operations_at("system")),
        "compartment": list(COMPARTMENTS.values()),
    }


def _resource(name: str, registered: Registered) -> dict[str, Any]:
    interactions = interactions_of(name, registered)
    parameters = searchable(name, registered)
    conditional = registered.conditional.intersection(interactions)
    told: dict[str, Any] = {
        "type": name,
        "profile": STRUCTURE_DEFINITION + name,
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned-update" if "update" in interactions else "versioned",
        "readHistory": "vread" in interactions,
        "updateCreate": "update" in interactions,
        "conditionalCreate": "create" in conditional,
        "conditionalRead": "full-support" if "read" in conditional else "not-supported",
        "conditionalUpdate": "update" in conditional,
        "conditionalDelete": _conditional_delete(registered) if "delete" in conditional else "not-supported",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": _search_include(name),
        "searchRevInclude": _search_rev_include(name),
        "searchParam": [_search_param(parameter) for parameter in parameters],
        **_operations(operations_of(name, registered)),
    }
    if name in WRITTEN_BY_THE_SERVER:
        told["documentation"] = "Written by the server alone."
    return {name: value for name, value in told.items() if value != []}


def interactions_of(resource_type: str, registered: Registered) -> tuple[TypeInteraction, ...]:
    """Those of `registered` that the type has: what the server writes itself, nobody else does."""
    refused = _WRITES if resource_type in WRITTEN_BY_THE_SERVER else frozenset()
    return tuple(code for code in registered.types if code not in refused)


def operations_of(resource_type: str, registered: Registered) -> tuple[RegisteredOperation, ...]:
    """Those of `registered` that are asked for on the type or on its instances."""
    return tuple(
        operation
        for operation in registered.operations_at("type", "instance")
        if not (operation.affects_state and resource_type in WRITTEN_BY_THE_SERVER)
        and operation.only in (None, resource_type)
    )


def searchable(resource_type: str, registered: Registered) -> list[Parameter]:
    """The search parameters of the type that a search gets an answer for, in the order of their codes."""
    return [
        parameter
        for code, parameter in parameters_of(resource_type).items()
        if why_not((resource_type,), code, _indexed(registered)) is None and _is_kept(parameter)
    ]


def searchable_in_all(registered: Registered) -> list[Parameter]:
    """Those that a search over all types gets an answer for, as one of the types has them."""
    types = tuple(sorted(definitions().resource_types))
    indexed = _indexed(registered)
    first = searchable(types[0], registered)
    return [parameter for parameter in first if why_not(types, parameter.code, indexed) is None]


def _indexed(registered: Registered) -> Indexed:
    """What the setting promises: what is not indexed yet is refused with the reason."""
    return Indexed(registered.full_text, registered.full_text)


def _search_param(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.type}


def _search_include(resource_type: str) -> list[str]:
    told = [f"{each.resource_type}:{each.code}" for each in includable(resource_type) if _is_kept(each)]
    return ["*", f"{resource_type}:*", *told] if told else []


def _search_rev_include(resource_type: str) -> list[str]:
    told = [each for each in followed_to(resource_type) if _is_kept(each)]
    return ["*", *(f"{each.resource_type}:{each.code}" for each in told)]


def _is_kept(parameter: Parameter) -> bool:
    """The ledger has fewer than R4 defines of AuditEvents."""
    return parameter.resource_type != "AuditEvent" or parameter.code in SEARCHABLE


def _conditional_delete(registered: Registered) -> str:
    return "multiple" if registered.conditional_delete_max > 1 else "single"


def _operations(operations: tuple[RegisteredOperation, ...]) -> dict[str, Any]:
    """Nothing at all where there is none: FHIR has no empty lists."""
    told = [{"name": operation.name, "definition": operation.definition} for operation in operations]
    return {"operation": told} if told else {}


def _normative(statement: Resource) -> Resource:
    """The same without the elements that R4 may still change."""
    (rest,) = statement["rest"]
    kept = _without(rest, _TRIAL_USE_IN_REST)
    kept["resource"] = [_without(resource, _TRIAL_USE_IN_RESOURCE) for resource in rest["resource"]]
    return {**statement, "rest": [kept]}


def _without(told: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in names}


_SECURITY_SERVICE: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
