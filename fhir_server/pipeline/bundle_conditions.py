"""
What a transaction's conditional entries and references come to, as the database is now.

All criteria of a Bundle are asked together. What is found is a plan: it goes along with the
transaction as its conditions, and when something else matches as it commits, the Bundle is settled anew.
A reference by criteria leads to what matches, or else to the entry that has the same criteria: what
this transaction creates. Of conditional creates with the same criteria the first one creates.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fhir_server.interactions.entries import Asked as Said
from fhir_server.interactions.entries import Entry, criteria_in, within
from fhir_server.pipeline.conditioning import (
    Asked,
    deletes_of,
    matched,
    one_or_none,
    patch_of,
    question_of,
    update_of,
)
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Ambiguous, FhirError, Invalid
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Criteria,
    Delete,
    Patch,
    Update,
    criteria_of,
)
from fhir_server.r4.resource import Key
from fhir_server.smart.caller import Caller
from fhir_server.store.slices import in_slices

Writing = Create | Update | Patch | Delete


@dataclass(frozen=True, slots=True)
class Step:
    """One write of a transaction: of the entry at `index`, plain by now, under its key."""

    index: int
    interaction: Writing
    key: Key


@dataclass(slots=True)
class Settled:
    """
    `found` are the conditions of entries, by index, `references` those of references.

    `existing` are entries that create nothing because it is there, by what is there; `repeated` are
    those that another entry creates; `addresses` says what references by criteria stand for.
    """

    steps: list[Step] = field(default_factory=list)
    found: dict[int, Asked] = field(default_factory=dict)
    references: list[Asked] = field(default_factory=list)
    existing: dict[int, Key] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)


async def settled(
    entries: Sequence[Entry], said: Sequence[Said], caller: Caller, services: Services, trail: Trail
) -> Settled:
    """
    The writing `entries`, in their order, with what they come to.

    Raises Ambiguous naming the entry when several match, or nothing a reference means; and what the
    caller is refused.
    """
    result = Settled()
    found = await _asked(entries, caller, services, trail)
    creators: dict[Criteria, int] = {}
    keys: dict[int, Key] = {}
    async for entry in in_slices(entries):
        try:
            _settle(entry, said[entry.index], found.get(entry.index), creators, services, result)
        except FhirError as refusal:
            raise within(refusal, entry.index) from refusal
    keys = {step.index: step.key for step in result.steps} | result.existing
    keys |= {index: keys[first] for index, first in result.repeated.items()}
    made_by = {
        criteria: keys[entry.index]
        for entry in entries
        if (criteria := criteria_of(entry.interaction)) is not None and entry.index in keys
    }
    # References to entries that write are found where these are prepared.
    for index in (*result.existing, *result.repeated):
        result.addresses.update(_addresses(said[index].full_url, keys[index], services.settings.base_url))
    await _resolve(entries, said, made_by, result, caller, services, trail)
    return result


def _addresses(full_url: str | None, key: Key, base_url: str) -> dict[str, str]:
    """By what entries may refer to the one with this fullUrl, which is stored under another key."""
    if full_url is None:
        return {}
    relative = full_url.removeprefix(f"{base_url}/")
    return {full_url: str(key), relative: str(key)}


async def _asked(
    entries: Sequence[Entry], caller: Caller, services: Services, trail: Trail
) -> dict[int, Asked]:
    questions: dict[int, Asked] = {}
    async for entry in in_slices(entries):
        criteria = criteria_of(entry.interaction)
        if criteria is None:
            continue
        deletes = isinstance(entry.interaction, ConditionalDelete)
        most = services.settings.conditional_delete_max + 1 if deletes else 2
        try:
            question = question_of(criteria, caller, services, trail, matches_max=most)
        except FhirError as refusal:
            where = "ifNoneExist" if isinstance(entry.interaction, Create) else "url"
            raise within(type(refusal)(str(refusal), f"request.{where}"), entry.index) from refusal
        questions[entry.index] = question
    if not questions:
        return {}
    answers = await matched(list(questions.values()), caller, services)
    return dict(zip(questions, answers, strict=True))


def _settle(
    entry: Entry,
    said: Said,
    found: Asked | None,
    creators: dict[Criteria, int],
    services: Services,
    result: Settled,
) -> None:
    interaction = entry.interaction
    if found is not None:
        result.found[entry.index] = found
    match interaction:
        case Create(if_none_exist=Criteria() as criteria):
            assert found is not None, "criteria were asked"
            first = creators.setdefault(_normal(criteria), entry.index)
            match_ = one_or_none(found, criteria)
            if match_ is not None:
                result.existing[entry.index] = match_
            elif first != entry.index:
                result.repeated[entry.index] = first
            else:
                result.steps.append(_create(entry.index, interaction, services))
        case Create():
            result.steps.append(_create(entry.index, interaction, services))
        case Update() | Delete() | Patch():
            result.steps.append(Step(entry.index, interaction, interaction.key))
        case ConditionalUpdate(criteria=criteria):
            assert found is not None, "criteria were asked"
            plain, key = update_of(interaction, one_or_none(found, criteria), said.resource_id, services)
            result.steps.append(Step(entry.index, plain, key))
        case ConditionalPatch(criteria=criteria):
            assert found is not None, "criteria were asked"
            patch = patch_of(interaction, one_or_none(found, criteria))
            result.steps.append(Step(entry.index, patch, patch.key))
        case ConditionalDelete():
            assert found is not None, "criteria were asked"
            deletes = deletes_of(interaction, found, services)
            result.steps += [Step(entry.index, delete, delete.key) for delete in deletes]
        case _:
            raise AssertionError("reads are in the last stage")


def _create(index: int, interaction: Create, services: Services) -> Step:
    return Step(index, interaction, Key(interaction.type, services.new_id()))


async def _resolve(
    entries: Sequence[Entry],
    said: Sequence[Said],
    made_by: Mapping[Criteria, Key],
    result: Settled,
    caller: Caller,
    services: Services,
    trail: Trail,
) -> None:
    """Find what each reference by criteria stands for."""
    places: dict[str, tuple[int, str]] = {}
    async for entry in in_slices(entries):
        for text, expression in said[entry.index].references:
            places.setdefault(text, (entry.index, expression))
    if not places:
        return
    wanted: dict[str, Criteria] = {}
    questions: list[Asked] = []
    for text, (index, expression) in places.items():
        try:
            wanted[text] = _criteria_in(text, services.settings.base_url)
            questions.append(question_of(wanted[text], caller, services, trail))
        except FhirError as refusal:
            raise within(type(refusal)(str(refusal), expression), index) from refusal
    normal = {_normal(criteria): key for criteria, key in made_by.items()}
    for found, (text, (index, expression)) in zip(
        await matched(questions, caller, services), places.items(), strict=True
    ):
        keys = found.keys or [key for key in (normal.get(_normal(wanted[text])),) if key is not None]
        if len(keys) != 1:
            told = "Nothing" if not keys else "More than one resource"
            raise within(Ambiguous(f"{told} matches this reference", expression), index)
        result.addresses[text] = str(keys[0])
        if found.keys:
            result.references.append(found)


def _criteria_in(text: str, base_url: str) -> Criteria:
    resource_type, _, query = text.removeprefix(f"{base_url}/").partition("?")
    if resource_type not in definitions().resource_types:
        raise Invalid("The reference names no resource type of R4 of this server")
    return criteria_in(resource_type, query)


def _normal(criteria: Criteria) -> Criteria:
    """The same question in whatever order it is asked."""
    return replace(criteria, parameters=tuple(sorted(criteria.parameters)))
