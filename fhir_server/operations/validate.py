"""
$validate: would this be a resource as R4 defines it, and would it be accepted?

The answer is an OperationOutcome with status 200, whatever it says: each broken rule, and when no
rule is broken a line that says so. What R4 calls best practice is judged, too.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fhir_server.operations.parameters import asked, has_resource
from fhir_server.r4.definitions import FHIR_VERSION, definitions
from fhir_server.r4.errors import Invalid, Issue
from fhir_server.r4.interaction import Parameters as Query
from fhir_server.r4.resource import Resource
from fhir_server.r4.validation import validate

MODES: Final = frozenset(("create", "update", "delete", "profile"))
"""https://hl7.org/fhir/R4/valueset-resource-validation-mode.html"""

_PARAMETERS: Final = frozenset(("resource", "mode", "profile"))
_STRUCTURES: Final = "http://hl7.org/fhir/StructureDefinition/"
_ABSTRACT: Final = frozenset(("Resource", "DomainResource"))
_NO_DOMAIN_RESOURCES: Final = frozenset(("Binary", "Bundle", "Parameters"))
_ALL_OK: Final = Issue("information", "informational", "No rule of FHIR R4 is broken")


@dataclass(frozen=True, slots=True)
class ToValidate:
    """What is to be validated; without `resource` it is what is stored."""

    resource: Resource | None
    mode: str | None
    profile: str | None


def to_validate(type: str, id: str | None, body: Resource | None, query: Query) -> ToValidate:
    """
    What the request asks for.

    Raises Invalid when it asks for nothing that can be judged: a mode that is not R4's, or is not
    for this level; nothing to judge, or too much.
    """
    bare = body if body is not None and not _is_parameters(body, type) else None
    found = asked(body if bare is None else None, query, _PARAMETERS)
    given = bare if bare is not None else found.structure("resource")
    if bare is not None and "resource" in found.values:
        raise Invalid("The body is the resource; it cannot be a parameter as well")
    mode, profile = found.text("mode"), found.text("profile")
    _require_fitting(mode, id, has_resource=given is not None)
    return ToValidate(None if mode == "delete" else given, mode, profile)


def issues_of(resource: Resource, type: str, profile: str | None) -> tuple[Issue, ...]:
    """Each rule that the resource breaks, as a `type` and by the profile."""
    found = validate(resource, expected_type=type, best_practice=True)
    return (*found, *_unknown_profiles(resource), *issues_of_profile(profile, type))


def issues_of_identity(resource: Resource, type: str, id: str | None, mode: str | None) -> Iterator[Issue]:
    """What there is to say of the id in the body, given the one in the address."""
    where = (f"{type}.id",)
    if id is not None and resource.get("id") != id:
        yield Issue("error", "invalid", "The id in the body is not the id in the address", where)
    elif mode == "create" and "id" in resource:
        yield Issue("information", "informational", "A create gives an id of its own", where)


def issues_of_profile(profile: str | None, type: str) -> Iterator[Issue]:
    """R4's own definitions of resources are known, and judged with any resource; others are not."""
    name = None if profile is None else _known(profile)
    if profile is not None and name is None:
        told = "The profile is not known here; known are R4's own definitions of resources"
        yield Issue("error", "not-found", told)
    elif name is not None and name != type and (name not in _ABSTRACT or _is_beyond(name, type)):
        yield Issue("error", "invalid", f"The profile is one of {name}, what is validated is a {type}")


def outcome(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """The issues as they are told: where there is no error, the last one says so."""
    found = tuple(issues)
    return found if has_error(found) else (*found, _ALL_OK)


def has_error(issues: Iterable[Issue]) -> bool:
    return any(issue.severity in ("error", "fatal") for issue in issues)


def _is_parameters(body: Resource, type: str) -> bool:
    """Of two readings, a Parameters that is validated itself is the one without a resource to validate."""
    if body.get("resourceType") != "Parameters":
        return False
    return type != "Parameters" or has_resource(body, "resource")


def _require_fitting(mode: str | None, id: str | None, *, has_resource: bool) -> None:
    if mode is not None and mode not in MODES:
        raise Invalid(f"`mode` is one of {', '.join(sorted(MODES))}")
    if id is None and mode in ("update", "delete", "profile"):
        raise Invalid(f"The mode {mode} is of one resource: [type]/[id]/$validate")
    if id is not None and mode == "create":
        raise Invalid("The mode create is of the type: [type]/$validate")
    if mode == "profile" and has_resource:
        raise Invalid("The mode profile is of what is stored: it has no resource in the request")
    if mode == "update" and not has_resource:
        raise Invalid("The mode update has the new state of the resource in the request")
    if id is None and not has_resource:
        raise Invalid("There is nothing to validate: a resource is wanted in the body")


def _is_beyond(name: str, type: str) -> bool:
    return name == "DomainResource" and type in _NO_DOMAIN_RESOURCES


def _unknown_profiles(resource: Resource) -> Iterator[Issue]:
    """What the resource claims to conform to and nobody here can judge."""
    meta = resource.get("meta")
    listed = meta.get("profile") if isinstance(meta, dict) else None
    for place, profile in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(profile, str) and _known(profile) is None:
            where = f"{resource.get('resourceType')}.meta.profile[{place}]"
            yield Issue("warning", "not-found", f"`{where}` is not known here: it was not judged", (where,))


def _known(profile: str) -> str | None:
    """The type that a base definition of R4's is of."""
    url, _, version = profile.partition("|")
    name = url.removeprefix(_STRUCTURES)
    is_ours = url.startswith(_STRUCTURES) and version in ("", FHIR_VERSION)
    return name if is_ours and (name in definitions().resource_types or name in _ABSTRACT) else None
