"""What no patch may change. https://hl7.org/fhir/R4/http.html#patch."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.patch import require_identity_kept

META: dict[str, Any] = {"versionId": "7", "lastUpdated": "2024-02-29T13:28:17Z", "tag": [{"code": "a"}]}
BEFORE = {
    "resourceType": "Patient",
    "id": "1",
    "meta": META,
    "active": True,
}


def meta(**changes: Any) -> dict[str, Any]:
    return {**META, **changes}


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        {**BEFORE, "active": False},
        {**BEFORE, "meta": meta(tag=[], profile=["http://example.org/p"])},
    ],
)
def test_everything_else_may_change(after: dict[str, Any]) -> None:
    require_identity_kept(BEFORE, after)


@pytest.mark.parametrize(
    ("after", "expressions"),
    [
        ({**BEFORE, "resourceType": "Person"}, ["Patient.resourceType"]),
        ({**BEFORE, "id": "2"}, ["Patient.id"]),
        ({name: value for name, value in BEFORE.items() if name != "id"}, ["Patient.id"]),
        ({**BEFORE, "meta": meta(versionId="8")}, ["Patient.meta.versionId"]),
        ({**BEFORE, "meta": meta(lastUpdated=None)}, ["Patient.meta.lastUpdated"]),
        ({**BEFORE, "meta": []}, ["Patient.meta.versionId", "Patient.meta.lastUpdated"]),
        (
            {},
            ["Patient.resourceType", "Patient.id", "Patient.meta.versionId", "Patient.meta.lastUpdated"],
        ),
    ],
)
def test_identity_and_version_may_not(after: dict[str, Any], expressions: list[str]) -> None:
    with pytest.raises(Unprocessable) as refusal:
        require_identity_kept(BEFORE, after)
    assert [issue.expression for issue in refusal.value.issues] == [(name,) for name in expressions]


def test_a_version_may_not_be_given_to_what_has_none() -> None:
    with pytest.raises(Unprocessable):
        require_identity_kept(
            {"resourceType": "Patient"}, {"resourceType": "Patient", "meta": {"versionId": "1"}}
        )
