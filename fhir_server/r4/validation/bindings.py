"""
Required bindings: the code must be one of the value set's.

R4 binds `code` elements, and a few CodeableConcepts. Of those at least one coding must be in
the set; text alone is not enough. Where a value set is made by a grammar (media types) the
grammar is checked; UCUM units and the one LOINC list that HL7 does not publish are not.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.primitives import PRIMITIVES, Check, Problem
from fhir_server.r4.validation.scope import Hook, Path, Scope

_MEDIA_TYPES: Final = "urn:ietf:bcp:13"
# The names of RFC 6838; what follows `;` is left to who reads it, as R4's own examples have
# parameters that RFC 2045 would want in quotes.
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]*/[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]*(?: ?;[^\x00-\x1f]*)?"
)
_FORMATS: Final = frozenset(("json", "ttl", "xml"))
"""R4's short names for its own media types, in CapabilityStatement.format and TestScript."""


_NO_MEDIA_TYPE: Final = Problem("code-invalid", "must be a media type, such as text/plain")


def code_check(value_set: str) -> Check:
    """The check of a `code` that is bound to `value_set`."""
    well_formed = PRIMITIVES["code"]
    systems = definitions().value_sets.get(value_set)
    if systems is None:
        return well_formed
    if _MEDIA_TYPES in systems:
        return _media_type
    codes = frozenset().union(*systems.values())
    problem = Problem("code-invalid", f"must be a code of {value_set}")

    def check(value: object) -> Problem | None:
        if isinstance(value, str) and value in codes:
            return None
        return well_formed(value) or problem

    return check if codes else well_formed


def concept_hook(value_set: str) -> Hook | None:
    """The rule of a CodeableConcept that is bound to `value_set`; None when its codes are not known."""
    systems = definitions().value_sets.get(value_set)
    if systems is None:
        return None
    known = systems

    def judge(value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        if "coding" not in value and "text" not in value:
            # Nothing is said but an extension, which tells why.
            return
        codings = value.get("coding")
        if not isinstance(codings, list) or not any(_is_in(known, coding) for coding in codings):
            scope.report("code-invalid", path, f"must have a coding of {value_set}")

    return judge


def _is_in(systems: Mapping[str, frozenset[str]], coding: object) -> bool:
    if not isinstance(coding, dict):
        return False
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str) or system not in systems:
        return False
    return code in systems[system] if systems[system] else True


def _media_type(value: object) -> Problem | None:
    problem = PRIMITIVES["code"](value)
    if problem is not None or value in _FORMATS or _MEDIA_TYPE.fullmatch(str(value)):
        return problem
    return _NO_MEDIA_TYPE
