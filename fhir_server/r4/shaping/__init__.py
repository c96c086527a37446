"""
How much of a resource is shown: `_summary` and `_elements`.

A `Shape` is what the client asked for, `shaped` what is left of a resource's text. Nothing is
rebuilt: each value that stays is the text it was stored as. What was cut carries the tag
SUBSETTED, so that nobody takes it for the whole.

https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from fhir_server.r4.shaping.cutting import shaped
from fhir_server.r4.shaping.shape import GENERAL_PARAMETERS, WHOLE, Shape, shape_of, shape_of_one
from fhir_server.r4.shaping.tag import SUBSETTED, tagged

__all__ = [
    "GENERAL_PARAMETERS",
    "SUBSETTED",
    "WHOLE",
    "Shape",
    "shape_of",
    "shape_of_one",
    "shaped",
    "tagged",
]
