"""
NTE: a note to the segment before it.

HL7 v2.8, 2.14.10; https://hl7.org/fhir/R4/datatypes.html#Annotation
"""

from __future__ import annotations

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.datatypes.xpn import xcn_to_reference
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.reading import Reading


def nte_to_annotation(nte: Segment, reading: Reading) -> Json | None:
    """Repetitions of NTE-3 are the lines of one comment. None without one."""
    lines = [text(line.whole) for line in nte[3].repetitions]
    comment = "\n".join(lines).strip()
    if not comment:
        return None
    author = nte[5].first
    return element(
        authorReference=xcn_to_reference(author, reading) if author else None,
        time=dtm_to_date_time(nte[6][1], reading),
        text=comment,
    )
