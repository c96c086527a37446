"""
Run of operations: what each reads or writes, it reads and writes as an interaction would.

$validate takes any of the rights to create, update or read the type. Of the type, and of a
resource that is sent, it reads nothing; of a stored one it is a read. A mode rehearses the write: what
would refuse that is among the issues, so nothing is learnt that the write would not tell.

$meta of a resource is a read, of a type or all types a search. $meta-add and $meta-delete are patches.

$reindex is for operators: it takes a `system/` scope to update the type, `system/*` for all of them, and
shows nothing of a resource; so does, with the right to read, what is under way. The status of one
SearchParameter is a read of it.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.interactions.answers import Answer, Document, Written
from fhir_server.interactions.bundles import operation_outcome
from fhir_server.interactions.prepare import parsed
from fhir_server.operations import reindex
from fhir_server.operations.meta import SEARCHED, asked_meta, meta_of, meta_with, require_nothing_asked
from fhir_server.operations.meta_add import with_added
from fhir_server.operations.meta_delete import with_deleted
from fhir_server.operations.validate import (
    has_error,
    issues_of,
    issues_of_identity,
    issues_of_profile,
    outcome,
    to_validate,
)
from fhir_server.pipeline.admission import all_types, left_of_app_state, restriction
from fhir_server.pipeline.patching import planned_change
from fhir_server.pipeline.reading import shown_version
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import (
    Writing,
    admit_write,
    committed,
    key_for,
    plan,
    planned_anew,
    prepared_in_turn,
    with_targets_patients,
)
from fhir_server.r4.errors import FhirError, Forbidden, Issue, MethodNotAllowed, NotFound
from fhir_server.r4.interaction import Content, Create, Delete, Operation, Update
from fhir_server.r4.resource import Key, Resource, from_text
from fhir_server.search.declared.catalogue import NOT_INDEXED
from fhir_server.search.predicates.predicate import Predicate, all_of
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission, contexts, covering

AT_ONCE_BYTES_MAX: Final = 65_536
"""A body up to this is judged in a few milliseconds; a larger one beside the event loop."""

_JUDGING: Final[tuple[Permission, ...]] = ("c", "u", "r")
_CHANGES: Final[Mapping[str, Callable[[Resource, Resource], Resource]]] = {
    "meta-add": with_added,
    "meta-delete": with_deleted,
}


async def run_operation(interaction: Operation, caller: Caller, services: Services, trail: Trail) -> Answer:
    """Raises NotFound for an operation that is none, or is not one of this level."""
    match interaction:
        case Operation(name="validate", type=str() as type):
            return await _run_validate(interaction, type, caller, services, trail)
        case Operation(name="meta"):
            return await _run_meta(interaction, caller, services, trail)
        case Operation(name="meta-add" | "meta-delete", type=str() as type, id=str() as id):
            return await _run_meta_change(interaction, Key(type, id), caller, services, trail)
        case Operation(name="reindex"):
            return await _run_reindex(interaction, caller, services, trail)
        case Operation(name="reindex-status", type=None):
            return await _run_reindex_status(interaction, caller, services)
        case Operation(name="reindex-status", type="SearchParameter" as type, id=str() as id):
            return await _run_status_of(interaction, Key(type, id), caller, services, trail)
        case Operation(name=name):
            raise NotFound(f"There is no operation `${name}` here")


async def _run_validate(
    interaction: Operation, type: str, caller: Caller, services: Services, trail: Trail
) -> Document:
    if not any(covering(caller.scopes, type, permission) for permission in _JUDGING):
        raise Forbidden(f"No scope of this token covers `c`, `u` or `r` on {type}")
    id = interaction.id
    body = await _read_body(interaction.content)
    wanted = to_validate(type, id, body, interaction.parameters)
    if wanted.mode == "delete":
        found = [*issues_of_profile(wanted.profile, type)]
    else:
        resource = wanted.resource
        identity = [] if resource is None else [*issues_of_identity(resource, type, id, wanted.mode)]
        if resource is None:
            resource = _read(await shown_version(Key(type, id or ""), caller, services, trail))
        found = [*await _judged(interaction.content, resource, type, wanted.profile), *identity]
    writing = _meant(wanted.mode, type, id, wanted.resource, interaction.if_match)
    if writing is not None and not has_error(found):
        found += await _rehearsed(writing, caller, services, trail)
    return Document(operation_outcome(outcome(found)))


async def _read_body(content: Content | None) -> Resource | None:
    if not isinstance(content, bytes) or len(content) <= AT_ONCE_BYTES_MAX:
        return None if content is None else parsed(content)
    return await asyncio.to_thread(parsed, content)


async def _judged(
    content: Content | None, resource: Resource, type: str, profile: str | None
) -> tuple[Issue, ...]:
    if isinstance(content, bytes) and len(content) <= AT_ONCE_BYTES_MAX:
        return issues_of(resource, type, profile)
    return await asyncio.to_thread(issues_of, resource, type, profile)


def _meant(
    mode: str | None, type: str, id: str | None, resource: Resource | None, if_match: str | None
) -> Writing | None:
    """The write that a mode asks about."""
    match mode, id, resource:
        case "create", None, Mapping() as content:
            return Create(type, content)
        case "update", str(), Mapping() as content:
            return Update(Key(type, id), content, if_match)
        case "delete", str(), _:
            return Delete(Key(type, id), if_match)
        case _:
            return None


async def _rehearsed(writing: Writing, caller: Caller, services: Services, trail: Trail) -> tuple[Issue, ...]:
    """What would refuse the write now, as it would be refused; nothing is written."""
    try:
        access = admit_write(writing, caller, services)
        await services.consents.current(caller)
        key = key_for(writing, services)
        prepared = await prepared_in_turn(writing, key, services)
        if prepared is not None:
            prepared = await with_targets_patients(prepared, {}, access, trail, services)
        planned = plan(writing, prepared, access, trail)
        if not isinstance(writing, Create):
            current, epoch = await services.store.current(key, tokens=access.needs_tokens)
            await services.consents.as_of(epoch, caller)
            planned.write.judge(current, services.clock())
    except FhirError as refusal:
        if refusal.status >= 500:
            raise
        return refusal.issues
    return ()


async def _run_meta(interaction: Operation, caller: Caller, services: Services, trail: Trail) -> Document:
    body = await _read_body(interaction.content)
    require_nothing_asked(body, interaction.parameters)
    if interaction.type is not None and interaction.id is not None:
        key = Key(interaction.type, interaction.id)
        return Document(meta_of(_read(await shown_version(key, caller, services, trail))))
    # Events of the log carry no labels, and are in no collection that could be asked for them.
    types = frozenset((interaction.type,)) if interaction.type else all_types() - {"AuditEvent"}
    allowed = restriction(caller, types, "s")

    async def run(consented: Predicate) -> Resource:
        predicate = all_of(allowed, consented, left_of_app_state(caller, types, services))
        return meta_with(await services.store.labels(predicate, SEARCHED, types=types))

    return Document(await services.consents.governed(caller, services.clock(), run))


async def _run_meta_change(
    interaction: Operation, key: Key, caller: Caller, services: Services, trail: Trail
) -> Document:
    body = await _read_body(interaction.content)
    meta = asked_meta(body, interaction.parameters)
    change = _CHANGES[interaction.name]

    def changed(version: Version) -> Resource:
        return change(_read(version), meta)

    async def attempt() -> Answer:
        planned = await planned_change(key, interaction.if_match, changed, caller, services, trail)
        return await committed(planned, services)

    match await planned_anew(attempt):
        case Written(version=version):
            return Document(meta_of(_read(version)))
        case other:
            raise AssertionError(f"a change answers what was written, not {type(other).__name__}")


async def _run_reindex(interaction: Operation, caller: Caller, services: Services, trail: Trail) -> Document:
    _require_operator(caller, interaction.type or "*", "u")
    require_nothing_asked(await _read_body(interaction.content), interaction.parameters)
    if interaction.type in NOT_INDEXED:
        raise MethodNotAllowed(f"{interaction.type}s are indexed as they are recorded, once")
    types = frozenset((interaction.type,)) if interaction.type else all_types() - NOT_INDEXED
    await services.store.ask_for_passes(types)
    await services.store.append(trail.succeeded(200, services.clock()))
    return Document(reindex.asked(types))


async def _run_reindex_status(interaction: Operation, caller: Caller, services: Services) -> Document:
    _require_operator(caller, "*", "r")
    require_nothing_asked(await _read_body(interaction.content), interaction.parameters)
    return Document(reindex.status_of_all((await services.store.passes.all()).values()))


async def _run_status_of(
    interaction: Operation, key: Key, caller: Caller, services: Services, trail: Trail
) -> Document:
    await shown_version(key, caller, services, trail)
    require_nothing_asked(await _read_body(interaction.content), interaction.parameters)
    standing = (await services.store.passes.standings()).get(key.id)
    if standing is None:
        return Document(reindex.status_of("none"))
    if not all(_is_operator(caller, type, "r") for type in standing.passes):
        return Document(reindex.status_of(standing.status))
    passes = await services.store.passes.all()
    return Document(reindex.progress_of(standing.status, standing.passes, passes))


def _require_operator(caller: Caller, type: str, permission: Permission) -> None:
    """Raises Forbidden unless a system has the right itself, not on behalf of a person."""
    if not _is_operator(caller, type, permission):
        raise Forbidden(f"This takes a scope such as `system/{type}.{permission}`")


def _is_operator(caller: Caller, type: str, permission: Permission) -> bool:
    return caller.user is None and "system" in contexts(caller.scopes, type, permission)


def _read(version: Version) -> Resource:
    assert version.body is not None, "a tombstone is refused with Gone"
    return from_text(version.body)
