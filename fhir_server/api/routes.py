"""
The addresses of the FHIR API, one line each, and what each one names.

A route names an interaction and hands it on; it decides nothing. The table is also what the
CapabilityStatement's tests and the test that walks all routes read.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fhir_server.api.binary import uploaded
from fhir_server.api.request import Request
from fhir_server.interactions.registered import SystemInteraction, TypeInteraction
from fhir_server.operations import OPERATIONS, Level, Registered
from fhir_server.r4.compartments import why_not_searched
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import MethodNotAllowed, NotFound, Unsupported
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Content,
    Create,
    Criteria,
    Delete,
    History,
    Interaction,
    Operation,
    Patch,
    Read,
    Search,
    Submission,
    Update,
    Vread,
)
from fhir_server.r4.resource import Key

Build = Callable[[Request, tuple[str, ...]], Awaitable[Interaction]]


@dataclass(frozen=True, slots=True)
class Route:
    """
    `template` is relative to the base; `{...}` stands for one step of the path.

    `serves` are FHIR's codes of the interactions that are here; `conditional` says that there may
    be criteria beside them, in the query or in a header.
    """

    method: str
    template: str
    build: Build
    serves: tuple[TypeInteraction | SystemInteraction, ...]
    conditional: bool = False


_OF_OTHERS: Final = ("if-none-match", "if-none-exist")
"""Conditions that neither a patch nor a delete knows."""


async def _read(request: Request, steps: tuple[str, ...]) -> Interaction:
    key = _key(steps)
    return Read(key, request.if_none_match, request.if_modified_since, request.shape_of(key.type))


async def _vread(request: Request, steps: tuple[str, ...]) -> Interaction:
    key = _key(steps)
    return Vread(key, steps[3], request.shape_of(key.type))


async def _create(request: Request, steps: tuple[str, ...]) -> Interaction:
    request.refuse_conditions("if-match", "if-none-match")
    resource_type, sought = _type(steps), request.if_none_exist
    criteria = None if sought is None else Criteria(resource_type, sought)
    return Create(resource_type, await _content(request, resource_type), criteria)


async def _update(request: Request, steps: tuple[str, ...]) -> Interaction:
    if_absent = _if_absent(request)
    key = _key(steps)
    content = await _content(request, key.type, key.id)
    return Update(key, content, request.if_match, if_absent)


def _if_absent(request: Request) -> bool:
    """An update that writes only what is new."""
    request.refuse_conditions("if-none-exist")
    if_none_match = request.if_none_match
    if if_none_match not in (None, "*"):
        raise Unsupported("If-None-Match of an update can only be *")
    return if_none_match == "*"


async def _content(request: Request, resource_type: str, id: str | None = None) -> Content:
    if resource_type == "Binary":
        return await uploaded(request, id)
    return await request.content()


async def _conditional_update(request: Request, steps: tuple[str, ...]) -> Interaction:
    if_absent = _if_absent(request)
    criteria = _criteria(request, steps)
    return ConditionalUpdate(criteria, await request.content(), request.if_match, if_absent)


async def _patch(request: Request, steps: tuple[str, ...]) -> Interaction:
    request.refuse_conditions(*_OF_OTHERS)
    key = _key(steps)
    return Patch(key, *await request.patch(), request.if_match)


async def _conditional_patch(request: Request, steps: tuple[str, ...]) -> Interaction:
    request.refuse_conditions(*_OF_OTHERS)
    criteria = _criteria(request, steps)
    return ConditionalPatch(criteria, *await request.patch(), request.if_match)


async def _delete(request: Request, steps: tuple[str, ...]) -> Interaction:
    request.refuse_conditions(*_OF_OTHERS)
    return Delete(_key(steps), request.if_match)


async def _conditional_delete(request: Request, steps: tuple[str, ...]) -> Interaction:
    request.refuse_conditions(*_OF_OTHERS)
    return ConditionalDelete(_criteria(request, steps), request.if_match)


def _criteria(request: Request, steps: tuple[str, ...]) -> Criteria:
    return Criteria(_type(steps), request.criteria)


async def _search(request: Request, steps: tuple[str, ...]) -> Interaction:
    return Search(_type(steps) if steps else None, request.parameters, request.handling)


async def _search_by_post(request: Request, steps: tuple[str, ...]) -> Interaction:
    resource_type = _type(steps) if len(steps) > 1 else None
    return Search(resource_type, (*request.parameters, *await request.form()), request.handling)


async def _search_compartment(request: Request, steps: tuple[str, ...]) -> Interaction:
    compartment, type = _compartment(steps)
    return Search(type, request.parameters, request.handling, compartment)


async def _search_compartment_by_post(request: Request, steps: tuple[str, ...]) -> Interaction:
    compartment, type = _compartment(steps[:-1])
    parameters = (*request.parameters, *await request.form())
    return Search(type, parameters, request.handling, compartment)


async def _history(request: Request, steps: tuple[str, ...]) -> Interaction:
    match steps[:-1]:
        case ():
            return History(parameters=request.parameters)
        case (resource_type,):
            return History(_type((resource_type,)), parameters=request.parameters)
        case _:
            key = _key(steps)
            return History(key.type, key.id, request.parameters)


async def _bundle(request: Request, _steps: tuple[str, ...]) -> Interaction:
    return Submission(*await request.text(), request.prefer.get("return"))


def _operation(operation: Registered) -> Build:
    async def build(request: Request, steps: tuple[str, ...]) -> Interaction:
        address = steps[:-1]
        type = _type(address) if address else None
        id = _key(address).id if len(address) > 1 else None
        parameters, if_match = request.parameters, request.if_match
        content = await request.content_if_any() if request.method == "POST" else None
        affects_state = operation.affects_state
        return Operation(operation.name, type, id, content, parameters, if_match, affects_state)

    return build


_AT_LEVEL: Final[Mapping[Level, str]] = {"system": "", "type": "{type}/", "instance": "{type}/{id}/"}


def _of_operations() -> Iterator[Route]:
    for operation in OPERATIONS.values():
        for level in operation.levels:
            for method in operation.methods(level):
                yield Route(method, f"{_AT_LEVEL[level]}${operation.name}", _operation(operation), ())


ROUTES: Final = (
    Route("GET", "", _search, ("search-system",)),
    Route("POST", "", _bundle, ("transaction", "batch")),
    Route("POST", "_search", _search_by_post, ("search-system",)),
    Route("GET", "_history", _history, ("history-system",)),
    Route("GET", "{type}", _search, ("search-type",)),
    Route("POST", "{type}", _create, ("create",), conditional=True),
    Route("PUT", "{type}", _conditional_update, ("update",), conditional=True),
    Route("PATCH", "{type}", _conditional_patch, ("patch",), conditional=True),
    Route("DELETE", "{type}", _conditional_delete, ("delete",), conditional=True),
    Route("POST", "{type}/_search", _search_by_post, ("search-type",)),
    Route("GET", "{type}/_history", _history, ("history-type",)),
    Route("GET", "{type}/{id}", _read, ("read",), conditional=True),
    Route("PUT", "{type}/{id}", _update, ("update",)),
    Route("PATCH", "{type}/{id}", _patch, ("patch",)),
    Route("DELETE", "{type}/{id}", _delete, ("delete",)),
    Route("GET", "{type}/{id}/_history", _history, ("history-instance",)),
    Route("GET", "{type}/{id}/_history/{vid}", _vread, ("vread",)),
    Route("POST", "{compartment}/{id}/_search", _search_compartment_by_post, ("search-system",)),
    Route("GET", "{compartment}/{id}/*", _search_compartment, ("search-system",)),
    Route("POST", "{compartment}/{id}/*/_search", _search_compartment_by_post, ("search-system",)),
    Route("GET", "{compartment}/{id}/{type}", _search_compartment, ("search-type",)),
    Route("POST", "{compartment}/{id}/{type}/_search", _search_compartment_by_post, ("search-type",)),
    *_of_operations(),
)

SMART_CONFIGURATION: Final = ".well-known/smart-configuration"
DISCOVERY: Final = frozenset({SMART_CONFIGURATION, ".well-known/openid-configuration"})

PUBLIC: Final = DISCOVERY | {"metadata"}
"""Addresses that need no token. Everything else names an interaction that does."""


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """
    The route of a path below the base, and the path's steps.

    Raises NotFound for an address that is none, MethodNotAllowed for a method it does not have.
    """
    steps, routes = _at(path)
    route = routes.get("GET" if method == "HEAD" else method)
    if route is None:
        allowed = _allowed(routes)
        told = f"`{method[:16]}` is not for this address, which has {', '.join(allowed)}"
        raise MethodNotAllowed(told, allowed=allowed)
    return route, steps


def allowed_at(path: str) -> tuple[str, ...]:
    """The methods of a path below the base. Raises NotFound for an address that is none."""
    steps, routes = _at(path)
    if steps and not steps[0].startswith("_"):
        _type(steps)
    if any(route.template.startswith("{compartment}") for route in routes.values()):
        _compartment(steps[:-1] if steps[-1] == "_search" else steps)
    return _allowed(routes)


def _at(path: str) -> tuple[tuple[str, ...], Mapping[str, Route]]:
    """The steps of a path and what is there, by method."""
    steps = tuple(unquote(step) for step in path.split("/")) if path else ()
    routes = _BY_SHAPE.get(tuple(step if step[:1] in ("_", "$") or step == "*" else "{}" for step in steps))
    if routes is None:
        if steps and steps[-1].startswith("$"):
            raise NotFound(f"There is no operation `{steps[-1][:64]}` at this address")
        raise NotFound("There is nothing at this address")
    return steps, routes


def _allowed(routes: Mapping[str, Route]) -> tuple[str, ...]:
    also = ("HEAD", "OPTIONS") if "GET" in routes else ("OPTIONS",)
    return tuple(sorted((*routes, *also)))


def _shape(template: str) -> tuple[str, ...]:
    if not template:
        return ()
    return tuple("{}" if step.startswith("{") else step for step in template.split("/"))


_BY_SHAPE: Final[dict[tuple[str, ...], dict[str, Route]]] = {}
for _route in ROUTES:
    _BY_SHAPE.setdefault(_shape(_route.template), {})[_route.method] = _route


def _type(steps: tuple[str, ...]) -> str:
    if steps[0] not in definitions().resource_types:
        raise NotFound(f"`{steps[0][:64]}` is not a resource type of R4")
    return steps[0]


def _key(steps: tuple[str, ...]) -> Key:
    resource_type, id = _type(steps), steps[1]
    if not is_id(id):
        raise NotFound("The id in the address is not a FHIR id")
    return Key(resource_type, id)


def _compartment(steps: tuple[str, ...]) -> tuple[Key, str | None]:
    """Whose compartment, and the type that is searched in it: None for all."""
    key = _key(steps)
    type = None if steps[2:] in ((), ("*",)) else _type(steps[2:])
    if told := why_not_searched(key.type, type):
        raise NotFound(told)
    return key, type


def is_id(text: str) -> bool:
    """https://hl7.org/fhir/R4/datatypes.html#id"""
    return 0 < len(text) <= 64 and text.isascii() and text.replace("-", "").replace(".", "").isalnum()
