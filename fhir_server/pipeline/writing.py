"""
Run of create, update and delete: judged, admitted, committed together with their record.

`planned` turns one interaction into a write that has not happened yet; a single request
commits one, a transaction commits many. So an entry of a Bundle can do nothing that its REST
twin could not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from audit.capabilities import WRITTEN_BY_THE_SERVER
from audit.record import Record
from fhir_server.interactions.access import Access
from fhir_server.interactions.answers import Answer, Removed, Written
from fhir_server.interactions.app_state import keeping_app_state
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entries import within
from fhir_server.interactions.prepare import Prepared, indexed_anew, parsed, prepare, require_id
from fhir_server.interactions.submission import Ready, Refused
from fhir_server.interactions.update import Fate, update
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.errors import FhirError, Forbidden, Issue, MethodNotAllowed
from fhir_server.r4.interaction import Content, Create, Delete, InBundle, Update
from fhir_server.r4.resource import Key, Resource
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission
from fhir_server.store.unit import Change, Condition, Moved, Unit, Write

Writing = Create | Update | Delete

PREPARED_AT_ONCE_BYTES_MAX: Final = 100_000
"""More than this takes longer than the others should wait."""


@dataclass(frozen=True, slots=True)
class Planned:
    """
    A write that is admitted and has not happened yet, and the trail of its interaction.

    `content` is the index entry of what is written, made at the epoch `indexed`; a delete writes nothing.
    """

    interaction: Writing
    write: Write
    trail: Trail
    fate: Fate
    warnings: tuple[Issue, ...] = ()
    content: tuple[Entry, ...] = ()
    indexed: int | None = None

    def in_entry(self, index: int) -> Planned:
        """The same as entry `index` of a Bundle: a refusal while it commits names the entry."""
        judge = self.write.judge

        def judge_entry(current: Version | None, now: datetime) -> Change | None:
            try:
                return judge(current, now)
            except FhirError as refusal:
                raise within(refusal, index) from refusal

        return replace(self, write=replace(self.write, judge=judge_entry))

    def answer(self, version: Version) -> Answer:
        """What the client is told, once `version` is current."""
        if isinstance(self.interaction, Delete):
            return Removed(version)
        return Written(version, self.fate.created, self.warnings)

    def record(self, version: Version, now: datetime) -> Record:
        """The ledger record of the write, made inside the attempt that commits it."""
        self.trail.shows((version,))
        status = 204 if isinstance(self.interaction, Delete) else 201 if self.fate.created else 200
        return self.trail.succeeded(status, now)


async def run_write(
    interaction: Writing,
    caller: Caller,
    services: Services,
    trail: Trail,
    content: Ready | Refused | None = None,
) -> Answer:
    """`content` is what has been made of the interaction's own already, in a batch."""
    access = admit_write(interaction, caller, services)
    await services.consents.current(caller)
    match content:
        case None:
            prepared = await prepared_in_turn(interaction, key_for(interaction, services), services)
        case Ready(prepared=ready):
            prepared = ready
        case Refused():
            raise content.refusal()
    if prepared is not None:
        prepared = await with_targets_patients(prepared, {}, access, trail, services)
    while True:
        try:
            return await committed(plan(interaction, prepared, access, trail), services)
        except Moved:
            # Nothing can have but the search parameters: there is no condition, and no version is meant.
            await services.consents.current(caller)
            assert prepared is not None, "a delete is indexed by nothing"
            base_url = services.settings.base_url
            prepared = indexed_anew(prepared, base_url=base_url, zone=services.zone)


async def committed(planned: Planned, services: Services, *conditions: Condition) -> Answer:
    """Commit it with its record. Raises Moved when a condition does not hold any more."""
    unit = Unit(
        (planned.write,),
        lambda versions, now: [planned.record(versions[0], now)],
        conditions,
        planned.indexed,
    )
    (version,) = await services.store.commit(unit)
    return planned.answer(version)


