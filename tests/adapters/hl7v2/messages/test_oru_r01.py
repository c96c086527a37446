"""ORU^R01: each result is found again by what it is, and no result is lost or taken for another."""

from __future__ import annotations

import pytest

from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.reading import Rejection
from adapters.hl7v2.statement import applied
from tests.adapters.hl7v2.builders import SYSTEMS, a_patient, an_oru, translated

PID = "PID|1||4711^^^GH^MR||Muster^Erika"
PAD = "|" * 21


def an_obr(number: str = "F1", code: str = "1^A^L", status: str = "F", time: str = "20260101") -> str:
    return f"OBR|1||{number}|{code}|||{time}" + "|" * 18 + status


def an_obx(
    code: str = "2^B^L", value: str = "1", *, sub: str = "", status: str = "F", kind: str = "NM"
) -> str:
    return f"OBX|1|{kind}|{code}|{sub}|{value}||||||{status}"


def of_type(drafts: list[Draft], resource_type: str) -> list[Draft]:
    return [draft for draft in drafts if draft.type == resource_type]


def ids(*segments: str, **header: str) -> list[str]:
    return [draft.id for draft in of_type(translated(an_oru(PID, *segments, **header)), "Observation")]


def test_a_correction_meets_the_result_it_corrects() -> None:
    first = ids(an_obr(), an_obx(value="1"), control_id="1")
    assert ids(an_obr(), an_obx(value="2", status="C"), control_id="2") == first


@pytest.mark.parametrize(
    "other",
    [
        (an_obr(number="F2"), an_obx()),
        (an_obr(), an_obx(code="3^C^L")),
        (an_obr(), an_obx(sub="2")),
    ],
)
def test_another_order_code_or_part_is_another_result(other: tuple[str, str]) -> None:
    assert ids(*other) != ids(an_obr(), an_obx())


def test_equals_are_told_apart_by_their_place() -> None:
    found = ids(an_obr(), an_obx(value="1"), an_obx(value="2"))
    assert len(set(found)) == 2
    assert ids(an_obr(), an_obx(value="1"), an_obx(value="3")) == found


def test_the_instance_identifier_is_kept_but_does_not_decide() -> None:
    def with_instance(instance: str) -> list[Draft]:
        return of_type(translated(an_oru(PID, an_obr(), an_obx() + "|" * 10 + instance)), "Observation")

    (one,), (two,) = with_instance("A^X"), with_instance("B^X")
    assert one.id == two.id
    assert one.statement["identifier"][0]["value"] == "A"


def test_a_number_used_again_for_another_patient_overwrites_nothing() -> None:
    other = translated(an_oru(PID.replace("4711", "4712"), an_obr(), an_obx()))
    assert of_type(other, "Observation")[0].id not in ids(an_obr(), an_obx())


def test_an_order_without_a_number_is_known_by_what_and_when() -> None:
    first = ids(an_obr(number=""), an_obx(), control_id="1")
    assert ids(an_obr(number=""), an_obx(), control_id="2") == first
    assert ids(an_obr(number="", time="20260102"), an_obx()) != first
    assert ids(an_obr(number="", time=""), an_obx(), control_id="1") != ids(
        an_obr(number="", time=""), an_obx(), control_id="2"
    )


def test_the_order_number_may_stand_in_the_orc() -> None:
    assert ids("ORC|RE||F1", an_obr(number=""), an_obx()) == ids(an_obr(), an_obx())


def test_a_result_under_a_specimen_is_a_result() -> None:
    drafts = translated(an_oru(PID, an_obr(), an_obx(), "SPM|1|^S1||SER^Serum^HL70487", an_obx(code="9^Q^L")))
    report = of_type(drafts, "DiagnosticReport")[0].statement
    assert len(report["result"]) == 2
    assert report["specimen"][0]["display"] == "Serum"
    assert all(draft.statement["specimen"]["display"] == "Serum" for draft in of_type(drafts, "Observation"))


def test_with_several_specimens_a_result_is_of_the_one_it_stands_under() -> None:
    drafts = translated(
        an_oru(
            PID,
            an_obr(),
            an_obx(),
            "SPM|1|^S1||SER",
            an_obx(code="8^X^L"),
            "SPM|2|^S2||UR",
            an_obx(code="9^Y^L"),
        )
    )
    specimens = [
        draft.statement.get("specimen", {}).get("display") for draft in of_type(drafts, "Observation")
    ]
    assert specimens == [None, "SER", "UR"]


def test_notes_belong_to_what_they_follow() -> None:
    drafts = translated(
        an_oru(
            PID, "NTE|1||of the patient", an_obr(), "NTE|1||of the order", an_obx(), "NTE|1||of the result"
        )
    )
    report, result = of_type(drafts, "DiagnosticReport")[0], of_type(drafts, "Observation")[0]
    assert [one["valueAnnotation"]["text"] for one in report.statement["extension"]] == ["of the order"]
    assert [one["text"] for one in result.statement["note"]] == ["of the result"]


def test_a_time_of_the_result_wins_over_that_of_the_order() -> None:
    timed = an_obx() + "|||20260105"
    one, two = of_type(translated(an_oru(PID, an_obr(), timed, an_obx(code="3^C^L"))), "Observation")
    assert (one.statement["effectiveDateTime"], two.statement["effectiveDateTime"]) == (
        "2026-01-05",
        "2026-01-01",
    )


def test_the_patient_is_made_when_absent_and_left_alone_otherwise() -> None:
    known = Found({Token(f"{SYSTEMS}/sid/GOODHEALTH/GH", "4711"): [a_patient()]})
    patient = translated(an_oru(), known)[0]
    assert (patient.type, patient.id, patient.mode) == ("Patient", "1", "create")


@pytest.mark.parametrize("status", ["U", "D", "W"])
def test_a_status_alone_leaves_the_value_that_was_sent_before(status: str) -> None:
    draft = of_type(translated(an_oru(PID, an_obr(), an_obx(value="", status=status))), "Observation")[0]
    before = {"resourceType": "Observation", "status": "preliminary", "valueQuantity": {"value": 1}}
    now = applied(draft.statement, before)
    assert draft.mode == "merge"
    assert (now["status"], now["valueQuantity"]) == (
        "final" if status == "U" else "entered-in-error",
        {"value": 1},
    )


@pytest.mark.parametrize("status", ["Y", "Z"])
def test_a_report_of_no_order_or_patient_is_refused(status: str) -> None:
    with pytest.raises(Rejection) as refused:
        translated(an_oru(PID, an_obr(status=status), an_obx()))
    assert (refused.value.code, refused.value.location) == ("204", "OBR^1^25")


@pytest.mark.parametrize("segments", [("OBR|1",), (PID,)])
def test_a_report_of_nobody_or_nothing_is_refused(segments: tuple[str, ...]) -> None:
    with pytest.raises(Rejection) as refused:
        translated(an_oru(*segments))
    assert refused.value.code == "100"


def test_a_visit_is_linked_and_made_when_absent() -> None:
    drafts = translated(an_oru(PID, "PV1|1|O|||||||||||||||||V1^^^GH^VN", an_obr(), an_obx()))
    encounter = of_type(drafts, "Encounter")[0]
    assert encounter.mode == "create"
    assert of_type(drafts, "Observation")[0].statement["encounter"]["reference"] == encounter.reference
    assert of_type(translated(an_oru(PID, "PV1|1|O", an_obr(), an_obx())), "Encounter") == []
