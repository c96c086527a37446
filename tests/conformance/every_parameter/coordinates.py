"""
MolecularSequence's coordinates, the composites of three parts: a code, a beginning and an end.

Written down, since there are four. The twin has each of the three values, the end of another variant.

https://hl7.org/fhir/R4/molecularsequence.html#search
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

PARTS: Final = 3
_CODED: Final = {"chromosome": "chromosome", "referenceseqid": "referenceSeqId"}


def stored(code: str, n: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is looked for, and the twin."""
    return _sequence(f"has-{n}", code, ends=(1200, 1400)), _sequence(f"twin-{n}", code, ends=(1300, 1200))


def values() -> Iterator[str]:
    """Searches that find the one and not the other."""
    for form in ("c", "urn:c|c", "urn:c|"):
        yield f"{form}$1100$1200"
        yield f"{form}$ge1100$lt1250"
        yield f"{form}$gt1090$ne1300"


def _sequence(id: str, code: str, *, ends: tuple[int, int]) -> dict[str, Any]:
    parameter, _, of = code.removesuffix("-coordinate").partition("-")
    reference = {
        _CODED[parameter]: {"coding": [{"system": "urn:c", "code": "c"}]},
        "genomeBuild": "GRCh38",
        "windowStart": 1100,
        "windowEnd": ends[0],
    }
    if "chromosome" not in reference:
        del reference["genomeBuild"]
    sequence: dict[str, Any] = {
        "resourceType": "MolecularSequence",
        "id": id,
        "coordinateSystem": 1,
        "referenceSeq": reference,
    }
    if of == "variant":
        sequence["variant"] = [
            {"start": start, "end": end} for start, end in zip((1100, 1050), ends, strict=True)
        ]
    return sequence