async def planned_anew(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """
    What an attempt answers that nothing has moved under.

    Whatever moves, somebody else has committed. The time of the request is the limit.
    """
    while True:
        try:
            return await attempt()
        except Moved:
            continue


def admit_write(interaction: Writing, caller: Caller, services: Services) -> Access:
    """
    What the caller may write of this type.

    Raises Forbidden without a scope for it, MethodNotAllowed for what nobody may write.
    """
    match interaction:
        case Create(type=resource_type):
            permission: Permission = "c"
        case Update(key=key):
            resource_type, permission = key.type, "u"
        case Delete(key=key):
            resource_type, permission = key.type, "d"
    if resource_type in WRITTEN_BY_THE_SERVER:
        raise MethodNotAllowed(f"{resource_type}s are written by the server alone")
    return admit(caller, resource_type, permission, services.clock(), services)


def key_for(interaction: Writing, services: Services) -> Key:
    """The key the interaction writes: addressed by the client, or new for a create."""
    if isinstance(interaction, Create):
        return Key(interaction.type, services.new_id())
    return interaction.key


def prepare_write(interaction: Writing, key: Key, services: Services) -> Prepared | None:
    """The content of a create or update, ready to be stored; None for a delete."""
    if isinstance(interaction, Delete):
        return None
    return prepare_resource(parsed(interaction.content), interaction, key, services)


async def prepared_in_turn(interaction: Writing, key: Key, services: Services) -> Prepared | None:
    """As `prepare_write`; what is large is prepared in a thread, so that others have their turn."""
    if isinstance(interaction, Delete) or _weight(interaction.content) <= PREPARED_AT_ONCE_BYTES_MAX:
        return prepare_write(interaction, key, services)
    return await asyncio.to_thread(prepare_write, interaction, key, services)


async def parsed_in_turn(content: Content) -> Resource:
    """As `parsed`; what is large is read in a thread."""
    if _weight(content) <= PREPARED_AT_ONCE_BYTES_MAX:
        return parsed(content)
    return await asyncio.to_thread(parsed, content)


def _weight(content: Content) -> int:
    """About the bytes of it: of a resource that was read already, those at the top."""
    if isinstance(content, bytes):
        return len(content)
    assert not isinstance(content, InBundle), "the Bundle prepares what it holds"
    return sum([len(member) for member in content.values() if isinstance(member, str | list)])


def prepare_resource(
    resource: Resource, interaction: Create | Update, key: Key, services: Services
) -> Prepared:
    """As `prepare`; an update's body must carry the id it is put under."""
    if isinstance(interaction, Update):
        require_id(resource, key)
    settings = services.settings
    return prepare(
        resource,
        key,
        base_url=settings.base_url,
        zone=services.zone,
        resource_bytes_max=settings.resource_bytes_max,
        full_text=settings.full_text,
    )


def plan(interaction: Writing, prepared: Prepared | None, access: Access, trail: Trail) -> Planned:
    """
    The write, judged as far as it can be before it commits. Each write of whatever kind passes here.

    Raises Forbidden, and what `keeping_app_state` does.
    """
    if prepared is not None:
        trail.touches(prepared.entry.patients)
    planned = _planned(interaction, prepared, access, trail)
    if access.app_state is None:
        return planned
    if_match = None if isinstance(interaction, Create) else interaction.if_match
    return replace(planned, write=keeping_app_state(planned.write, prepared, if_match, access.app_state))


def _planned(interaction: Writing, prepared: Prepared | None, access: Access, trail: Trail) -> Planned:
    match interaction:
        case Delete(key=key, if_match=if_match):
            return Planned(interaction, _trailed(delete(key, access, if_match), trail), trail, Fate())
        case Update():
            assert prepared is not None, "an update has content"
            fate = Fate()
            write = _trailed(update(interaction, prepared, access, fate), trail)
            content = (prepared.entry,)
            return Planned(interaction, write, trail, fate, prepared.warnings, content, prepared.indexed)
        case Create():
            assert prepared is not None, "a create has content"
            fate = Fate(created=True)
            write = create(prepared, access)
            content = (prepared.entry,)
            return Planned(interaction, write, trail, fate, prepared.warnings, content, prepared.indexed)


def _trailed(write: Write, trail: Trail) -> Write:
    """The same; whom the current version concerns is known, whatever becomes of the write."""
    judge = write.judge

    def judged(current: Version | None, now: datetime) -> Change | None:
        if current is not None:
            trail.touches(current.entry.patients)
        return judge(current, now)

    return replace(write, judge=judged)


async def with_targets_patients(
    prepared: Prepared,
    together: Mapping[str, tuple[str, ...]],
    access: Access,
    trail: Trail,
    services: Services,
) -> Prepared:
    """
    A Provenance or Binary belongs where what it is about belongs.

    `together` has the patients of resources that are written in the same transaction, by
    reference; those of others are looked up. Raises Forbidden when a person writes about what
    they cannot see: hidden and absent are refused alike. A system may write before what it is
    about arrives.
    """
    references = [_local(text, services.settings.base_url) for text in prepared.follows]
    if not references:
        return prepared
    elsewhere = [key for text in references if text not in together and (key := _key(text)) is not None]
    stored = await services.store.currents(elsewhere, text=False)
    for version in stored.values():
        trail.touches(version.entry.patients)
    if access.right.confined or trail.caller.user is not None:
        _require_all_seen(elsewhere, stored, access, prepared.key.type)
    patients = [id for text in references for id in together.get(text, ())]
    patients += [id for version in stored.values() for id in version.entry.patients]
    patients += [key.id for key in elsewhere if key.type == "Patient"]
    return prepared.in_compartments_of(tuple(patients))


def _require_all_seen(
    keys: Iterable[Key], stored: Mapping[Key, Version], access: Access, resource_type: str
) -> None:
    if not all(key in stored and access.reaches(stored[key]) for key in keys):
        raise Forbidden(f"This {resource_type} is about something that the caller cannot see")


def _local(reference: str, base_url: str) -> str:
    """`Type/id` for an address of ours, whatever its version."""
    return reference.removeprefix(f"{base_url}/").partition("/_history/")[0]


def _key(reference: str) -> Key | None:
    parts = reference.split("/")
    return Key(parts[0], parts[1]) if len(parts) == 2 and ":" not in parts[0] else None
