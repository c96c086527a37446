"""No patch leaves a narrative that tells what was: https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.patch.narrative import without_stale_narrative
from fhir_server.r4.resource import Resource, from_text


def a_text(status: str, told: str = "male") -> dict[str, Any]:
    return {"status": status, "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{told}</div>'}


def a_patient(**stated: Any) -> Resource:
    return {"resourceType": "Patient", "id": "x", "gender": "male", **stated}


@pytest.mark.parametrize("status", ["generated", "extensions"])
def test_a_narrative_made_from_the_data_goes_when_they_change(status: str) -> None:
    before = a_patient(text=a_text(status))
    after = a_patient(text=a_text(status), gender="female")
    assert without_stale_narrative(before, after) == a_patient(gender="female")


@pytest.mark.parametrize("status", ["generated", "extensions", "additional", "empty"])
@pytest.mark.parametrize(
    "change",
    [{}, {"meta": {"tag": [{"code": "x"}]}}, {"text": a_text("additional", "female"), "gender": "female"}],
)
def test_a_narrative_stays_when_the_data_do_or_when_the_patch_brings_it(
    status: str, change: dict[str, Any]
) -> None:
    before = a_patient(text=a_text(status))
    after = {**before, **change}
    assert without_stale_narrative(before, after) == after


def test_a_narrative_that_says_nothing_stays() -> None:
    after = a_patient(text=a_text("empty"), gender="female")
    assert without_stale_narrative(a_patient(text=a_text("empty")), after) == after


def test_a_narrative_that_says_more_than_the_data_is_the_patchs_to_change() -> None:
    before, after = (
        a_patient(text=a_text("additional")),
        a_patient(text=a_text("additional"), gender="female"),
    )
    with pytest.raises(Unprocessable) as refused:
        without_stale_narrative(before, after)
    assert refused.value.issues[0].expression == ("Patient.text",)
    assert "male" not in str(refused.value)


def test_a_resource_without_a_narrative_is_left_as_it_is() -> None:
    for after in (a_patient(gender="female"), {"resourceType": "Binary", "contentType": "text/plain"}):
        assert without_stale_narrative(a_patient(), after) is after


def test_numbers_are_compared_as_they_are_written() -> None:
    def a_basic(number: bytes) -> Resource:
        text = b'"text":{"status":"generated","div":"x"}'
        return from_text(b'{"resourceType":"Basic",%b,"extension":[{"valueDecimal":%b}]}' % (text, number))

    same = without_stale_narrative(a_basic(b"1.00"), a_basic(b"1.00"))
    other = without_stale_narrative(a_basic(b"1.00"), a_basic(b"1.0"))
    assert ("text" in same, "text" in other) == (True, False)
