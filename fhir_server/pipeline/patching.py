"""
Run of patch: the current version, changed as the patch says, put in its place.

The patch is applied to the version that the caller sees; if another one is current as it commits,
it is applied anew to that one. Who patches is told whether parts of the resource are as they think
(`test`, a path that is not there) and gets the whole result, so a patch takes the right to read
beside the right to update.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from audit.capabilities import WRITTEN_BY_THE_SERVER
from fhir_server.interactions.answers import Answer
from fhir_server.interactions.prepare import Prepared, parsed
from fhir_server.interactions.update import require_match
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.reading import release
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import (
    PREPARED_AT_ONCE_BYTES_MAX,
    Planned,
    admit_write,
    committed,
    plan,
    planned_anew,
    prepare_resource,
    with_targets_patients,
)
from fhir_server.r4.errors import Forbidden, MethodNotAllowed
from fhir_server.r4.interaction import Content, Patch, PatchKind, Update
from fhir_server.r4.patch import (
    fhirpath_patch,
    json_patch,
    require_identity_kept,
    without_stale_narrative,
    xml_patch,
)
from fhir_server.r4.resource import Key, Resource, from_text
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.store.unit import Change, Moved, Write

_Apply = Callable[[Resource, Any], dict[str, Any]]

_ALONE: Final[Mapping[str, tuple[str, ...]]] = {}

_KINDS: Final[Mapping[PatchKind, _Apply]] = {
    "json": json_patch,
    "xml": xml_patch,
    "fhirpath": fhirpath_patch,
}


async def run_patch(interaction: Patch, caller: Caller, services: Services, trail: Trail) -> Answer:
    async def attempt() -> Answer:
        return await committed(await planned_patch(interaction, caller, services, trail), services)

    return await planned_anew(attempt)


async def planned_patch(
    interaction: Patch,
    caller: Caller,
    services: Services,
    trail: Trail,
    together: Mapping[str, tuple[str, ...]] = _ALONE,
) -> Planned:
    """
    As `planned_change`. Raises Invalid and Unprocessable for the patch, too.

    `together` has the patients of what is written in the same transaction.
    """

    def patched(version: Version) -> Resource:
        return _patched(interaction.kind, interaction.content, version)

    key, if_match = interaction.key, interaction.if_match
    return await planned_change(key, if_match, patched, caller, services, trail, together)


async def planned_change(
    key: Key,
    if_match: str | None,
    change: Callable[[Version], Resource],
    caller: Caller,
    services: Services,
    trail: Trail,
    together: Mapping[str, tuple[str, ...]] = _ALONE,
) -> Planned:
    """
    The write that puts the changed resource in the place of the version that it was made of.

    Its judge raises Moved when that version is not current. Raises NotFound and Gone as a read,
    VersionConflict by If-Match, Unprocessable for what the change makes.
    """
    if key.type in WRITTEN_BY_THE_SERVER:
        raise MethodNotAllowed(f"{key.type}s are written by the server alone")
    reading = admit(caller, key.type, "r", services.clock(), services)
    update = Update(key, {}, if_match)
    writing = admit_write(update, caller, services)
    version, epoch = await services.store.current(key, tokens=reading.needs_tokens)
    await services.consents.as_of(epoch, caller)
    shown = release(version, key, reading, trail)
    if shown is not version:
        raise Forbidden(f"{key} is shown to this caller in part, and cannot be patched")
    require_match(key, shown, if_match)
    prepared = await _changed(change, shown, update, services)
    prepared = await with_targets_patients(prepared, together, writing, trail, services)
    planned = plan(update, prepared, writing, trail)
    return replace(planned, write=_pinned(planned.write, shown.number))


async def _changed(
    change: Callable[[Version], Resource], version: Version, update: Update, services: Services
) -> Prepared:
    """What the change makes of the version, ready to be stored; of a large one in a thread."""

    def changed() -> Prepared:
        resource = change(version)
        return prepare_resource(resource, replace(update, content=resource), update.key, services)

    if len(version.body or b"") <= PREPARED_AT_ONCE_BYTES_MAX:
        return changed()
    return await asyncio.to_thread(changed)


def _patched(kind: PatchKind, content: Content, version: Version) -> Resource:
    assert version.body is not None, "a tombstone is refused with Gone"
    before = from_text(version.body)
    after = _KINDS[kind](before, parsed(content) if kind == "fhirpath" else content)
    require_identity_kept(before, after)
    return without_stale_narrative(before, after)


def _pinned(write: Write, number: int) -> Write:
    """The same write, over version `number` alone."""

    def judge(current: Version | None, now: datetime) -> Change | None:
        if current is None or current.number != number:
            raise Moved
        return write.judge(current, now)

    return replace(write, judge=judge)
