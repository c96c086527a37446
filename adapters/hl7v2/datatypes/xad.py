"""
XAD: addresses.

HL7 v2.8, 2.A.87; https://hl7.org/fhir/R4/datatypes.html#Address
"""

from __future__ import annotations

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cx import EXTENSIONS
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import ADDRESS_TYPE, ADDRESS_USE


def xad_to_address(xad: Repetition, reading: Reading) -> Json | None:
    """None when it says no more than what kind of address it is."""
    # XAD.1 is SAD since v2.4: the whole line, or number, street and name of the building.
    street = xad[1] or " ".join(part for part in (xad[1, 3], xad[1, 2]) if part)
    building = xad[1, 2] if xad[1] else ""
    place = element(
        line=[line for part in (street, building, xad[2], xad[19]) if (line := text(part))],
        city=xad[3],
        district=xad[9],
        state=xad[4],
        postalCode=xad[5],
        country=xad[6],
    )
    if place is None:
        return None
    start, end = xad[13] or xad[12, 1], xad[14] or xad[12, 2]
    kind = text(xad[7]).upper()
    return element(
        extension=listed(extension(f"{EXTENSIONS}iso21090-ADXP-censusTract", valueString=xad[10])),
        use=ADDRESS_USE.get(kind),
        type=ADDRESS_TYPE.get(kind),
        **place,
        period=element(start=dtm_to_date_time(start, reading), end=dtm_to_date_time(end, reading)),
    )
