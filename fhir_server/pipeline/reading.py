"""Run and release of read and vread: one version, shown to whom it may be shown."""

from __future__ import annotations

from fhir_server.interactions.access import Access, not_known
from fhir_server.interactions.answers import Answer, Found
from fhir_server.interactions.read import read
from fhir_server.interactions.shaping import shaped_answer
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.auditing import audit_event
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.policy.redaction import redacted
from fhir_server.r4.errors import Gone
from fhir_server.r4.interaction import Read, Vread
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller

VERSION_DIGITS_MAX = 9


async def run_read(interaction: Read, caller: Caller, services: Services, trail: Trail) -> Answer:
    answer = read(interaction, await shown_version(interaction.key, caller, services, trail))
    return shaped_answer(answer, interaction.shape)


async def shown_version(key: Key, caller: Caller, services: Services, trail: Trail) -> Version:
    """The current version as this caller may read it. Raises Forbidden, NotFound and Gone as a read."""
    access = admit(caller, key.type, "r", services.clock(), services)
    if key.type == "AuditEvent":
        version = await audit_event(key.id, services)
        await services.consents.current(caller)
    else:
        version, epoch = await services.store.current(key, tokens=access.needs_tokens)
        await services.consents.as_of(epoch, caller)
    return release(version, key, access, trail)


async def run_vread(interaction: Vread, caller: Caller, services: Services, trail: Trail) -> Answer:
    key = interaction.key
    access = admit(caller, key.type, "r", services.clock(), services)
    if not (interaction.version.isdecimal() and len(interaction.version) <= VERSION_DIGITS_MAX):
        raise not_known(key)
    number = int(interaction.version)
    if key.type == "AuditEvent":
        version = await audit_event(key.id, services) if number == 1 else None
    else:
        version = await services.store.version(key, number)
    await services.consents.current(caller)
    shown = release(version, key, access, trail)
    if key.type != "AuditEvent":
        await _require_still_seen(key, access, services, trail)
    return shaped_answer(Found(shown), interaction.shape)


async def _require_still_seen(key: Key, access: Access, services: Services, trail: Trail) -> None:
    """
    Raises NotFound unless the caller sees the present state, too.

    What was moved to another patient was theirs all along, its older versions with it.
    """
    newest, epoch = await services.store.current(key, tokens=access.needs_tokens)
    await services.consents.as_of(epoch, trail.caller)
    if newest is not None:
        trail.touches(newest.entry.patients)
        access.require_seen(newest)


def release(version: Version | None, key: Key, access: Access, trail: Trail) -> Version:
    """
    The version as it may leave. Raises NotFound when there is none for this caller, Gone when
    it is a tombstone that the caller may know of.
    """
    if version is None:
        raise not_known(key)
    trail.shows((version,))
    access.require_seen(version)
    if version.deleted:
        raise Gone(f"{key} was deleted")
    return redacted(version, access.right)
