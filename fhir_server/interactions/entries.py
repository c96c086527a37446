"""
The entries of a batch or transaction Bundle: each names an interaction.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from fhir_server.interactions.capabilities import capabilities_from
from fhir_server.interactions.references import conditional
from fhir_server.r4.compartments import why_not_searched
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError, Invalid, Issue, Unprocessable, Unsupported
from fhir_server.r4.interaction import (
    PATCHES,
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Content,
    Create,
    Criteria,
    Delete,
    History,
    InBundle,
    Interaction,
    Patch,
    PatchKind,
    Read,
    Search,
    Update,
    Vread,
)
from fhir_server.r4.resource import Key, Resource
from fhir_server.r4.shaping import shape_of_one
from fhir_server.r4.validation import validate

Request = dict[str, str]

ETAG: Final = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"')
ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Asked(msgspec.Struct, frozen=True):
    """
    What one entry says around its resource.

    `request` has the members of Bundle.entry.request that name an interaction, None when there is
    no request. `resource_type` is None without a resource, empty when the resource does not say;
    `resource_id` is its id. `references` are those by criteria, each with its expression.
    """

    full_url: str | None
    request: Request | None
    resource_type: str | None
    resource_id: str | None = None
    references: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """
    Entry number `index` of the Bundle, and what it asks for; its resource stays in the Bundle.

    A `head` is answered without the resource.
    """

    index: int
    full_url: str | None
    interaction: Interaction
    head: bool = False

    @property
    def expression(self) -> str:
        return f"Bundle.entry[{self.index}]"


def asked(entry: Any) -> Asked:
    """What `entry` says, as far as it is an entry at all: `require_envelope` judges that."""
    if not isinstance(entry, dict):
        return Asked(None, None, None)
    request, resource, full_url = entry.get("request"), entry.get("resource"), entry.get("fullUrl")
    around = (
        full_url if isinstance(full_url, str) else None,
        {name: value for name, value in request.items() if name in _REQUEST and isinstance(value, str)}
        if isinstance(request, dict)
        else None,
    )
    if not isinstance(resource, dict):
        return Asked(*around, None)
    id = resource.get("id")
    return Asked(
        *around,
        str(resource.get("resourceType", "")),
        id if isinstance(id, str) else None,
        tuple(conditional(resource)),
    )


def without_resource(entry: Any) -> Any:
    """The entry around a resource that breaks no rule."""
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {**entry, "resource": {"resourceType": "Parameters"}}


def require_envelope(envelope: Resource) -> None:
    """
    A Bundle must be right around its resources; those are judged one by one later.

    Raises Unprocessable with each broken rule.
    """
    issues = [issue for issue in validate(envelope) if issue.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable("The Bundle breaks rules of FHIR R4", issues=issues)


def entry_of(index: int, asked: Asked, base_url: str) -> Entry:
    """The entry at `index`, which says `asked`. Raises Invalid or Unsupported naming the entry."""
    try:
        head = asked.request is not None and asked.request.get("method") == "HEAD"
        return Entry(index, asked.full_url, _interaction(index, asked, base_url), head)
    except FhirError as refusal:
        raise within(refusal, index) from refusal


def within(refusal: FhirError, index: int) -> FhirError:
    """The same refusal, its expressions those of the Bundle that its entry is in; to be asked once."""
    inside = f"Bundle.entry[{index}]"
    issues = [
        Issue(issue.severity, issue.code, issue.diagnostics, _inside(inside, issue.expression))
        for issue in refusal.issues
    ]
    return type(refusal)(str(refusal), issues=issues)


def _inside(inside: str, expressions: tuple[str, ...]) -> tuple[str, ...]:
    if not expressions:
        return (inside,)
    return tuple(
        f"{inside}.{expression}"
        if expression.startswith(("request", "fullUrl"))
        else f"{inside}.resource" + ("." + rest if (rest := expression.partition(".")[2]) else "")
        for expression in expressions
    )


def _interaction(index: int, asked: Asked, base_url: str) -> Interaction:
    request = asked.request
    if request is None:
        raise Invalid("The entry has no request", "request")
    for name in request.keys() - _HEARD.get(request["method"], _REQUEST) - {"method", "url"}:
        raise Invalid(f"`{name}` says nothing of a {request['method']}", f"request.{name}")
    path, _, query = _relative(request["url"], base_url).partition("?")
    steps = [unquote(step) for step in path.split("/") if step]
    match request["method"], steps, bool(query):
        case (("GET" | "HEAD"), _, _):
            return _get(steps, query, request)
        case "POST", [resource_type], False:
            return Create(
                _type(resource_type), _content(index, asked), _if_none_exist(resource_type, request)
            )
        case (("PUT" | "PATCH" | "DELETE"), [_], True):
            return _conditional(index, asked, request, criteria_in(_type(steps[0]), query))
        case "PUT", [_, _], False:
            return Update(_key(steps), _content(index, asked), _if_match(request), _if_absent(request))
        case "PATCH", [_, _], False:
            return Patch(_key(steps), "fhirpath", _content(index, asked), _if_match(request))
        case "DELETE", [_, _], False:
            return Delete(_key(steps), _if_match(request))
    raise Invalid("The address is not one for this method", "request.url")


def _conditional(index: int, asked: Asked, request: Request, criteria: Criteria) -> Interaction:
    if_match = _if_match(request)
    match request["method"]:
        case "PUT":
            return ConditionalUpdate(criteria, _content(index, asked), if_match, _if_absent(request))
        case "PATCH":
            return ConditionalPatch(criteria, "fhirpath", _content(index, asked), if_match)
        case _:
            return ConditionalDelete(criteria, if_match)


def criteria_in(resource_type: str, query: str) -> Criteria:
    """What stands behind the `?` of a conditional address."""
    try:
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise Invalid("The criteria are not UTF-8", "request.url") from error
    return Criteria(resource_type, tuple(pairs))


def _if_none_exist(resource_type: str, request: Request) -> Criteria | None:
    sought = request.get("ifNoneExist")
    return None if sought is None else criteria_in(resource_type, sought)


def patch_in(resource: Resource) -> tuple[PatchKind, Content]:
    """
    The patch that the resource of an entry is: Parameters, or a Binary with its media type.

    https://hl7.org/fhir/R4/http.html#patch
    """
    if resource.get("resourceType") == "Parameters":
        return "fhirpath", resource
    kind = PATCHES.get(str(resource.get("contentType", "")).partition(";")[0].strip())
    if resource.get("resourceType") != "Binary" or kind is None:
        raise Invalid("A PATCH holds Parameters, or a Binary with a JSON Patch or XML Patch", "resource")
    try:
        return kind, b64decode("".join(str(resource.get("data", "")).split()), validate=True)
    except ValueError as error:
        raise Invalid("The data of the Binary is not base64", "Binary.data") from error


def _get(steps: list[str], query: str, request: Request) -> Interaction:
    parameters = tuple(parse_qsl(query, keep_blank_values=True))
    match steps:
        case ["metadata"]:
            return capabilities_from(parameters)
        case []:
            return Search(None, parameters)
        case ["_history"]:
            return History(parameters=parameters)
        case [resource_type]:
            return Search(_type(resource_type), parameters)
        case [resource_type, "_history"]:
            return History(_type(resource_type), parameters=parameters)
        case [resource_type, id]:
            shape = shape_of_one(parameters, _type(resource_type))
            return Read(_key([resource_type, id]), _etag(request, "ifNoneMatch"), _since(request), shape)
        case [resource_type, id, "*"]:
            return Search(None, parameters, compartment=_compartment([resource_type, id], None))
        case [resource_type, id, type] if not type.startswith(("_", "$")):
            return Search(type, parameters, compartment=_compartment([resource_type, id], type))
        case [resource_type, id, "_history"]:
            return History(_type(resource_type), id, parameters)
        case [resource_type, id, "_history", version]:
            shape = shape_of_one(parameters, _type(resource_type))
            return Vread(_key([resource_type, id]), version, shape)
    raise Invalid("The address is not one for this method", "request.url")


def _relative(address: str, base_url: str) -> str:
    return address.removeprefix(base_url).lstrip("/")


def _type(name: str) -> str:
    if name not in definitions().resource_types:
        raise Invalid(f"`{name[:64]}` is not a resource type of R4", "request.url")
    return name


def _key(steps: list[str]) -> Key:
    if not ID.fullmatch(steps[1]):
        raise Invalid("The id in the address is not a FHIR id", "request.url")
    return Key(_type(steps[0]), steps[1])


def _compartment(steps: list[str], type: str | None) -> Key:
    key = _key(steps)
    if told := why_not_searched(key.type, type and _type(type)):
        raise Invalid(told, "request.url")
    return key


def _content(index: int, asked: Asked) -> InBundle:
    if asked.resource_type is None:
        raise Invalid("The entry has no resource", "resource")
    return InBundle(index)


def _if_match(request: Request) -> str | None:
    return _etag(request, "ifMatch")


def _if_absent(request: Request) -> bool:
    """A PUT that writes only what is new."""
    if "ifNoneMatch" not in request:
        return False
    if request["ifNoneMatch"] != "*":
        raise Unsupported("`ifNoneMatch` of an update can only be *", "request.ifNoneMatch")
    return True


def _etag(request: Request, name: str) -> str | None:
    if name not in request:
        return None
    match = ETAG.fullmatch(request[name])
    if match is None:
        raise Invalid(f'`{name}` is not an ETag such as W/"1"', f"request.{name}")
    return match[1]


def _since(request: Request) -> datetime | None:
    stated = request.get("ifModifiedSince")
    try:
        return None if stated is None else datetime.fromisoformat(stated)
    except ValueError as error:
        # A leap second is an instant of FHIR's and no time of Python's.
        raise Invalid("`ifModifiedSince` is not a time that there was", "request.ifModifiedSince") from error


_HEARD: Final[Mapping[str, frozenset[str]]] = {
    "GET": frozenset({"ifNoneMatch", "ifModifiedSince"}),
    "HEAD": frozenset({"ifNoneMatch", "ifModifiedSince"}),
    "POST": frozenset({"ifNoneExist"}),
    "PUT": frozenset({"ifMatch", "ifNoneMatch"}),
    "PATCH": frozenset({"ifMatch"}),
    "DELETE": frozenset({"ifMatch"}),
}
"""The conditions that each method knows."""
_REQUEST: Final = frozenset({"method", "url", "ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist"})
