"""
What is in a file becomes shipments.

* A transaction or batch Bundle is passed on as its very bytes, unless `update` asks for a change.
* A collection or searchset is opened: its entries become a group, or one transaction when they
  refer to each other by names that hold within one Bundle only (`urn:uuid`).
* Any other resource is put under its id, or created when it has none; a document or a message is
  such a resource, not a parcel.

Only as much is parsed as has to be known. What has to be taken apart goes through `from_text`, so
that numbers stay as they were written and a key that stands twice is refused, not dropped.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from fhir_server.commands.load.shipments import (
    Entry,
    Group,
    Shipment,
    Unloadable,
    Whole,
    grouped,
    transaction,
)
from fhir_server.r4.errors import FhirError
from fhir_server.r4.resource import from_text, to_text

SENT_AS_THEY_ARE: Final = ("transaction", "batch")
COLLECTIONS: Final = ("collection", "searchset")
RESOURCES_THEMSELVES: Final = ("document", "message")
ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")


def shipments_of_document(text: bytes, *, update: bool) -> Iterator[Shipment | Unloadable]:
    """What is to be sent of one JSON document: a Bundle of any type, or another resource."""
    return grouped(_items(text, "", update=update))


def shipments_of_lines(
    lines: Iterable[tuple[int, bytes]], *, update: bool
) -> Iterator[Shipment | Unloadable]:
    """What is to be sent of NDJSON, whose lines are resources or Bundles."""
    return grouped(item for number, text in lines for item in _items(text, f"line {number}", update=update))


class _Request(msgspec.Struct):
    method: str = ""
    url: str = ""
    if_none_exist: str | None = msgspec.field(default=None, name="ifNoneExist")


class _Identified(msgspec.Struct):
    id: str | None = None


class _BundleEntry(msgspec.Struct):
    request: _Request = msgspec.field(default_factory=_Request)
    resource: _Identified | None = None

    @property
    def creates_what_has_an_id(self) -> bool:
        # A conditional create changes nothing the second time already, and has no PUT of its kind.
        created = self.request.method == "POST" and self.request.if_none_exist is None
        return created and self.resource is not None and self.resource.id is not None

    @property
    def key(self) -> str | None:
        return None if self.request.method in ("POST", "GET", "HEAD") else self.request.url.removeprefix("/")

    @property
    def repeatable(self) -> bool:
        return self.request.method != "POST" or self.request.if_none_exist is not None


class _Head(msgspec.Struct):
    """As much of a resource as decides what becomes of it; the rest is skipped, not parsed."""

    type: Any = None
    id: str | None = None
    resource_type: str = msgspec.field(default="", name="resourceType")


class _Entries(msgspec.Struct):
    entry: list[_BundleEntry] = msgspec.field(default_factory=list)


_HEAD: Final = msgspec.json.Decoder(_Head)
_ENTRIES: Final = msgspec.json.Decoder(_Entries)


def _items(text: bytes, place: str, *, update: bool) -> Iterator[Entry | Whole | Unloadable]:
    try:
        head = _HEAD.decode(text)
        if not TYPE.fullmatch(head.resource_type):
            yield Unloadable(place, "It is JSON without a `resourceType`")
        elif head.resource_type == "Bundle" and head.type in SENT_AS_THEY_ARE:
            yield from _transaction(text, head.type, place, update=update)
        elif head.resource_type == "Bundle" and head.type in COLLECTIONS:
            yield from _collection(from_text(text), place)
        elif head.resource_type == "Bundle" and head.type not in RESOURCES_THEMSELVES:
            yield Unloadable(place, "A Bundle of this type holds nothing to load")
        else:
            yield _entry(place, head.resource_type, head.id, text)
    except msgspec.MsgspecError as error:
        yield Unloadable(place, str(error))
    except UnicodeDecodeError:
        yield Unloadable(place, "It is not UTF-8")
    except RecursionError:
        yield Unloadable(place, "It is nested too deep")
    except FhirError as error:
        yield Unloadable(place, str(error))


def _entry(place: str, type: str, id: Any, text: bytes, full_url: str | None = None) -> Entry:
    """A resource that has an id is put there; one that has none is created."""
    key = _key({"resourceType": type, "id": id})
    return (
        Entry(place, "POST", type, text, full_url)
        if key is None
        else Entry(place, "PUT", key, text, full_url)
    )


def _key(resource: Mapping[str, Any]) -> str | None:
    match resource:
        case {"resourceType": str(type), "id": str(id)} if TYPE.fullmatch(type) and ID.fullmatch(id):
            return f"{type}/{id}"
        case _:
            return None


def _transaction(text: bytes, type: str, place: str, *, update: bool) -> Iterator[Whole]:
    entries = _ENTRIES.decode(text).entry
    if update and any(entry.creates_what_has_an_id for entry in entries):
        text = to_text(_with_puts(from_text(text)))
        entries = _ENTRIES.decode(text).entry
    if entries:
        yield Whole(
            body=text,
            type=type,
            resources=len(entries),
            keys=frozenset(entry.key for entry in entries if entry.key is not None),
            repeatable=all(entry.repeatable for entry in entries),
            place=place,
        )


def _with_puts(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**bundle, "entry": [_with_put(entry) for entry in bundle["entry"]]}


def _with_put(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry with its POST made a PUT; fullUrl stays, so that references to it still resolve."""
    request = entry.get("request", {})
    key = _key(entry.get("resource", {}))
    if request.get("method") != "POST" or "ifNoneExist" in request or key is None:
        return entry
    return {**entry, "request": {**request, "method": "PUT", "url": key}}


def _collection(bundle: Mapping[str, Any], place: str) -> Iterator[Entry | Whole | Unloadable]:
    entries: list[Entry] = []
    for index, entry in enumerate(_listed(bundle.get("entry"))):
        where = f"{place} entry[{index}]".lstrip()
        match entry:
            case {"search": {"mode": "outcome"}}:
                continue  # What the answering server had to say about the search; not data.
            case {"resource": {"resourceType": str(type)} as resource} if TYPE.fullmatch(type):
                name = entry.get("fullUrl")
                entries.append(_entry(where, type, resource.get("id"), to_text(resource), name))
            case _:
                yield Unloadable(where, "The entry holds no resource")
    if any(str(entry.full_url).startswith("urn:") for entry in entries):
        yield _tied(Group(tuple(entries)), place)
    else:
        yield from entries


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _tied(group: Group, place: str) -> Whole:
    """The group as a transaction that must not be divided."""
    return Whole(
        body=transaction(group.entries),
        type=group.type,
        resources=group.resources,
        keys=group.keys,
        repeatable=group.repeatable,
        place=place,
    )
