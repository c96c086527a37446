"""
`perform`: the spine. Each interaction of each caller comes through here, and nothing else does.

authorize and consent (admission.py), run and release (reading.py, writing.py, searching.py,
bundling.py, operating.py), record (trail.py): the record of a write commits with the write; that of
anything else is durable before the answer is given.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from audit.record import Record
from fhir_server.interactions.answers import Answer, Document, NotModified
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.submission import Ready, Refused
from fhir_server.pipeline.bundling import run_submission
from fhir_server.pipeline.conditional import run_conditional
from fhir_server.pipeline.explaining import explains, run_explained, without_explain
from fhir_server.pipeline.history import run_history
from fhir_server.pipeline.operating import run_operation
from fhir_server.pipeline.patching import run_patch
from fhir_server.pipeline.reading import run_read, run_vread
from fhir_server.pipeline.searching import run_search
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.slowness import measure_search
from fhir_server.pipeline.trail import Trail, writes
from fhir_server.pipeline.writing import run_write
from fhir_server.r4.errors import FhirError, Unavailable
from fhir_server.r4.interaction import (
    Capabilities,
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Criteria,
    Delete,
    History,
    Interaction,
    Operation,
    Patch,
    Read,
    Search,
    Submission,
    Update,
    Vread,
)
from fhir_server.search.declared.catalogue import in_force_from, no_longer
from fhir_server.smart.caller import Caller, Contact

log = structlog.get_logger()


async def perform(
    interaction: Interaction,
    caller: Caller,
    contact: Contact,
    services: Services,
    *,
    content: Ready | Refused | None = None,
) -> Answer:
    """
    What `interaction` answers to `caller`, its record durable.

    `content` is what a batch has prepared of it. Raises FhirError when it is refused, that too recorded.
    """
    if isinstance(interaction, Capabilities):
        base_url = services.settings.base_url
        return Document(capabilities(interaction, services.registered, base_url, services.started))
    started = time.perf_counter()
    trail = Trail(interaction, caller, contact)
    entered = in_force_from(services.parameters)
    try:
        async with asyncio.timeout(services.settings.request_seconds_max):
            answer = await _run(interaction, caller, contact, services, trail, content)
        # A transaction's record commits with its writes; what a Bundle is, is known when it has been read.
        if not (writes(interaction) or isinstance(interaction, Submission)):
            status = 304 if isinstance(answer, NotModified) else 200
            await services.store.append(trail.succeeded(status, services.clock()))
    except FhirError as refusal:
        await record_refusal(refusal, trail.refused(refusal, services.clock()), services)
        raise
    except TimeoutError as late:
        away = Unavailable("The request took longer than this server allows")
        await record_refusal(away, trail.refused(away, services.clock()), services)
        raise away from late
    except Exception as bug:
        await services.store.append(trail.failed(type(bug).__name__, services.clock()))
        raise
    finally:
        seconds = time.perf_counter() - started
        measure_search(trail, seconds, services)
        no_longer(entered)
        log.info(
            "interaction",
            request_id=contact.request_id,
            client=caller.client,
            interaction=trail.name,
            status=trail.status,
            duration_ms=round(seconds * 1000, 3),
            data="patient" if trail.patients else "none",
        )
    return answer


async def record_refusal(refusal: FhirError, record: Record, services: Services) -> None:
    """Make the record of a refusal durable, once: an error passes several places on its way out."""
    if not refusal.recorded:
        await services.store.append(record)
        refusal.recorded = True


async def _run(
    interaction: Interaction,
    caller: Caller,
    contact: Contact,
    services: Services,
    trail: Trail,
    content: Ready | Refused | None,
) -> Answer:
    match interaction:
        case Read():
            return await run_read(interaction, caller, services, trail)
        case Vread():
            return await run_vread(interaction, caller, services, trail)
        case Search() if explains(interaction):
            return await run_explained(interaction, caller, services, trail)
        case Search():
            return await run_search(without_explain(interaction), caller, services, trail)
        case History():
            return await run_history(interaction, caller, services, trail)
        case (
            Create(if_none_exist=Criteria()) | ConditionalUpdate() | ConditionalDelete() | ConditionalPatch()
        ):
            return await run_conditional(interaction, caller, services, trail)
        case Create() | Update() | Delete():
            return await run_write(interaction, caller, services, trail, content)
        case Patch():
            return await run_patch(interaction, caller, services, trail)
        case Submission():
            return await run_submission(interaction, caller, contact, services, trail, perform)
        case Operation():
            return await run_operation(interaction, caller, services, trail)
        case Capabilities():
            raise AssertionError("capabilities are public and answered above")
