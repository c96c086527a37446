"""
$meta: the profiles, tags and security labels of a resource, a type, or all there is.

https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final

from fhir_server.operations.parameters import asked, returned
from fhir_server.r4.errors import Invalid
from fhir_server.r4.interaction import Parameters as Query
from fhir_server.r4.resource import Resource
from fhir_server.search.values.escaping import split, unescaped

LISTS: Final = ("profile", "security", "tag")
"""What the operations on Meta are about; the rest of it is the server's, or says where content is from."""

SEARCHED: Final = tuple(f"_{name}" for name in LISTS)
"""The search parameters of the lists."""


def meta_of(resource: Resource) -> Resource:
    """The answer about one resource: its Meta as it stands."""
    return returned("valueMeta", resource["meta"])


def meta_with(tokens: Mapping[str, Iterable[str]]) -> Resource:
    """The answer about many, from their search tokens: each value once; empty when there is none."""
    found: dict[str, list[Any]] = {}
    for name in LISTS:
        values = sorted(tokens[f"_{name}"])
        listed = [unescaped(value) for value in values] if name == "profile" else list(_codings(values))
        if listed:
            found[name] = listed
    return returned("valueMeta", found) if found else {"resourceType": "Parameters"}


def _codings(tokens: Iterable[str]) -> Iterator[dict[str, str]]:
    """Each coding has a token of its code alone, which is left out, and one with its system."""
    for token in tokens:
        match split(token, "|"):
            case [system, code]:
                named = {"system": unescaped(system), "code": unescaped(code)}
                yield {member: text for member, text in named.items() if text}


def require_nothing_asked(body: Resource | None, query: Query) -> None:
    """Raises Invalid for any parameter: $meta has none."""
    asked(body, query, frozenset())


def asked_meta(body: Resource | None, query: Query) -> Resource:
    """The Meta that $meta-add and $meta-delete are given. Raises Invalid when there is none."""
    meta = asked(body, query, frozenset(("meta",))).structure("meta")
    if meta is None:
        raise Invalid("The parameter `meta` is wanted, of type Meta")
    others = sorted(name for name in meta if name.removeprefix("_") not in LISTS)
    if others:
        raise Invalid(f"Of Meta only {', '.join(LISTS)} can be changed, not {', '.join(others)}")
    return meta


Column = list[tuple[Any, Any]]
"""A list of Meta: each value with what stands beside it in `_profile`, None for nothing."""


def column(meta: Resource, name: str) -> Column:
    """The list as it stands in `meta`."""
    values = meta.get(name, [])
    beside = meta.get(f"_{name}", [])
    return list(zip_longest(values, beside))


def with_columns(resource: Resource, columns: Mapping[str, Column]) -> Resource:
    """The resource with these lists in its Meta; an empty one is left out."""
    meta: dict[str, Any] = dict(resource.get("meta", {}))
    for name, listed in columns.items():
        for member, values in ((name, [one for one, _ in listed]), (f"_{name}", [one for _, one in listed])):
            meta.pop(member, None)
            if any(one is not None for one in values):
                meta[member] = values
    changed = {**resource, "meta": meta}
    if not meta:
        del changed["meta"]
    return changed


def identity(one: Any) -> object:
    """A profile is its canonical; a label or tag is its system and code, whatever its display."""
    return (one.get("system"), one.get("code")) if isinstance(one, Mapping) else one
