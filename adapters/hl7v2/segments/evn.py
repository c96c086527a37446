"""
MSH and EVN: the Provenance, which leads from what was written to the message it comes from.

`entity.what` is the message itself, by its number in the inbox, where its exact bytes are. The
sending application is the author, on behalf of its facility; this adapter is the assembler.

HL7 v2.8, 2.14.9 (MSH) and 3.4.1 (EVN);
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-msh-to-provenance-source.html
"""

from __future__ import annotations

from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, listed, text
from adapters.hl7v2.datatypes.xpn import hd_to_reference, xcn_to_reference
from adapters.hl7v2.er7 import Message, Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import CODE_SYSTEM, V2

ASSEMBLER: Final = {"type": "Device", "display": "HL7 v2 adapter"}


def provenance(message: Message, reading: Reading, *, id: str, recorded: str, inbox_id: str) -> Json:
    """Without its targets. `recorded` is when the message was received, an instant."""
    msh, evn = message["MSH"], message.get("EVN")
    header = reading.header
    event = {"system": f"{V2}0003", "code": header.event}
    told = element(
        resourceType="Provenance",
        id=id,
        occurredDateTime=_occurred(evn, reading),
        recorded=recorded,
        location=_facility(evn),
        reason=_reason(evn, reading),
        activity=element(coding=[event], text=header.type),
        agent=listed(_author(msh), _operator(evn, reading), _agent("assembler", ASSEMBLER)),
        entity=[
            {
                "role": "source",
                "what": element(
                    identifier={"system": f"{reading.base}/sid/inbox", "value": inbox_id},
                    display=f"HL7 v2 message {text(header.control_id)}",
                ),
            }
        ],
    )
    assert told is not None, "it has a type"
    return told


def _occurred(evn: Segment | None, reading: Reading) -> str | None:
    """EVN-6, when it happened; else EVN-2, when it was recorded; else when the message was sent."""
    stated = [evn[6][1], evn[2][1]] if evn is not None else []
    moments = (dtm_to_date_time(moment, reading) for moment in (*stated, reading.header.sent))
    return next((moment for moment in moments if moment), None)


def _facility(evn: Segment | None) -> Json | None:
    return hd_to_reference(evn[7], "Location") if evn is not None else None


def _reason(evn: Segment | None, reading: Reading) -> list[Json]:
    reasons = evn[4] if evn is not None else ()
    return listed(*(cwe_to_codeable_concept(cwe, reading, table="0062") for cwe in reasons))


def _author(msh: Segment) -> Json | None:
    facility = hd_to_reference(msh[4], "Organization")
    application = hd_to_reference(msh[3], "Device")
    who = application or facility or {"display": "A sender that does not say who it is"}
    return _agent("author", who, facility if application else None)


def _operator(evn: Segment | None, reading: Reading) -> Json | None:
    first = evn[5].first if evn is not None else None
    who = xcn_to_reference(first, reading) if first else None
    return _agent("enterer", who) if who else None


def _agent(kind: str, who: Json, on_behalf_of: Json | None = None) -> Json | None:
    role = {"coding": [{"system": f"{CODE_SYSTEM}provenance-participant-type", "code": kind}]}
    return element(type=role, who=who, onBehalfOf=on_behalf_of)
