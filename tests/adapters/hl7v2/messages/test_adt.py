"""ADT: the record says afterwards what the message says, and what it said before of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.fhir_json import Json
from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.messages import TRANSLATORS
from adapters.hl7v2.reading import Rejection, unmapped
from adapters.hl7v2.senders import Sender
from adapters.hl7v2.statement import applied
from tests.adapters.hl7v2.builders import SYSTEMS, a_message, a_patient, a_reading, parsed, translated

GH = f"{SYSTEMS}/sid/GOODHEALTH/GH"
MR = {"system": GH, "value": "4711"}


def known(*patients: Json, encounters: tuple[Json, ...] = ()) -> Found:
    return Found({Token(GH, "4711"): patients}, {Token(GH, "V1"): encounters})


def after(raw: bytes, resource_type: str, present: Json | None = None, found: Found | None = None) -> Json:
    drafts = [draft for draft in translated(raw, found) if draft.type == resource_type]
    (draft,) = drafts
    return applied(draft.statement, present)


def a_pid(**fields: str) -> str:
    """PID with these fields: `a_pid(f8="F")`."""
    numbered = {3: "4711^^^GH^MR", **{int(name[1:]): text for name, text in fields.items()}}
    return "|".join(["PID", *(numbered.get(number, "") for number in range(1, 41))]).rstrip("|")


def a_pv1(**fields: str) -> str:
    numbered = {2: "I", 19: "V1^^^GH^VN", **{int(name[1:]): text for name, text in fields.items()}}
    return "|".join(["PV1", *(numbered.get(number, "") for number in range(1, 55))]).rstrip("|")


def patient_after(present: Json | None, **fields: str) -> Json:
    found = known(present) if present else None
    return after(a_message(a_pid(**fields), type="ADT^A08^ADT_A01"), "Patient", present, found)


def test_an_empty_field_says_nothing() -> None:
    present = a_patient(
        gender="female",
        birthDate="1964-08-12",
        name=[{"family": "Muster"}],
        address=[{"city": "Bonn"}],
        maritalStatus={"text": "m"},
        extension=[{"url": "http://x.example", "valueString": "kept"}],
    )
    assert {**patient_after(present), "identifier": None} == {**present, "identifier": None}


def test_null_deletes() -> None:
    present = a_patient(
        gender="female",
        birthDate="1964-08-12",
        _birthDate={"extension": []},
        name=[{"family": "M"}, {"use": "nickname", "given": ["N"]}],
        telecom=[{"use": "home", "value": "1"}, {"use": "work", "value": "2"}],
        deceasedDateTime="2020",
    )
    gone = patient_after(present, f7='""', f8='""', f9='""', f13='""', f29='""')
    assert gone.keys() & {"gender", "birthDate", "_birthDate", "deceasedDateTime"} == set()
    assert gone["name"] == [{"family": "M"}]
    assert gone["telecom"] == [{"use": "work", "value": "2"}]


def test_a_name_replaces_names_and_leaves_the_nickname() -> None:
    present = a_patient(name=[{"use": "official", "family": "Old"}, {"use": "nickname", "given": ["Riki"]}])
    assert patient_after(present, f5="New^Erika^^^^^L")["name"] == [
        {"use": "official", "family": "New", "given": ["Erika"]},
        {"use": "nickname", "given": ["Riki"]},
    ]


def test_a_home_number_leaves_the_number_at_work() -> None:
    present = a_patient(telecom=[{"use": "home", "value": "1"}, {"use": "work", "value": "2"}])
    assert [one["value"] for one in patient_after(present, f13="3")["telecom"]] == ["3", "2"]
    assert [one["value"] for one in patient_after(present, f13="^WPN^PH^^^^^^^^^4")["telecom"]] == ["4"]
    assert [one["value"] for one in patient_after(present, f40="5")["telecom"]] == ["5"]


def test_identifiers_of_other_systems_stay() -> None:
    elsewhere = {"system": "urn:oid:1.2.3.4", "value": "9"}
    present = a_patient(identifier=[elsewhere, {"system": GH, "value": "old"}])
    identifiers = patient_after(present)["identifier"]
    assert [(one["system"], one["value"]) for one in identifiers] == [(GH, "4711"), ("urn:oid:1.2.3.4", "9")]


def test_an_extension_is_replaced_by_its_url_alone() -> None:
    religion = "http://hl7.org/fhir/StructureDefinition/patient-religion"
    present = a_patient(
        extension=[{"url": religion, "valueString": "x"}, {"url": "http://x.example", "valueString": "y"}]
    )
    urls = [one["url"] for one in patient_after(present, f17="LUT")["extension"]]
    assert urls == [religion, "http://x.example"]
    assert [one["url"] for one in patient_after(present, f17='""')["extension"]] == ["http://x.example"]


@pytest.mark.parametrize(
    ("fields", "present", "expected"),
    [
        ({"f30": "Y"}, {}, {"deceasedBoolean": True}),
        ({"f30": "N"}, {"deceasedDateTime": "2020"}, {"deceasedBoolean": False}),
        ({"f29": "20260101"}, {"deceasedBoolean": True}, {"deceasedDateTime": "2026-01-01"}),
        ({"f29": "20260101", "f30": "Y"}, {}, {"deceasedDateTime": "2026-01-01"}),
        ({"f30": "Y"}, {"deceasedDateTime": "2020"}, {"deceasedDateTime": "2020"}),
        ({"f29": '""', "f30": "Y"}, {"deceasedDateTime": "2020"}, {"deceasedBoolean": True}),
        ({"f24": "Y"}, {"multipleBirthInteger": 2}, {"multipleBirthBoolean": True}),
        ({"f24": "Y", "f25": "2"}, {"multipleBirthBoolean": True}, {"multipleBirthInteger": 2}),
        ({"f30": '""'}, {"deceasedBoolean": True}, {}),
    ],
)
def test_a_choice_has_one_value(fields: dict[str, str], present: Json, expected: Json) -> None:
    found = patient_after(a_patient(**present), **fields)
    choices = {name: value for name, value in found.items() if name.startswith(("deceased", "multiple"))}
    assert choices == expected


def test_the_deciding_identifier_is_by_type_then_the_first() -> None:
    def decides(text: str, *deciding: str) -> str:
        sender = Sender(deciding=deciding or ("MR", "PI"))
        raw = a_message(a_pid(f3=text))
        return translated(raw, Found({Token(GH, "X"): [a_patient()]}), sender)[0].id

    assert decides("A^^^GH^PI~X^^^GH^MR") == "1"
    assert decides("A^^^GH^SS~X^^^GH^PI") == "1"
    assert decides("X^^^GH^AN~A^^^GH^SS") == "1"
    assert decides("A^^^GH^MR~X^^^GH^NH", "NH") == "1"
    assert decides("A^^^GH^MR~B^^^GH^PI") != "1"


def test_the_number_of_older_versions_decides_when_there_is_no_list() -> None:
    drafts = translated(a_message("PID|1|4711^^^GH|", version="2.3"), known(a_patient()))
    assert drafts[0].id == "1"


def test_a_patient_without_an_identifier_is_refused() -> None:
    with pytest.raises(Rejection) as refused:
        translated(a_message("PID|1||||Muster^Erika"))
    assert (refused.value.code, refused.value.location) == ("101", "PID^1^3")


def test_a_message_without_a_patient_is_refused() -> None:
    with pytest.raises(Rejection) as refused:
        translated(a_message("EVN|A01"))
    assert refused.value.code == "100"


def test_an_identifier_of_two_patients_is_refused_but_not_when_one_was_replaced() -> None:
    other = a_patient(id="2")
    with pytest.raises(Rejection) as refused:
        translated(a_message(), known(a_patient(), other))
    assert refused.value.code == "205"
    replaced = {**other, "active": False, "link": [{"type": "replaced-by"}]}
    assert translated(a_message(), known(a_patient(), replaced))[0].id == "1"


def test_two_messages_about_a_new_patient_make_the_same_one() -> None:
    first, second = translated(a_message()), translated(a_message(a_pid(f5="Other^Name"), control_id="2"))
    assert first[0].id == second[0].id


@pytest.mark.parametrize(
    ("type", "fields", "present", "status"),
    [
        ("ADT^A01", {}, None, "in-progress"),
        ("ADT^A01", {"f2": "P"}, None, "planned"),
        ("ADT^A04", {"f2": "U"}, None, "unknown"),
        ("ADT^A01", {}, "planned", "in-progress"),
        ("ADT^A01", {}, "finished", "finished"),
        ("ADT^A01", {}, "cancelled", "cancelled"),
        ("ADT^A03", {}, None, "finished"),
        ("ADT^A03", {}, "in-progress", "finished"),
        ("ADT^A08", {}, "finished", "finished"),
        ("ADT^A08", {}, "triaged", "triaged"),
        ("ADT^A08", {}, None, "in-progress"),
        ("ADT^A08", {"f45": "20260102"}, "in-progress", "finished"),
    ],
)
def test_the_status_of_a_visit(type: str, fields: dict[str, str], present: str | None, status: str) -> None:
    before = an_encounter(status=present) if present else None
    found = known(a_patient(), encounters=(before,) if before else ())
    assert (
        after(a_message(a_pid(), a_pv1(**fields), type=type), "Encounter", before, found)["status"] == status
    )


def an_encounter(**elements: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": "E1",
        "meta": {"versionId": "1"},
        "subject": {"reference": "Patient/1"},
        **elements,
    }


def test_where_the_patient_was_is_over_when_they_are_elsewhere() -> None:
    def at(place: str, status: str) -> Json:
        value = {"system": f"{SYSTEMS}/sid/GOODHEALTH/location", "value": place}
        return {"location": {"type": "Location", "identifier": value, "display": place}, "status": status}

    before = an_encounter(
        status="in-progress", location=[at("W1", "active"), at("W9", "planned"), at("W0", "completed")]
    )
    found = known(a_patient(), encounters=(before,))

    def places(type: str, **fields: str) -> list[tuple[str, str]]:
        encounter = after(a_message(a_pid(), a_pv1(**fields), type=type), "Encounter", before, found)
        return [(one["location"]["display"], one["status"]) for one in encounter["location"]]

    assert places("ADT^A08", f3="W2") == [("W2", "active"), ("W1", "completed"), ("W0", "completed")]
    assert places("ADT^A08") == [("W1", "active"), ("W9", "planned"), ("W0", "completed")]
    assert places("ADT^A03") == [("W1", "completed"), ("W0", "completed")]
    assert places("ADT^A08", f3="W1", f6="W0") == [("W1", "active"), ("W0", "completed")]


def test_a_discharge_ends_the_period_and_leaves_its_start() -> None:
    before = an_encounter(status="in-progress", period={"start": "2026-01-01"})
    found = known(a_patient(), encounters=(before,))
    raw = a_message(a_pid(), a_pv1(f45="20260105"), type="ADT^A03")
    assert after(raw, "Encounter", before, found)["period"] == {"start": "2026-01-01", "end": "2026-01-05"}


def test_a_doctor_replaces_those_of_the_same_role() -> None:
    def role(code: str) -> list[Json]:
        return [{"coding": [{"code": code}]}]

    before = an_encounter(
        status="in-progress",
        participant=[
            {"type": role("ATND"), "individual": {"display": "A"}},
            {"type": role("REF"), "individual": {"display": "R"}},
        ],
    )
    found = known(a_patient(), encounters=(before,))
    raw = a_message(a_pid(), a_pv1(f7="9^New^Doc"), type="ADT^A08")
    shown = [one["individual"]["display"] for one in after(raw, "Encounter", before, found)["participant"]]
    assert shown == ["Doc New", "R"]


def test_a_visit_number_of_another_patient_is_not_taken_from_them() -> None:
    theirs = an_encounter(status="in-progress", subject={"reference": "Patient/2"})
    drafts = translated(a_message(a_pid(), a_pv1()), known(a_patient(), encounters=(theirs,)))
    assert drafts[1].id != "E1"


@pytest.mark.parametrize(
    ("type", "fields", "there"),
    [
        ("ADT^A08", {"f19": ""}, False),
        ("ADT^A08", {"f19": "", "f44": "20260101"}, True),
        ("ADT^A01", {"f19": ""}, True),
        ("ADT^A01", {"f19": "", "f2": "N"}, False),
    ],
)
def test_a_visit_without_a_number(type: str, fields: dict[str, str], there: bool) -> None:
    drafts = translated(a_message(a_pid(), a_pv1(**fields), type=type))
    assert ("Encounter" in [draft.type for draft in drafts]) is there


def test_allergies_have_severity_where_there_is_a_reaction_and_criticality_where_there_is_none() -> None:
    raw = a_message(
        a_pid(), "AL1|1|DA|1^Penicillin^RXNORM|SV|Rash~Hives", "AL1|2|FA|^Nut|MI", "AL1|3|MA|^Dust|MO"
    )
    one, two, three = (draft.statement for draft in translated(raw) if draft.type == "AllergyIntolerance")
    assert one["reaction"] == [{"manifestation": [{"text": "Rash"}, {"text": "Hives"}], "severity": "severe"}]
    assert "criticality" not in one
    assert (two["criticality"], "reaction" in two) == ("low", False)
    assert ("criticality" in three, "category" in three and three["category"] is not None) == (False, False)


def test_the_same_substance_twice_is_two_allergies_and_a_resend_is_none_more() -> None:
    raw = a_message(a_pid(), "AL1|1|DA|1^A^L||x", "AL1|2|DA|1^A^L||y")
    ids = [draft.id for draft in translated(raw)]
    assert len(set(ids)) == 3
    assert [draft.id for draft in translated(raw)] == ids


def test_a_withdrawn_diagnosis_is_entered_in_error_and_not_the_visits_any_more() -> None:
    drafts = translated(
        a_message(a_pid(), a_pv1(), "DG1|1||I10^x^I10|||A", "DG1|2||E11^y^I10|||W" + "|" * 15 + "D")
    )
    encounter = next(draft for draft in drafts if draft.type == "Encounter")
    conditions = [draft for draft in drafts if draft.type == "Condition"]
    assert conditions[1].statement["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    listed = applied(encounter.statement, None)["diagnosis"]
    assert [one["condition"]["reference"] for one in listed] == [conditions[0].reference]


def test_what_is_left_out_is_listed_by_name() -> None:
    raw = a_message(a_pid(f7="04/24/2007", f27="VET", f8="?"), "ZPI|1|x", "GT1|1", "AL1|1|DA||SV")
    message = parsed(raw)
    reading = a_reading(message)
    TRANSLATORS["ADT", "A01"](message, reading, Found())
    assert unmapped(message, reading) == ["AL1", "AL1-2", "AL1-4", "GT1", "PID-27", "PID-7", "PID-8", "ZPI"]


def test_the_contacts_of_a_message_are_the_contacts() -> None:
    raw = a_message(a_pid(), "NK1|1|Max^M|SPO", "NK1|2||FND")
    contact = after(raw, "Patient", a_patient(contact=[{"name": {"family": "Old"}}]))["contact"]
    assert [one["name"]["family"] for one in contact] == ["Max"]
    assert "contact" not in patient_after(None)


def test_measurements_of_one_moment_meet_when_sent_again() -> None:
    def ids(moment: str, control_id: str) -> list[str]:
        obx = f"OBX|1|NM|8302-2^H^LN||172|cm|||||F|||{moment}"
        drafts: list[Draft] = translated(a_message(a_pid(), a_pv1(), obx, control_id=control_id))
        return [draft.id for draft in drafts if draft.type == "Observation"]

    assert ids("20260101", "1") == ids("20260101", "2")
    assert ids("20260101", "1") != ids("20260102", "2")


def test_mr_is_what_the_example_has() -> None:
    assert patient_after(None)["identifier"][0].items() >= MR.items()
