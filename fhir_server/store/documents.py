"""
A version as a document of the collections `resources` (current) and `history` (superseded).

* `_id`  `Type/id`; in `history` `Type/id/0000000007`, so that versions sort by number
* `ty` type, `n` version number, `t` lastUpdated (ms since 1970), `m` method, `seq` sequence
* `body` the JSON as it goes on the wire; absent for a tombstone, and for a large one, which has
  its `size` instead (bodies.py)
* `tok` tokens, `rng` ranges as {p, lo, hi} (quantities with u, their units), `d` clinical date
* `in` the contained resources, absent without any: of each its type `ty`, its `id`, `tok`, `rng` and `geo` as
  here, and `as`, the names under which the resource refers to it
* `geo` where a Location is, as GeoJSON has it: longitude first
* `wrd` words (fhir_server/search/values/words.py), absent without any
* `dx` where the clinical date is no moment: it lasts longer than a day, has no beginning or no end, or
  there are several (search/asking/window.py)
* `pt` the patient when there is exactly one. MongoDB cannot index two arrays in one index, so
  when there are several they stand in `pts`, and as tokens `@<patient>` at the end of `tok`
* `more` when there are too many tokens, words or patients for one document: about the bytes of those that
  stand in documents of their own (overflow.py); read back, all of them are in `whole`. A tombstone
  has them where the version that it deleted has them: `of` is the number of that one
* `was` the entry that a tombstone deleted, in no index; its `tok` is `~deleted` (and the `@`
  tokens), so no search finds it and history can judge who may know of it
* `ce` in Consents: the epoch in which this version was committed (epoch.py)
* `e` in `history`: when the version was superseded (ms)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson.decimal128 import Decimal128

from fhir_server.r4.resource import Key
from fhir_server.search.asking.window import clinical_date_of, is_short
from fhir_server.search.predicates.entry import DELETED, Bound, Contained, Entry, Point, Range
from fhir_server.search.predicates.version import Version

Document = dict[str, Any]

PATIENT_PREFIX: Final = "@"
WITHOUT_TOKENS: Final = {"tok": 0, "wrd": 0, "rng": 0, "in": 0, "was": 0}
"""The projection for who judges a version by its patients alone."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def document(version: Version) -> Document:
    """`version` as the current one."""
    entry = version.entry
    fields: Document = {
        "_id": f"{version.key.type}/{version.key.id}",
        "ty": version.key.type,
        "n": version.number,
        "t": milliseconds(version.last_updated),
        "seq": version.sequence,
        "m": version.method,
    }
    tokens = list(entry.tokens)
    if version.body is None:
        fields["was"] = {"tok": tokens, "rng": _ranges(entry), **_scalars(entry)}
        if entry.words:
            fields["was"]["wrd"] = list(entry.words)
        tokens = [DELETED]
    else:
        fields["body"] = version.body
        if entry.words:
            fields["wrd"] = list(entry.words)
        if entry.ranges:
            fields["rng"] = _ranges(entry)
        fields |= _scalars(entry)
        if entry.contained:
            fields["in"] = [_contained(inner) for inner in entry.contained]
        if _lasts(version):
            fields["dx"] = True
    if len(entry.patients) == 1:
        fields["pt"] = entry.patients[0]
    elif entry.patients:
        fields["pts"] = list(entry.patients)
        tokens += [PATIENT_PREFIX + patient for patient in entry.patients]
    fields["tok"] = tokens
    return fields


def superseded(current: Mapping[str, Any], ended: datetime) -> Document:
    """The document for `history` of a version that another one takes the place of."""
    fields = dict(current)
    fields["_id"] = history_id(current["_id"], current["n"])
    fields["e"] = milliseconds(ended)
    fields.pop("ce", None)
    if "size" in fields:
        # The text stays where it is, under the version's number.
        fields.pop("body", None)
    fields.pop("whole", None)
    return fields


def version(fields: Mapping[str, Any]) -> Version:
    """What a document of either collection says; without tokens where they were not fetched."""
    type, id, *_ = fields["_id"].split("/")
    return Version(
        Key(type, id),
        fields["n"],
        moment(fields["t"]),
        fields.get("body"),
        _entry(fields, fields.get("was", fields)),
        fields["seq"],
        fields["m"],
    )


