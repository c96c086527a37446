"""
FHIR's XML, in and out: the same resource in another notation.

JSON to XML to JSON loses nothing: numbers keep their digits, narratives their characters,
primitives their ids and extensions. Two ways to say the same in JSON become one: an array of
nothing but nulls beside `_given` is left out, and white space around a `div` is dropped.

What FHIR leaves open, or leaves to the parser:

* the order of elements is that of R4's definitions, in and out; another order is refused
* comments, processing instructions and white space between elements are no part of a
  resource and are passed over; inside a `div` they are part of its text
* the narrative is kept as it was written, from `<div` to `</div>`; a namespace that was
  declared around it is declared in it, so that it can stand alone in JSON
* entities other than XML's own five need a document type, which is refused: `&#160;` can be
  written, `&nbsp;` cannot
* `xsi:schemaLocation` is refused, as any attribute that FHIR does not have
* JSON's depth is the limit in XML, too, so what was read from one can be written as the other

* `shapes.py`   R4's facts, compiled for XML
* `parser.py`   expat, hardened
* `reader.py`, `writer.py`   the two directions

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from fhir_server.r4.xml.reader import from_xml
from fhir_server.r4.xml.writer import to_xml

__all__ = ["from_xml", "to_xml"]
