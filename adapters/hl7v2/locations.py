"""
From what a FHIR server objects to, back to the field of the message it came from.

The server speaks of `Bundle.entry[2].resource.birthDate`; the sender knows PID-7. Only names are
taken from the server's answer: its words may quote what was sent.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.fhir_client import Issue
from adapters.hl7v2.acknowledge import Fault
from adapters.hl7v2.er7 import Segment

FIELDS: Final[Mapping[str, Mapping[str, int]]] = {
    "PID": {
        "identifier": 3,
        "name": 5,
        "birthDate": 7,
        "gender": 8,
        "address": 11,
        "telecom": 13,
        "communication": 15,
        "maritalStatus": 16,
        "multipleBirth": 25,
        "deceased": 29,
    },
    "PV1": {
        "class": 2,
        "location": 3,
        "type": 4,
        "participant": 7,
        "serviceType": 10,
        "identifier": 19,
        "hospitalization": 36,
        "period": 44,
    },
    "AL1": {"category": 2, "type": 2, "code": 3, "criticality": 4, "reaction": 5, "onset": 6},
    "DG1": {"code": 3, "onset": 5, "asserter": 16, "recordedDate": 19, "identifier": 20},
    "OBR": {
        "identifier": 3,
        "code": 4,
        "effective": 7,
        "issued": 22,
        "category": 24,
        "status": 25,
        "resultsInterpreter": 32,
        "performer": 34,
    },
    "OBX": {
        "code": 3,
        "value": 5,
        "component": 5,
        "extension": 5,
        "referenceRange": 7,
        "interpretation": 8,
        "status": 11,
        "effective": 14,
        "performer": 16,
        "method": 17,
        "device": 18,
        "bodySite": 20,
        "identifier": 21,
    },
}
"""For each segment, the field an element mostly comes from; choice types without their type."""

CODES: Final = {
    "required": "101",
    "structure": "102",
    "value": "102",
    "invalid": "102",
    "code-invalid": "103",
    "not-found": "204",
    "duplicate": "205",
    "multiple-matches": "205",
    "conflict": "206",
    "lock-error": "206",
}
"""IssueType to table 0357; what is not here is 207, application internal error."""

_ENTRY: Final = re.compile(r"Bundle\.entry\[(\d+)\](?:\.resource)?(?:\.(.*))?", re.DOTALL)
_NAME: Final = re.compile(r"_?([A-Za-z]\w*)")
_TYPED: Final = re.compile(r"([A-Z]\w*)\.?(.*)", re.DOTALL)


def faults_of(
    issues: Sequence[Issue], origins: Sequence[Segment | None], types: Sequence[str]
) -> list[Fault]:
    """
    One fault for each error. `origins` and `types` are, for each entry of the Bundle, the segment
    it comes from and its resource type. Never empty.
    """
    errors = [issue for issue in issues if issue.severity in ("error", "fatal")] or list(issues)
    faults = [_fault(issue, origins, types) for issue in errors]
    distinct = list(dict.fromkeys(faults))
    return distinct or [Fault("207", "", "The FHIR server refused the message")]


def _fault(issue: Issue, origins: Sequence[Segment | None], types: Sequence[str]) -> Fault:
    code = CODES.get(issue.code, "207")
    entry, element = _pointed(issue.expression[0] if issue.expression else "", types)
    segment = origins[entry] if entry is not None and entry < len(origins) else None
    kind = issue.code if re.fullmatch(r"[a-z-]{1,40}", issue.code) else "error"
    named = ".".join(
        part for part in (types[entry] if segment and entry is not None else "", element) if part
    )
    text = f"The FHIR server refused {named or 'the message'}: {kind}"
    if segment is None:
        return Fault(code, "", text)
    field = FIELDS.get(segment.name, {}).get(_without_type(element, segment.name))
    location = f"{segment.name}^{segment.place}" + (f"^{field}" if field else "")
    return Fault(code, location, text)


def _pointed(expression: str, types: Sequence[str]) -> tuple[int | None, str]:
    """The entry an expression points into, and the name of the element there."""
    in_bundle = _ENTRY.match(expression)
    if in_bundle:
        entry, rest = int(in_bundle[1]), in_bundle[2] or ""
        rest = rest.removeprefix("ofType(").partition(").")[2] if rest.startswith("ofType(") else rest
        return (entry if entry < len(types) else None), _first_name(rest, types)
    typed = _TYPED.match(expression)
    if typed and typed[1] in types:
        return types.index(typed[1]), _first_name(typed[2], types)
    return None, ""


def _first_name(path: str, types: Sequence[str]) -> str:
    """The first element of a path; a path may repeat the resource's type."""
    for part in path.split("."):
        name = _NAME.match(part)
        if name and name[1] not in types:
            return name[1]
    return ""


def _without_type(element: str, segment: str) -> str:
    """`valueQuantity` is `value`: a choice is named by what it is of."""
    return next(
        (name for name in FIELDS.get(segment, {}) if re.match(rf"{name}(?:[A-Z]|$)", element)), element
    )
