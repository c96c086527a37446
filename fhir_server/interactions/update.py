"""
update: the new state of a resource, created when its id is new.

A caller who is confined to a compartment may not choose ids: for them a hidden id and an
unused one answer alike. An update that says what is already stored makes no new version.

https://hl7.org/fhir/R4/http.html#update
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fhir_server.interactions.access import Access, not_known
from fhir_server.interactions.prepare import Prepared
from fhir_server.r4.errors import VersionConflict
from fhir_server.r4.interaction import Update
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version, instant
from fhir_server.store.unit import Change, Write


@dataclass(slots=True)
class Fate:
    """What the attempt that committed found: `created` when there was no current version."""

    created: bool = False


def update(interaction: Update, prepared: Prepared, access: Access, fate: Fate) -> Write:
    """
    The write of `prepared` over whatever is current when it commits.

    Raises Forbidden when the new state is not the caller's to make. The judge raises NotFound
    when the caller may not see the resource, VersionConflict when If-Match does not name the
    current version, or If-None-Match: * meets one. Each attempt writes into `fate`.
    """
    access.require_admitted(prepared.proposed())

    def judge(current: Version | None, _now: datetime) -> Change | None:
        seen = current if current is not None and access.sees(current) else None
        if seen is None and access.right.partial:
            raise not_known(prepared.key)
        # Before it is told that there is something: If-Match answers alike for hidden and absent.
        require_match(prepared.key, seen, interaction.if_match)
        if interaction.if_absent and seen is not None and not seen.deleted:
            raise VersionConflict(f"If-None-Match is *, and {prepared.key} is at version {seen.number}")
        if seen is not current:
            raise not_known(prepared.key)
        fate.created = current is None or current.deleted
        if current is not None and _says_the_same(prepared, current):
            return None
        return Change(prepared.parts, prepared.entry, "PUT")

    return Write(prepared.key, judge)


def require_match(key: Key, current: Version | None, if_match: str | None) -> None:
    """
    Raises VersionConflict unless `if_match` is absent or names the current version.

    A deletion is a version, too: who brings a resource back to life may name the one that they mean.
    """
    if if_match is None:
        return
    if current is None or (current.deleted and if_match == "*"):
        raise VersionConflict(f"If-Match names version {if_match}, {key} has no current version")
    if if_match not in ("*", str(current.number)):
        raise VersionConflict(f"If-Match names version {if_match}, {key} is at version {current.number}")


def _says_the_same(prepared: Prepared, current: Version) -> bool:
    if current.body is None:
        return False
    head, middle, tail = prepared.parts
    number, moment = str(current.number).encode(), instant(current.last_updated).encode()
    return current.body == b"".join((head, number, middle, moment, tail))
