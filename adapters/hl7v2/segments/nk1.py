"""
NK1: next of kin and other contacts, as Patient.contact.

The NK1 segments of a message are the contacts there are, so they replace those present.

HL7 v2.8, 3.4.5; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-nk1-to-patient.html
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept
from adapters.hl7v2.datatypes.dtm import dtm_to_date
from adapters.hl7v2.datatypes.element import element, listed
from adapters.hl7v2.datatypes.xad import xad_to_address
from adapters.hl7v2.datatypes.xpn import xon_to_reference, xpn_to_human_name
from adapters.hl7v2.datatypes.xtn import xtn_to_contact_point
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.statement import Statement
from adapters.hl7v2.tables import ADMINISTRATIVE_SEX, RELATIONSHIP


def contacts(statement: Statement, segments: Sequence[Segment], reading: Reading) -> None:
    found = listed(*(_contact(nk1, reading) for nk1 in segments))
    if found:
        statement["contact"] = found


def _contact(nk1: Segment, reading: Reading) -> Json | None:
    name, address, organization = nk1[2].first, nk1[4].first, nk1[13].first
    reached = element(
        name=xpn_to_human_name(name, reading) if name else None,
        telecom=listed(
            *(xtn_to_contact_point(xtn, reading) for xtn in nk1[5]),
            *(xtn_to_contact_point(xtn, reading, use="work") for xtn in nk1[6]),
            *(xtn_to_contact_point(xtn, reading) for xtn in nk1[40]),
        ),
        address=xad_to_address(address, reading) if address else None,
        organization=xon_to_reference(organization, reading) if organization else None,
    )
    if reached is None:
        # pat-1: a contact says at least who, where or how.
        for field in (nk1[3], nk1[7]):
            reading.expect_nothing(field)
        return None
    return element(
        relationship=listed(
            *(
                cwe_to_codeable_concept(cwe, reading, table=table, meanings=meanings)
                for field, table, meanings in ((nk1[3], "0063", RELATIONSHIP), (nk1[7], "0131", None))
                for cwe in field
            )
        ),
        **reached,
        gender=ADMINISTRATIVE_SEX.get(nk1[15][1].upper()),
        period=element(start=dtm_to_date(nk1[8][1]), end=dtm_to_date(nk1[9][1])),
    )
