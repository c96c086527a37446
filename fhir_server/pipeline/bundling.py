"""
Batch and transaction: many interactions in one request.

What the Bundle is, it says itself: batch.py and transaction.py do it. Each entry has its own record,
tied to the Bundle's by the request id. Whatever is done for each entry is done in slices, so that a
Bundle of 25,000 keeps nobody waiting.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import response_entry, responses
from fhir_server.interactions.entries import Entry, entry_of
from fhir_server.pipeline.batch import batch
from fhir_server.pipeline.entries import Answers, Perform, Performing
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.transaction import TransactionRun
from fhir_server.r4.interaction import Submission
from fhir_server.smart.caller import Caller, Contact
from fhir_server.store.slices import in_slices


async def run_submission(
    interaction: Submission,
    caller: Caller,
    contact: Contact,
    services: Services,
    trail: Trail,
    perform: Perform,
) -> Bundled:
    """What the Bundle asks for; it says whether it is a batch or a transaction."""
    performing = Performing(caller, contact, services, trail, perform)
    async with services.preparing.turn(interaction):
        async with services.preparing.opened(interaction) as bundle:
            trail.turns_out_to_be(bundle.kind)
            entries = [
                entry_of(index, asked, services.settings.base_url)
                async for index, asked in in_slices(enumerate(bundle.asked))
            ]
            if bundle.kind == "batch":
                answers = await batch(bundle, entries, performing)
                return await _told(interaction, "batch", entries, answers, services)
            transaction = TransactionRun(bundle, entries, performing)
            if transaction.may_move:
                # What may have to be planned anew needs the Bundle until it has committed.
                answers = await transaction.planned_and_committed()
                return await _told(interaction, "transaction", entries, answers, services)
            prospect = await transaction.planned()
        answers = await transaction.committed_as_prepared(prospect)
        return await _told(interaction, "transaction", entries, answers, services)


async def _told(
    interaction: Submission, kind: str, entries: Sequence[Entry], answers: Answers, services: Services
) -> Bundled:
    """The Bundle that answers, in the order of the one that asked."""
    base_url, returning = services.settings.base_url, interaction.returning
    told = [
        response_entry(base_url, answers[entry.index], returning=returning, head=entry.head)
        async for entry in in_slices(entries)
    ]
    return responses(f"{kind}-response", told, services.clock())
