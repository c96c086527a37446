"""
HL7's npm packages, where somebody has them.

Unpacked as `build.py` says, beside the checkout in `shared/`, or where FHIR_R4_EXAMPLES and
FHIR_R4_EXPANSIONS point to (the folder that has the JSON files).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHARED: Final = Path(__file__).parents[3] / "shared"
SYNTHEA: Final = SHARED / "data" / "synthea"


def _package(name: str, variable: str) -> Path:
    unpacked = SHARED / f"hl7.fhir.r4.{name}-4.0.1" / "package"
    return Path(os.environ.get(variable) or unpacked)


EXAMPLES: Final = _package("examples", "FHIR_R4_EXAMPLES")
EXPANSIONS: Final = _package("expansions", "FHIR_R4_EXPANSIONS")
