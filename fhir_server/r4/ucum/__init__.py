"""
UCUM, as far as two quantities are to be compared: which units are commensurable, and by what.

`unit(code)` says in which unit quantities of this code are compared, and converts exactly.

* `table.py`   UCUM's own table of prefixes and atoms, as published
* `codes.py`   a code becomes a measure: a factor and a dimension
* `units.py`   a measure becomes decimals

https://ucum.org/ucum
"""

from __future__ import annotations

from fhir_server.r4.ucum.units import SYSTEM, Unit, unit

__all__ = ["SYSTEM", "Unit", "unit"]
