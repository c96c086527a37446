"""
Purposes of use and what they subsume: whoever may treat may treat in an emergency.

https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html, as published with R4 4.0.1.
"""

from __future__ import annotations

from functools import cache
from typing import Final

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

TREATMENT: Final = "TREAT"
PAYMENT: Final = "HPAYMT"
OPERATIONS: Final = "HOPERAT"
RESEARCH: Final = "HRESCH"
BREAK_GLASS: Final = "BTG"

_NARROWER: Final[dict[str, tuple[str, ...]]] = {
    "TREAT": ("CLINTRL", "COC", "ETREAT", "POPHLTH"),
    "ETREAT": ("BTG", "ERTREAT"),
    "HPAYMT": ("CLMATTCH", "COVAUTH", "COVERAGE", "REMITADV"),
    "COVERAGE": ("ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG"),
    "HOPERAT": (
        *("CAREMGT", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL"),
        *("HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN", "MEMADMIN", "MILCDM", "PATADMIN", "PATSFTY"),
        *("PERFMSR", "RECORDMGT", "SYSDEV", "TRAIN"),
    ),
    "HSYSADMIN": ("LABELING", "METAMGT"),
    "SYSDEV": ("HTEST",),
    "HRESCH": ("BIORCH", "CLINTRCH", "DSRCH", "POARCH", "TRANSRCH"),
    "CLINTRCH": ("CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH"),
    "PATRQT": ("FAMRQT", "PWATRNY", "SUPNWK"),
    "PUBHLTH": ("DISASTER", "THREAT"),
}


@cache
def subsumed(purpose: str) -> frozenset[str]:
    """`purpose` and all that it subsumes; an unknown one subsumes itself alone."""
    narrower = (subsumed(code) for code in _NARROWER.get(purpose, ()))
    return frozenset((purpose,)).union(*narrower)
