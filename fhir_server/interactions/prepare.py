"""
From the client's JSON to what will be stored: judged, given its identity, indexed.

The JSON is not rebuilt: each value is written as it was read. Only `id`, `meta.versionId` and
`meta.lastUpdated` are the server's; the last two are known when the write commits, so the
text is prepared in three parts with room for them.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec
from msgspec import structs

from fhir_server.interactions.references import conditional
from fhir_server.r4.errors import Invalid, Issue, TooLarge, Unprocessable
from fhir_server.r4.interaction import Content, InBundle
from fhir_server.r4.resource import Key, Resource, from_text, to_text
from fhir_server.r4.validation import validate
from fhir_server.search.declared.catalogue import in_force
from fhir_server.search.declared.declaring import TYPE as SEARCH_PARAMETER
from fhir_server.search.declared.declaring import require_declarable
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version, instant
from fhir_server.search.values.words import FullText

Parts = tuple[bytes, bytes, bytes]

_BY_CRITERIA: Final = re.compile(rb'"reference":"[^"?]*\?')
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Prepared(msgspec.Struct, frozen=True, array_like=True):
    """
    A resource ready to be written; `parts` joined by version number and instant is its text.

    It belongs where what it `follows` belongs: the targets of a Provenance, a Binary's context.
    `warnings` are the rules that it breaks and that refuse nothing. `indexed` says by which search
    parameters its entry was made: the epoch of the catalogue (fhir_server/search/declared/catalogue.py).
    """

    key: Key
    parts: Parts
    entry: Entry
    follows: tuple[str, ...] = ()
    warnings: tuple[Issue, ...] = ()
    indexed: int = 0

    def proposed(self) -> Version:
        """The version it would become, for judging whether it may."""
        return Version(self.key, 0, _EPOCH, b"", self.entry, "")

    def in_compartments_of(self, patients: tuple[str, ...]) -> Prepared:
        """The same, also in the compartments of these patients."""
        if not patients:
            return self
        together = tuple(dict.fromkeys((*self.entry.patients, *patients)))
        return structs.replace(self, entry=structs.replace(self.entry, patients=together))


def parsed(content: Content) -> Resource:
    """The resource of a request. Raises Invalid when its text is no JSON object."""
    assert not isinstance(content, InBundle), "the Bundle prepares what it holds"
    return from_text(content) if isinstance(content, bytes) else content


def require_id(resource: Resource, key: Key) -> None:
    """The body of an update must carry the id it is put under. Raises Invalid."""
    if resource.get("id") != key.id:
        raise Invalid("The id in the body is not the id in the address", f"{key.type}.id")


def prepare(
    resource: Resource,
    key: Key,
    *,
    base_url: str,
    zone: tzinfo,
    resource_bytes_max: int,
    full_text: FullText = "off",
) -> Prepared:
    """
    Judge `resource` and make it ready to be stored as `key`.

    Dates that state no zone are in `zone`; of its words is kept what `full_text` says.

    Raises Invalid when it is not of the type that was addressed, Unprocessable with each
    broken rule, TooLarge beyond `resource_bytes_max`.
    """
    if resource.get("resourceType") != key.type:
        raise Invalid(f"The body is not a {key.type}", "resourceType")
    issues = validate(resource)
    if any(issue.severity in ("error", "fatal") for issue in issues):
        raise Unprocessable(f"The {key.type} breaks rules of FHIR R4", issues=issues)
    parts = with_identity(resource, key.id)
    size = sum(map(len, parts))
    if size > resource_bytes_max:
        raise TooLarge(f"The resource has {size} bytes, the limit is {resource_bytes_max}", key.type)
    _require_resolved(resource, parts)
    catalogue = in_force()
    if key.type == SEARCH_PARAMETER:
        require_declarable(resource, key.id, catalogue)
    entry = extract(resource, key, base_url=base_url, zone=zone, full_text=full_text)
    prepared = Prepared(key, parts, entry, tuple(_followed(resource)), issues, catalogue.indexed)
    return prepared.in_compartments_of(tuple(_patients_within(resource, base_url)))


def indexed_anew(prepared: Prepared, *, base_url: str, zone: tzinfo) -> Prepared:
    """
    The same by the search parameters that are in force now; its words, and whose it is, stay.

    Raises Unprocessable for a SearchParameter that could not be one of them.
    """
    catalogue = in_force()
    head, middle, tail = prepared.parts
    resource = from_text(b"".join((head, b"1", middle, instant(_EPOCH).encode(), tail)))
    if prepared.key.type == SEARCH_PARAMETER:
        require_declarable(resource, prepared.key.id, catalogue)
    entry = extract(resource, prepared.key, base_url=base_url, zone=zone)
    entry = structs.replace(entry, patients=prepared.entry.patients, words=prepared.entry.words)
    return structs.replace(prepared, entry=entry, indexed=catalogue.indexed)


def _require_resolved(resource: Resource, parts: Parts) -> None:
    """
    A reference by criteria leads nowhere once it is stored: a transaction has resolved its own.

    Raises Unprocessable for one that is left. What a Bundle or Parameters holds is left alone: it may
    be meant to be submitted somewhere.
    """
    if resource["resourceType"] in ("Bundle", "Parameters") or not any(map(_BY_CRITERIA.search, parts)):
        return
    for _, expression in conditional(resource):
        told = "A reference by criteria is resolved in a transaction, and cannot be stored"
        raise Unprocessable(told, expression)


def _followed(resource: Resource) -> list[str]:
    match resource["resourceType"]:
        case "Provenance":
            listed = resource.get("target", ())
        case "Binary":
            listed = [resource.get("securityContext", {})]
        case _:
            return []
    return [target["reference"] for target in listed if "reference" in target]


def _patients_within(container: Resource, base_url: str) -> Iterator[str]:
    """The patients of the resources that a Bundle or Parameters holds, at any depth."""
    for held in _held(container):
        key = Key(held["resourceType"], held.get("id", ""))
        yield from filter(None, extract(held, key, base_url=base_url).patients)
        yield from _patients_within(held, base_url)


def _held(container: Resource) -> Iterator[Resource]:
    match container["resourceType"]:
        case "Bundle":
            parts = container.get("entry", ())
        case "Parameters":
            parts = [*_nested(container.get("parameter", ()))]
        case _:
            return
    for part in parts:
        if "resource" in part:
            yield part["resource"]


def _nested(parameters: Iterable[Resource]) -> Iterator[Resource]:
    for parameter in parameters:
        yield parameter
        yield from _nested(parameter.get("part", ()))


def with_identity(resource: Resource, id: str) -> Parts:
    """The JSON text around the version number and the instant; client's members keep their order."""
    before: list[bytes] = []
    after: list[bytes] = []
    meta: dict[str, Any] = dict(resource.get("meta") or {})
    for name in ("versionId", "lastUpdated", "_versionId", "_lastUpdated"):
        meta.pop(name, None)
    members = before
    for name, value in resource.items():
        if name == "resourceType":
            members.append(b'"resourceType":' + to_text(value))
            if "id" not in resource:
                members.append(b'"id":' + to_text(id))
            if "meta" not in resource and "id" not in resource:
                members = after
        elif name == "id":
            members.append(b'"id":' + to_text(id))
            if "meta" not in resource:
                members = after
        elif name == "meta":
            members = after
        else:
            members.append(to_text(name) + b":" + to_text(value))
    opened = to_text(meta)[:-1] + (b"," if meta else b"")
    head = b"{" + b",".join([*before, b'"meta":' + opened + b'"versionId":"'])
    tail = b'"' + b",".join([b"}", *after]) + b"}"
    return head, b'","lastUpdated":"', tail
