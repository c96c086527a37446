"""
From drafts to the one transaction that stores a message.

Each resource is written only as it was seen: an update names the version that was read, a new
one must not be there yet. When either is not so any more the server refuses the whole Bundle,
and the message is translated again from the start. The Provenance has an id made from the
message and must be new as well, so one message can be committed once only, however many times
and by however many processes it is tried.

https://hl7.org/fhir/R4/http.html#transaction, https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.fhir_json import Json, Resource
from adapters.hl7v2.draft import Draft
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.identifiers import resource_id
from adapters.hl7v2.statement import applied

MUST_BE_NEW: Final = {"ifNoneMatch": "*"}

Present = Mapping[str, Resource]
"""The resources there are, by reference (`Patient/1`)."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """`origins` has, for each entry, the segment it comes from; None for the Provenance."""

    bundle: Json
    origins: Sequence[Segment | None]


def provenance_id(identity: str) -> str:
    return resource_id("Provenance", identity)


def transaction(drafts: Sequence[Draft], present: Present, provenance: Json, base_url: str) -> Transaction:
    """`provenance` without its targets."""
    states: dict[str, Json] = {}
    origins: dict[str, Segment] = {}
    requests: dict[str, Json] = {}
    spoken_of: list[str] = []
    for draft in drafts:
        before = present.get(draft.reference)
        if draft.mode == "create" and before is not None:
            continue
        if draft.reference not in states:
            spoken_of.append(draft.reference)
            requests[draft.reference] = _request(draft, before)
            origins[draft.reference] = draft.segment
        base = None if draft.mode == "replace" else states.get(draft.reference, before)
        states[draft.reference] = {**applied(draft.statement, base), "id": draft.id}
    changed = [reference for reference in spoken_of if states[reference] != present.get(reference)]
    for reference in changed:
        _without_stale_narrative(states[reference])
    entries = [_entry(reference, states[reference], requests[reference], base_url) for reference in changed]
    told = _with_targets(provenance, spoken_of or [draft.reference for draft in drafts[:1]])
    reference = f"Provenance/{told['id']}"
    entries.append(_entry(reference, told, {"method": "PUT", "url": reference, **MUST_BE_NEW}, base_url))
    return Transaction(
        {"resourceType": "Bundle", "type": "transaction", "entry": entries},
        [*(origins[reference] for reference in changed), None],
    )


def _request(draft: Draft, before: Resource | None) -> Json:
    request: Json = {"method": "PUT", "url": draft.reference}
    if draft.mode == "replace":
        return request
    if before is None:
        return request | MUST_BE_NEW
    version = before.get("meta", {}).get("versionId")
    return request | ({"ifMatch": f'W/"{version}"'} if version else {})


def _without_stale_narrative(resource: Json) -> None:
    """A narrative made from elements that have changed would tell a reader what is no longer so."""
    if resource.get("text", {}).get("status") in ("generated", "extensions"):
        del resource["text"]


def _entry(reference: str, resource: Json, request: Json, base_url: str) -> Json:
    ordered = {"resourceType": resource["resourceType"], "id": resource["id"], **resource}
    return {"fullUrl": f"{base_url}/{reference}", "resource": ordered, "request": request}


def _with_targets(provenance: Json, references: Sequence[str]) -> Json:
    """Provenance.target stands first among what a reader looks for."""
    id, type = provenance["id"], provenance["resourceType"]
    targets = [{"reference": reference} for reference in references]
    return {"resourceType": type, "id": id, "target": targets, **provenance}
