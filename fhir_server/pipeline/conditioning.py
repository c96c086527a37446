"""
Conditional interactions: from criteria to the plain interaction that they come to now.

Criteria are judged within what the caller may see, by a search like any other; so whether
something hidden matches is never told, not even by a refusal. What was found is only a plan: the
condition goes along with the write and is asked again as it commits (store/conditions.py).

https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.pipeline.admission import left_of_app_state, restriction, right_of
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.unqualified import refuse_ambiguous
from fhir_server.policy.redaction import asking_of_shown_members
from fhir_server.r4.errors import Ambiguous, Invalid, NotFound, VersionConflict
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Criteria,
    Delete,
    Patch,
    Update,
)
from fhir_server.r4.primitives import is_id
from fhir_server.r4.resource import Key, Resource
from fhir_server.search.asking.conditional import anchor_of, query_of
from fhir_server.search.predicates.predicate import Predicate, Unqualified, all_of
from fhir_server.smart.caller import Caller
from fhir_server.store.unit import Condition


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Criteria as a condition, with what matches now; `wanted` is the criteria alone, and `unqualified` what
    they name by an id without a type.
    """

    wanted: Predicate
    condition: Condition
    unqualified: tuple[Unqualified, ...] = ()

    def locked(self, anchors: frozenset[str]) -> Condition:
        """The condition with its locks; `anchors` are those in all that is written on it."""
        [resource_type] = self.condition.types
        return replace(self.condition, locks=anchors | anchor_of(resource_type, self.wanted))

    @property
    def keys(self) -> list[Key]:
        """Those that match, at most as many as were asked for."""
        return [Key(*key.split("/")) for key in self.condition.keys]


async def asked(
    criteria: Criteria, caller: Caller, services: Services, trail: Trail, *, matches_max: int = 2
) -> Asked:
    """
    What matches the criteria, of what the caller may see.

    Raises Forbidden for a caller who may not search the type, Invalid for criteria that are none.
    """
    question = question_of(criteria, caller, services, trail, matches_max=matches_max)
    [found] = await matched([question], caller, services)
    return found


def question_of(
    criteria: Criteria, caller: Caller, services: Services, trail: Trail, *, matches_max: int = 2
) -> Asked:
    """The criteria within what scopes and policy leave to the caller. Raises as `asked`."""
    settings = services.settings
    query = query_of(criteria, limits=services.search_limits, base_url=settings.base_url, zone=services.zone)
    wanted = query.predicate
    trail.asks_for(wanted)
    types = frozenset((criteria.type,))
    allowed = restriction(caller, types, "s")
    shown = wanted
    if criteria.type == "Group":
        shown = asking_of_shown_members(wanted, right_of(caller, "Group", "s"))
    return Asked(wanted, Condition(all_of(shown, allowed), types, matches_max), query.unqualified)


async def matched(questions: Sequence[Asked], caller: Caller, services: Services) -> list[Asked]:
    """The same, within what consents leave to the caller too, with what matches now."""
    unqualified = [each for one in questions for each in one.unqualified]

    async def run(consented: Predicate) -> list[Asked]:
        await refuse_ambiguous(unqualified, consented, caller, services)
        conditions = [_left(one.condition, consented, caller, services) for one in questions]
        found = await services.store.matching(conditions)
        return [
            replace(one, condition=replace(condition, keys=keys))
            for one, condition, keys in zip(questions, conditions, found, strict=True)
        ]

    return await services.consents.governed(caller, services.clock(), run)


def _left(condition: Condition, consented: Predicate, caller: Caller, services: Services) -> Condition:
    left = left_of_app_state(caller, condition.types, services)
    return replace(condition, predicate=all_of(condition.predicate, consented, left))


def one_or_none(found: Asked, criteria: Criteria) -> Key | None:
    """The one that matches. Raises Ambiguous when there are several."""
    keys = found.keys
    if len(keys) > 1:
        raise Ambiguous(f"More than one {criteria.type} matches the criteria")
    return keys[0] if keys else None


def update_of(
    interaction: ConditionalUpdate, match: Key | None, stated: object, services: Services
) -> tuple[Create | Update, Key]:
    """
    The update that it comes to, or the create; and the key that is written.

    `stated` is the id in the body. Without a match it is one that must be new. Raises Invalid when it
    is that of another resource than the one that matches, VersionConflict for If-Match without a match.
    """
    resource_type = interaction.criteria.type
    if match is not None:
        if stated not in (None, match.id):
            told = "The id in the body is not that of the resource that matches"
            raise Invalid(told, f"{resource_type}.id")
        return Update(match, interaction.content, interaction.if_match, interaction.if_absent), match
    if interaction.if_match is not None:
        raise VersionConflict("If-Match names a version, and nothing matches the criteria")
    if stated is None:
        return Create(resource_type, interaction.content), Key(resource_type, services.new_id())
    if not (isinstance(stated, str) and is_id(stated)):
        raise Invalid("The id in the body is not a FHIR id", f"{resource_type}.id")
    key = Key(resource_type, stated)
    return Update(key, interaction.content, if_absent=True), key


def patch_of(interaction: ConditionalPatch, match: Key | None) -> Patch:
    """The patch that it comes to. Raises NotFound when nothing matches."""
    if match is None:
        raise NotFound(f"No {interaction.criteria.type} matches the criteria")
    return Patch(match, interaction.kind, interaction.content, interaction.if_match)


def deletes_of(interaction: ConditionalDelete, found: Asked, services: Services) -> list[Delete]:
    """The deletions that it comes to. Raises Ambiguous when more match than may be deleted at once."""
    most = services.settings.conditional_delete_max
    if len(found.keys) > most:
        allowed = "one" if most == 1 else f"{most}"
        raise Ambiguous(
            f"More than {allowed} {interaction.criteria.type} matches the criteria; nothing was deleted"
        )
    return [Delete(key, interaction.if_match) for key in found.keys]


def with_id(resource: Resource, id: str) -> Resource:
    """`resource` with its id right behind its type, where it has none."""
    if "id" in resource:
        return resource
    return {"resourceType": resource.get("resourceType"), "id": id, **resource}
