"""
Real resources: all of HL7's own examples and definitions, and a synthetic population.

conformance/r4_examples.md lists the examples that break a rule of R4, each with the reason.
`python -m tests.r4.test_examples` writes it.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fhir_server.r4.resource import from_text
from fhir_server.r4.validation import validate
from tests.r4.packages import EXAMPLES, SYNTHEA

DOCUMENT: Final = Path(__file__).parents[2] / "conformance" / "r4_examples.md"

_EXTENSION_PARAMETER: Final = "R4 publishes ten parameters on extensions without saying of what type"

REASONS: Final = {
    "ActivityDefinition-blood-tubes-supply": "the narrative is an empty `div`",
    "ActivityDefinition-heart-valve-replacement": "the narrative is an empty `div`",
    "Bundle-dataelements": "two data elements have one fullUrl and no version",
    "DeviceMetric-example": "refers to a DeviceDefinition; the element allows a Device",
    "DeviceUseStatement-example": "refers to a Procedure, which is not among the allowed types",
    "EventDefinition-example": "the narrative is an empty `div`",
    "ImplementationGuide-fhir": "a build product: no name, no status, an id of 67 characters in a reference",
    "MedicationRequest-medrx0301": "refers to a Practitioner; the element allows an Organization",
    "Observation-clinical-gender": "an Encounter as performer",
    "PlanDefinition-example-cardiology-os": "names two contained resources that are not there",
    "Questionnaire-qs1": "items without linkId",
    "Questionnaire-zika-virus-exposure-assessment": "the narrative has only white space",
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject": (
        "the id has 67 characters, R4 allows 64"
    ),
    **dict.fromkeys(
        ("StructureDefinition-Definition", "StructureDefinition-Event", "StructureDefinition-FiveWs"),
        "a pattern that derives from nothing and is not abstract",
    ),
    "StructureDefinition-Request": "a pattern that derives from nothing and is not abstract",
    "ig-r4": "the same resource as ImplementationGuide-fhir",
}


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="hl7.fhir.r4.examples is not here")
def test_each_example_that_is_refused_is_explained() -> None:
    assert DOCUMENT.read_text() == _document(), "run `python -m tests.r4.test_examples`"


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the synthetic population is not here")
def test_the_synthetic_population_breaks_no_rule() -> None:
    count = 0
    for path in sorted(SYNTHEA.glob("*.json.gz")):
        bundle = from_text(gzip.decompress(path.read_bytes()))
        assert validate(bundle, expected_type="Bundle") == (), path.name
        for entry in bundle["entry"]:
            assert validate(entry["resource"]) == (), entry["fullUrl"]
        count += len(bundle["entry"])
    assert count == 17_421


def _document() -> str:
    """conformance/r4_examples.md."""
    examples = list(_examples())
    rows = [row for name, resource in examples for row in _rows(name, resource)]
    refused = len({row.split(" | ")[0] for row in rows})
    types = {resource["resourceType"] for _, resource in examples}
    return "\n".join(
        (
            "# HL7's own examples against R4's own rules",
            "",
            f"All {len(examples):,} resources of `hl7.fhir.r4.examples@4.0.1` ({len(types)} types) were",
            f"validated: {len(examples) - refused:,} break no rule, {refused} do. Each of those breaks one",
            "that R4 itself states; in the element column `[]` stands for any place. Written by",
            "`python -m tests.r4.test_examples`.",
            "",
            "| resource | element | times | rule | what is wrong with it |",
            "|---|---|---|---|---|",
            *rows,
            "",
        )
    )


def _examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(EXAMPLES.glob("*-*.json")):
        yield path.stem, from_text(path.read_bytes())


def _rows(name: str, resource: dict[str, Any]) -> Iterator[str]:
    broken: Counter[tuple[str, str]] = Counter()
    for issue in validate(resource):
        if issue.severity != "error":
            continue
        element = re.sub(r"\[\d+\]", "[]", issue.expression[0])
        rule = issue.diagnostics.removeprefix(f"`{issue.expression[0]}` ")
        broken[element, rule] += 1
    for (element, rule), times in broken.items():
        yield f"| {name} | `{element}` | {times} | {rule} | {_reason(name)} |"


def _reason(name: str) -> str:
    if "-extensions-" in name and name not in REASONS:
        return _EXTENSION_PARAMETER
    return REASONS[name]


if __name__ == "__main__":
    sys.stdout.write(_document())
