"""
NM, SN and NR: numbers as they were written, with the units that OBX-6 gives them.

`1.50` stays 1.50. A unit has a code only when the message says which system it is of: a `mg` of
nobody knows what is text, not UCUM.

HL7 v2.8, 2.A.46 and 2.A.72; https://hl7.org/fhir/R4/datatypes.html#Quantity
"""

from __future__ import annotations

import re
from typing import Final

from adapters.fhir_json import Json, Number
from adapters.hl7v2.datatypes.cwe import code_system
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import CODE_SYSTEMS

UCUM: Final = CODE_SYSTEMS["UCUM"]
COMPARATORS: Final = frozenset(("<", "<=", ">=", ">"))

_NUMBER: Final = re.compile(r"([+-]?)(\d*)(\.\d+|\.)?", re.ASCII)
_COMPARED: Final = re.compile(r"(<=|>=|<|>)?\s*(.*)", re.DOTALL)
_DIGITS_MAX: Final = 40


def nm_to_number(value: str) -> int | Number | None:
    """The number with the digits it has; JSON wants one before the point and no `+`."""
    found = _NUMBER.fullmatch(value.strip())
    if not found or not (found[2] or (found[3] or "").strip(".")) or len(value) > _DIGITS_MAX:
        return None
    whole = found[2].lstrip("0") or "0"
    fraction = (found[3] or "").rstrip() if found[3] != "." else ""
    written = ("-" if found[1] == "-" else "") + whole + fraction
    return Number(written) if fraction or written == "-0" or len(written) > 18 else int(written)


def nm_to_quantity(value: str, units: Repetition | None, reading: Reading) -> Json | None:
    """`<0.5` is read as what it means, though NM does not allow it."""
    found = _COMPARED.fullmatch(value.strip())
    assert found is not None, "the pattern matches every text"
    number = nm_to_number(found[2])
    if number is None:
        return None
    return element(value=number, comparator=found[1], **unit_of(units, reading))


def sn_to_value(sn: Repetition, units: Repetition | None, reading: Reading) -> Json | None:
    """
    The value[x] of a structured numeric: a range, a ratio, a quantity, or as it reads.
    """
    comparator, first, separator, second = (text(sn[part]) for part in (1, 2, 3, 4))
    low, high = nm_to_number(first), nm_to_number(second)
    unit = unit_of(units, reading)
    if comparator in ("", "=") and separator == "-" and None not in (low, high):
        return {"valueRange": {"low": {"value": low, **unit}, "high": {"value": high, **unit}}}
    if comparator != "<>" and separator in (":", "/") and None not in (low, high):
        numerator = element(value=low, comparator=_comparator(comparator), **unit)
        return {"valueRatio": {"numerator": numerator, "denominator": {"value": high}}}
    if comparator in ("", "=", *COMPARATORS) and low is not None and not separator and not second:
        return {"valueQuantity": element(value=low, comparator=_comparator(comparator), **unit)}
    reads = " ".join(
        part for part in (comparator, first, separator, second, str(unit.get("unit", ""))) if part
    )
    return {"valueString": reads} if reads else None


def nr_to_range(nr: Repetition, units: Repetition | None, reading: Reading) -> Json | None:
    unit = unit_of(units, reading)
    low, high = nm_to_number(nr[1]), nm_to_number(nr[2])
    return element(
        low={"value": low, **unit} if low is not None else None,
        high={"value": high, **unit} if high is not None else None,
    )


def unit_of(units: Repetition | None, reading: Reading) -> Json:
    """unit, system and code of a Quantity, from OBX-6; the alternate when that one is UCUM."""
    if units is None:
        return {}
    triplets = [(units[1], units[2], units[3]), (units[4], units[5], units[6])]
    named = [
        (text(code), text(shown), code_system(text(system), "", reading)) for code, shown, system in triplets
    ]
    code, shown, system = next((one for one in named if one[2] == UCUM), named[0])
    coded = {"system": system, "code": code} if system and code and not re.search(r"\s", code) else {}
    return {**({"unit": shown or code} if shown or code else {}), **coded}


def _comparator(comparator: str) -> str | None:
    return comparator if comparator in COMPARATORS else None
