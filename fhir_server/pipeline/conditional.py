"""
Run of conditional create, update, patch and delete.

Each is planned on what matches now, and committed only if the same matches still; else it is
planned anew (conditioning.py).

https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from audit.record import Record
from fhir_server.interactions.answers import Answer, Removed, Written
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.conditioning import (
    Asked,
    asked,
    deletes_of,
    one_or_none,
    patch_of,
    update_of,
    with_id,
)
from fhir_server.pipeline.parameters import by_the_newest
from fhir_server.pipeline.patching import planned_patch
from fhir_server.pipeline.reading import release
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import (
    admit_write,
    committed,
    key_for,
    parsed_in_turn,
    plan,
    planned_anew,
    prepared_in_turn,
    with_targets_patients,
)
from fhir_server.r4.errors import FhirError
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Criteria,
    Delete,
    Update,
    criteria_of,
)
from fhir_server.r4.resource import Key
from fhir_server.search.asking.conditional import anchors_in
from fhir_server.search.declared.catalogue import in_force
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.store.unit import Moved, Unit

Conditional = Create | ConditionalUpdate | ConditionalPatch | ConditionalDelete


async def run_conditional(
    interaction: Conditional, caller: Caller, services: Services, trail: Trail
) -> Answer:
    async def attempt() -> Answer:
        match interaction:
            case Create(if_none_exist=Criteria() as criteria):
                return await _create(interaction, criteria, caller, services, trail)
            case ConditionalUpdate():
                return await _update(interaction, caller, services, trail)
            case ConditionalPatch():
                return await _patch(interaction, caller, services, trail)
            case ConditionalDelete():
                return await _delete(interaction, caller, services, trail)
            case Create():
                raise AssertionError("a create without criteria is run by run_write")

    async def by_known() -> Answer:
        return await planned_anew(attempt)

    criteria = criteria_of(interaction)
    asked_for = criteria.parameters if criteria is not None else ()
    return await by_the_newest(by_known, services.consents, services.parameters, asked_for)


async def _create(
    interaction: Create, criteria: Criteria, caller: Caller, services: Services, trail: Trail
) -> Answer:
    admit_write(interaction, caller, services)
    found = await asked(criteria, caller, services, trail)
    match = one_or_none(found, criteria)
    if match is not None:
        return await existing(match, caller, services, trail)
    return await _written(interaction, key_for(interaction, services), found, caller, services, trail)


async def existing(key: Key, caller: Caller, services: Services, trail: Trail) -> Answer:
    """
    The answer of a conditional create to a resource that is there: nothing is written but the record.

    Raises Moved when it is gone since it was found.
    """
    access = admit(caller, key.type, "s", services.clock(), services)
    version, epoch = await services.store.current(key, tokens=access.needs_tokens)
    await services.consents.as_of(epoch, caller)
    try:
        shown = release(version, key, access, trail)
    except FhirError as gone:
        raise Moved from gone
    await services.store.append(trail.succeeded(200, services.clock()))
    return Written(shown, created=False)


async def _update(interaction: ConditionalUpdate, caller: Caller, services: Services, trail: Trail) -> Answer:
    criteria = interaction.criteria
    # Whatever it comes to, it is an update: the right to create alone is not enough.
    admit_write(Update(Key(criteria.type, ""), {}), caller, services)
    resource = await parsed_in_turn(interaction.content)
    found = await asked(criteria, caller, services, trail)
    match = one_or_none(found, criteria)
    plain, key = update_of(interaction, match, resource.get("id"), services)
    content = resource if match is None else with_id(resource, match.id)
    return await _written(replace(plain, content=content), key, found, caller, services, trail)


async def _written(
    interaction: Create | Update,
    key: Key,
    found: Asked,
    caller: Caller,
    services: Services,
    trail: Trail,
) -> Answer:
    access = admit_write(
        Update(key, {}) if isinstance(interaction, Update) else interaction, caller, services
    )
    prepared = await prepared_in_turn(interaction, key, services)
    assert prepared is not None, "it has content"
    prepared = await with_targets_patients(prepared, {}, access, trail, services)
    planned = plan(interaction, prepared, access, trail)
    return await committed(planned, services, found.locked(anchors_in(planned.content)))


async def _patch(interaction: ConditionalPatch, caller: Caller, services: Services, trail: Trail) -> Answer:
    criteria = interaction.criteria
    admit_write(Update(Key(criteria.type, ""), {}), caller, services)
    found = await asked(criteria, caller, services, trail)
    plain = patch_of(interaction, one_or_none(found, criteria))
    trail.means(plain.key)
    planned = await planned_patch(plain, caller, services, trail)
    return await committed(planned, services, found.locked(anchors_in(planned.content)))


async def _delete(interaction: ConditionalDelete, caller: Caller, services: Services, trail: Trail) -> Answer:
    criteria = interaction.criteria
    access = admit_write(Delete(Key(criteria.type, "")), caller, services)
    most = services.settings.conditional_delete_max
    found = await asked(criteria, caller, services, trail, matches_max=most + 1)
    deletes = deletes_of(interaction, found, services)
    trail.means(*found.keys)
    planned = [plan(delete, None, access, trail) for delete in deletes]

    def records(versions: Sequence[Version], now: datetime) -> list[Record]:
        trail.shows(versions)
        return [trail.succeeded(204, now)]

    if not planned:
        await services.store.append(trail.succeeded(204, services.clock()))
        return Removed(None)
    unit = Unit([one.write for one in planned], records, (found.locked(frozenset()),), in_force().indexed)
    versions = await services.store.commit(unit)
    return Removed(versions[0] if len(versions) == 1 else None)