def history_id(key: str, number: int) -> str:
    """The `_id` of a superseded version."""
    return f"{key}/{number:010d}"


def key_of(fields: Mapping[str, Any]) -> str:
    """`Type/id` of a document of either collection."""
    return "/".join(fields["_id"].split("/")[:2])


def milliseconds(moment: datetime) -> int:
    """Since 1970; what is below a millisecond is cut off, as `instant` does."""
    return (moment - EPOCH) // MILLISECOND


def moment(milliseconds: int) -> datetime:
    """The time so many milliseconds after 1970."""
    return EPOCH + milliseconds * MILLISECOND


def in_utc(fields: Document) -> Document:
    """The same, its times with the zone that they are in: the driver leaves it out."""
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


def _scalars(entry: Entry) -> Document:
    """What an entry has at most one of, where it has it."""
    fields: Document = {}
    if entry.clinical_date is not None:
        fields["d"] = entry.clinical_date
    if entry.point is not None:
        fields["geo"] = {"type": "Point", "coordinates": coordinates(entry.point)}
    return fields


def _contained(inner: Contained) -> Document:
    fields: Document = {"ty": inner.key.type, "id": inner.key.id, "tok": list(inner.entry.tokens)}
    if inner.entry.ranges:
        fields["rng"] = _ranges(inner.entry)
    if inner.referred_to_as:
        fields["as"] = list(inner.referred_to_as)
    return fields | _scalars(inner.entry)


def coordinates(point: Point) -> list[float]:
    """As GeoJSON has them."""
    return [point.longitude, point.latitude]


def _point(fields: Mapping[str, Any]) -> Point:
    longitude, latitude = fields["coordinates"]
    return Point(latitude, longitude)


def _lasts(version: Version) -> bool:
    """Has it a clinical date that is more than the moment it is sorted by?"""
    name, entry = clinical_date_of(version.key.type), version.entry
    dates = [found for found in entry.ranges if found.parameter == name] if name else []
    return bool(dates) and not (is_short(dates) and dates[0].low == entry.clinical_date)


def _ranges(entry: Entry) -> list[Document]:
    return [_range(item) for item in entry.ranges]


def _range(item: Range) -> Document:
    fields: Document = {"p": item.parameter, "lo": bound(item.low), "hi": bound(item.high)}
    if item.units:
        fields["u"] = list(item.units)
    return fields


def bound(value: Bound) -> int | Decimal128:
    """An end of a range as the database compares it."""
    return value if isinstance(value, int) else Decimal128(value)


def _bound(value: Any) -> Bound:
    """The driver gives 64-bit numbers as a class of its own, and decimals too."""
    return value.to_decimal() if isinstance(value, Decimal128) else int(value)


def own_tokens(fields: Mapping[str, Any]) -> list[str]:
    """The tokens of the entry, a tombstone's too; without those that name the patients."""
    if "was" in fields:
        return list(fields["was"]["tok"])
    tokens = list(fields.get("tok", ()))
    return tokens[: len(tokens) - len(fields.get("pts", ()))]


def _entry(fields: Mapping[str, Any], index: Mapping[str, Any]) -> Entry:
    if "whole" in fields:
        tokens, patients, words = fields["whole"]
    else:
        tokens, words = own_tokens(fields), index.get("wrd", ())
        patients = (fields["pt"],) if "pt" in fields else fields.get("pts", ())
    date = index.get("d")
    return Entry(
        tuple(tokens),
        _read_ranges(index),
        tuple(patients),
        None if date is None else int(date),
        _point(index["geo"]) if "geo" in index else None,
        tuple(words),
        tuple([_within(inner) for inner in fields.get("in", ())]),
    )


def _within(fields: Mapping[str, Any]) -> Contained:
    entry = Entry(
        tuple(fields["tok"]),
        _read_ranges(fields),
        point=_point(fields["geo"]) if "geo" in fields else None,
    )
    return Contained(Key(fields["ty"], fields["id"]), entry, tuple(fields.get("as", ())))


def _read_ranges(fields: Mapping[str, Any]) -> tuple[Range, ...]:
    return tuple(
        [
            Range(item["p"], _bound(item["lo"]), _bound(item["hi"]), tuple(item.get("u", ())))
            for item in fields.get("rng", ())
        ]
    )
