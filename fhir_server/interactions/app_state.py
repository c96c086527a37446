"""
What a write of app state must keep, beside being the caller's to make.

It is created by POST alone; update and delete name the version that they mean; its subject and code stay, and
what was deleted stays so. Each of these is a precondition: 412.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html#managing-app-state-cruds
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fhir_server.interactions.prepare import Prepared
from fhir_server.policy.app_state import SUBJECT_TYPES, TYPE, Share
from fhir_server.r4.errors import Issue, TooLarge, Unprocessable, VersionConflict
from fhir_server.r4.resource import Resource, from_text
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from fhir_server.store.unit import Change, Write

STATE_BYTES_MAX: Final = 256 << 10
"""Of its JSON as it is stored."""

_BY_SUBJECT: Final = f"{TYPE}|subject|"


def keeping_app_state(write: Write, prepared: Prepared | None, if_match: str | None, share: Share) -> Write:
    """
    The same write, which keeps the rules where it is one of app state.

    Raises Unprocessable and TooLarge for what may be no app state. The judge raises VersionConflict.
    """
    becomes = prepared is not None and share.concerns(prepared.entry)
    if prepared is not None and becomes:
        require_app_state(prepared)
    if write.fresh:
        return write

    def judge(current: Version | None, now: datetime) -> Change | None:
        change = write.judge(current, now)
        if becomes or (current is not None and share.concerns(current.entry)):
            _require_the_same_state(current, prepared, if_match)
        return change

    return replace(write, judge=judge)


def require_app_state(prepared: Prepared) -> None:
    """Raises Unprocessable with all that app state may not have, TooLarge beyond STATE_BYTES_MAX."""
    size = sum(map(len, prepared.parts))
    if size > STATE_BYTES_MAX:
        raise TooLarge(f"App state has up to {STATE_BYTES_MAX} bytes, this one {size}", TYPE)
    resource = _resource(prepared)
    issues = [
        *_of_code(resource),
        *_of_subject(resource, prepared.entry),
        *_of_extensions(resource, TYPE),
    ]
    if issues:
        raise Unprocessable("This is no app state", issues=issues)


def _of_code(resource: Resource) -> Iterator[Issue]:
    if len(resource["code"].get("coding", ())) != 1:
        yield _broken("App state has exactly one Coding as its code", f"{TYPE}.code.coding")


def _of_subject(resource: Resource, entry: Entry) -> Iterator[Issue]:
    """It is about nobody, or about one of our resources."""
    if "subject" not in resource:
        return
    found = [text.removeprefix(_BY_SUBJECT) for text in entry.tokens if text.startswith(_BY_SUBJECT)]
    types = [text.split("/") for text in found]
    if not (len(types) == 1 and len(types[0]) == 2 and types[0][0] in SUBJECT_TYPES):
        known = ", ".join(sorted(SUBJECT_TYPES))
        yield _broken(f"The subject of app state is a reference to one of: {known}", f"{TYPE}.subject")


def _of_extensions(value: Any, place: str) -> Iterator[Issue]:
    """Each extension, wherever it stands, is a string."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _of_extensions(item, f"{place}[{index}]")
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        if name in ("extension", "modifierExtension"):
            for index, extension in enumerate(member):
                if not extension.keys() <= _OF_AN_EXTENSION:
                    told = "An extension of app state has a valueString and nothing else"
                    yield _broken(told, f"{place}.{name}[{index}]")
        else:
            yield from _of_extensions(member, f"{place}.{name.removeprefix('_')}")


def _require_the_same_state(current: Version | None, prepared: Prepared | None, if_match: str | None) -> None:
    """What it is written over, which the caller sees and If-Match, if there is one, fits."""
    if current is None:
        raise VersionConflict("App state is created by POST, which gives it its id")
    if current.deleted:
        raise VersionConflict(f"{current.key} was deleted, and app state stays so")
    if if_match is None or if_match == "*":
        raise VersionConflict(f"If-Match names no version; {current.key} is app state")
    if prepared is None:
        return
    assert current.body is not None, "it is not deleted"
    before, after = from_text(current.body), _resource(prepared)
    if before["code"] != after["code"]:
        raise VersionConflict("The code of app state does not change", f"{TYPE}.code")
    if _subjects(current.entry) != _subjects(prepared.entry):
        raise VersionConflict("The subject of app state does not change", f"{TYPE}.subject")


def _subjects(entry: Entry) -> frozenset[str]:
    return frozenset(text for text in entry.tokens if text.startswith(_BY_SUBJECT))


def _resource(prepared: Prepared) -> Resource:
    head, middle, tail = prepared.parts
    return from_text(b"".join((head, b"1", middle, b"1970-01-01T00:00:00Z", tail)))


def _broken(told: str, expression: str) -> Issue:
    return Issue("error", "business-rule", told, (expression,))


_OF_AN_EXTENSION: Final = frozenset(("id", "url", "valueString"))
