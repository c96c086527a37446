"""Each data type says in FHIR what it said in v2, no more and no less."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir_json import Number, render
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept
from adapters.hl7v2.datatypes.cx import cx_to_identifier, ei_to_identifier
from adapters.hl7v2.datatypes.dtm import dtm_to_date, dtm_to_date_time, tm_to_time
from adapters.hl7v2.datatypes.ed import ed_to_attachment, rp_to_attachment
from adapters.hl7v2.datatypes.nm import nm_to_number, nm_to_quantity
from adapters.hl7v2.datatypes.pl import pl_to_reference
from adapters.hl7v2.datatypes.xad import xad_to_address
from adapters.hl7v2.datatypes.xpn import xcn_to_reference, xon_to_reference, xpn_to_human_names
from adapters.hl7v2.datatypes.xtn import xtn_to_contact_point
from adapters.hl7v2.er7 import Field, Repetition
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.senders import Sender
from adapters.hl7v2.tables import MARITAL_STATUS
from tests.adapters.hl7v2.builders import a_header, a_reading, parsed

BASE = "http://fhir.example/r4/sid/GOODHEALTH"


def reading(sender: Sender | None = None, sent: str = "20260101000000+0100") -> Reading:
    return a_reading(parsed(a_header(sent=sent).encode()), sender)


def field(text: str) -> Field:
    return parsed(f"{a_header()}\rZZZ|{text}".encode())["ZZZ"][1]


def value(text: str) -> Repetition:
    first = field(text).first
    assert first is not None
    return first


@pytest.mark.parametrize(
    ("written", "date_time"),
    [
        ("2012", "2012"),
        ("201203", "2012-03"),
        ("20120314", "2012-03-14"),
        ("2012031412", "2012-03-14T12:00:00+01:00"),
        ("201203141259", "2012-03-14T12:59:00+01:00"),
        ("201203141259-0215", "2012-03-14T12:59:00-02:15"),
        ("20120314125959.1234+0000", "2012-03-14T12:59:59.1234+00:00"),
        ("20161231235960+0000", "2016-12-31T23:59:60+00:00"),
        (" 20120314 ", "2012-03-14"),
        ("", None),
        ("04/24/2007", None),
        ("20120230", None),
        ("20120001", None),
        ("201203142560", None),
        ("20120314125959+1500", None),
        ("00000000", None),
        ("２０１２", None),
    ],
)
def test_a_time_keeps_its_precision_and_gets_a_zone(written: str, date_time: str | None) -> None:
    """HL7 v2.8, 2.A.22"""
    assert dtm_to_date_time(written, reading()) == date_time


def test_the_zone_is_that_of_the_value_then_of_the_message_then_of_the_sender() -> None:
    berlin = Sender(time_zone="Europe/Berlin")
    assert dtm_to_date_time("202607011200-0500", reading(berlin)) == "2026-07-01T12:00:00-05:00"
    assert dtm_to_date_time("202607011200", reading(berlin)) == "2026-07-01T12:00:00+01:00"
    assert dtm_to_date_time("202607011200", reading(berlin, "20260101")) == "2026-07-01T12:00:00+02:00"
    assert dtm_to_date_time("202601011200", reading(berlin, "20260101")) == "2026-01-01T12:00:00+01:00"
    assert dtm_to_date_time("202601011200", reading(None, "20260101")) == "2026-01-01T12:00:00+00:00"


def test_a_date_leaves_the_time_out() -> None:
    assert dtm_to_date("19640812143000") == "1964-08-12"


def test_a_time_of_day_has_seconds_and_no_zone() -> None:
    assert [tm_to_time(text) for text in ("14", "1430", "143015.5+0100", "2500", "x")] == [
        "14:00:00",
        "14:30:00",
        "14:30:15.5",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.50", "1.50"),
        ("0.00", "0.00"),
        ("7", "7"),
        ("+7.0", "7.0"),
        ("-0.10", "-0.10"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007.10", "7.10"),
        ("-0", "-0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        (" 4.06 ", "4.06"),
    ],
)
def test_a_number_keeps_its_digits(written: str, number: str) -> None:
    assert render(nm_to_number(written)).decode() == number


@pytest.mark.parametrize("written", ["", ".", "-", "1,5", "1e5", "1.2.3", "see note", "٣", "1" * 41])
def test_what_is_no_number_is_none(written: str) -> None:
    assert nm_to_number(written) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9999, max_value=9999))
@settings(max_examples=100)
def test_no_digit_of_a_number_is_lost(number: Any) -> None:
    assert render(nm_to_number(f"{number:f}")).decode() == f"{number:f}"


def test_a_unit_has_a_code_only_when_its_system_is_said() -> None:
    assert nm_to_quantity("1.0", value("mg"), reading()) == {"value": Number("1.0"), "unit": "mg"}
    assert nm_to_quantity("1", value("mg^milligram^UCUM"), reading()) == {
        "value": 1,
        "unit": "milligram",
        "system": "http://unitsofmeasure.org",
        "code": "mg",
    }
    assert nm_to_quantity("1", value("X^local^L^mg^^UCUM"), reading()) == {
        "value": 1,
        "unit": "mg",
        "system": "http://unitsofmeasure.org",
        "code": "mg",
    }
    assert nm_to_quantity(">=1", None, reading()) == {"value": 1, "comparator": ">="}


@pytest.mark.parametrize(
    ("written", "system"),
    [
        ("1^^^GH&2.16.840.1.113883.19.3&ISO^MR", "urn:oid:2.16.840.1.113883.19.3"),
        ("1^^^&2.16.840.1.113883.4.6&ISO^NPI", "http://hl7.org/fhir/sid/us-npi"),
        ("1^^^GH&2.16.840.1.113883.19.3^MR", "urn:oid:2.16.840.1.113883.19.3"),
        (
            "1^^^X&426D2726-51FC-89FE-A946-8596E80A80EB&GUID",
            "urn:uuid:426d2726-51fc-89fe-a946-8596e80a80eb",
        ),
        ("1^^^X&https://a.example/mrn&URI", "https://a.example/mrn"),
        ("1^^^GH^MR", f"{BASE}/GH"),
        ("1^^^A/B C^MR", f"{BASE}/A%2FB%20C"),
        ("1^^^t1&2.16.1&HCD^MR", f"{BASE}/t1"),
        ("1^^^&not an oid&ISO^MR", f"{BASE}/not%20an%20oid"),
        ("1^^^^MR", f"{BASE}/MR"),
        ("1", f"{BASE}/id"),
        ("1^^^USSSA^SS", "http://hl7.org/fhir/sid/us-ssn"),
        ("1^^^USSSA^MR", f"{BASE}/USSSA"),
    ],
)
def test_an_identifier_has_the_system_of_its_authority(written: str, system: str) -> None:
    identifier = cx_to_identifier(value(written), reading())
    assert identifier is not None
    assert (identifier["system"], identifier["value"]) == (system, "1")


def test_the_senders_agreement_says_what_a_name_means() -> None:
    sender = Sender(systems={"GH": "https://gh.example/mrn", "1.2.3": "https://x.example"})
    for written, system in (
        ("1^^^GH&9.9.9.9&ISO", "https://gh.example/mrn"),
        ("1^^^GH&1.2.3&ISO", "https://x.example"),
    ):
        identifier = cx_to_identifier(value(written), reading(sender))
        assert identifier is not None
        assert identifier["system"] == system


def test_an_identifier_without_a_value_is_none() -> None:
    assert cx_to_identifier(value("^^^GH^MR"), reading()) is None


def test_an_entity_without_an_id_of_its_own_is_its_universal_id() -> None:
    assert ei_to_identifier(value("^^1.3.6.1.4.1.44750^ISO"), reading()) == {
        "system": "urn:ietf:rfc:3986",
        "value": "urn:oid:1.3.6.1.4.1.44750",
    }


def test_a_code_keeps_what_was_sent_beside_what_it_means() -> None:
    concept = cwe_to_codeable_concept(value("M"), reading(), table="0002", meanings=MARITAL_STATUS)
    assert concept == {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                "code": "M",
                "display": "Married",
            },
            {"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"},
        ]
    }


def test_a_code_of_another_system_is_not_taken_for_one_of_the_table() -> None:
    concept = cwe_to_codeable_concept(value("M^^99X"), reading(), table="0002", meanings=MARITAL_STATUS)
    assert concept == {"coding": [{"system": f"{BASE}/codes/99X", "code": "M"}]}


@pytest.mark.parametrize(
    ("written", "concept"),
    [
        ("^just words", {"text": "just words"}),
        (
            "A^a^LN^^^^2.7^^said so",
            {
                "coding": [{"system": "http://loinc.org", "version": "2.7", "code": "A", "display": "a"}],
                "text": "said so",
            },
        ),
        (
            "A^a^X^^^^^^^^^^^2.16.840.1.113883.6.1",
            {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.1", "code": "A", "display": "a"}]},
        ),
        (" A  B ", {"coding": [{"code": "A B"}]}),
        ("A^^https://codes.example", {"coding": [{"system": "https://codes.example", "code": "A"}]}),
        (
            "A^^HL70078",
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0078", "code": "A"}]},
        ),
    ],
)
def test_codings_and_text(written: str, concept: dict[str, Any]) -> None:
    assert cwe_to_codeable_concept(value(written), reading()) == concept


def test_names_have_their_parts_and_use() -> None:
    assert xpn_to_human_names(
        field("van&van^Erika^Maria^Jr^Dr.^MD^L^^^^^2020^2021^FACS^Riki~^^"), reading()
    ) == [
        {
            "use": "official",
            "family": "van",
            "_family": {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/humanname-own-prefix",
                        "valueString": "van",
                    }
                ]
            },
            "given": ["Erika", "Maria"],
            "prefix": ["Dr."],
            "suffix": ["Jr", "MD", "FACS"],
            "period": {"start": "2020", "end": "2021"},
        },
        {"use": "nickname", "given": ["Riki"]},
    ]


def test_people_and_organizations_are_logical_references() -> None:
    assert xcn_to_reference(value("7^Haus^Arzt^^^Dr.^^^GH&1.2.3.4&ISO^^^^LN"), reading()) == {
        "type": "Practitioner",
        "identifier": {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "LN"}]},
            "system": "urn:oid:1.2.3.4",
            "value": "7",
        },
        "display": "Dr. Arzt Haus",
    }
    assert xcn_to_reference(value("^^^^^^MD"), reading()) is None
    assert xon_to_reference(value("Praxis"), reading()) == {"type": "Organization", "display": "Praxis"}


@pytest.mark.parametrize(
    ("written", "point"),
    [
        ("(555)555-0123", {"system": "phone", "value": "(555)555-0123", "use": "home"}),
        ("^PRN^FX^^^^^^^^^12", {"system": "fax", "value": "12", "use": "home"}),
        ("^WPN^CP^^^^^^^^^12", {"system": "phone", "value": "12", "use": "mobile"}),
        ("^NET^Internet^a@b.c", {"system": "email", "value": "a@b.c", "use": "home"}),
        ("^NET^Internet^https://b.c", {"system": "url", "value": "https://b.c", "use": "home"}),
        ("a@b.c", {"system": "email", "value": "a@b.c", "use": "home"}),
    ],
)
def test_ways_to_reach_somebody(written: str, point: dict[str, Any]) -> None:
    assert xtn_to_contact_point(value(written), reading(), use="home") == point


def test_a_number_in_parts_is_put_together_and_kept_in_parts() -> None:
    point = xtn_to_contact_point(value("^WPN^PH^^49^221^123^9"), reading())
    assert point is not None
    assert (point["value"], point["use"], len(point["extension"])) == ("+49 221 123 X9", "work", 4)


def test_a_way_to_reach_nobody_is_none() -> None:
    assert xtn_to_contact_point(value("^PRN^PH"), reading()) is None


def test_an_address_has_its_lines_and_use() -> None:
    assert xad_to_address(value("Weg 1&Weg&1^2. OG^Köln^NW^51147^DEU^H^^05315^^^^2020^2021"), reading()) == {
        "use": "home",
        "line": ["Weg 1", "Weg", "2. OG"],
        "city": "Köln",
        "district": "05315",
        "state": "NW",
        "postalCode": "51147",
        "country": "DEU",
        "period": {"start": "2020", "end": "2021"},
    }
    assert xad_to_address(value("^^^^^^H"), reading()) is None


def test_a_place_is_named_from_bed_to_facility() -> None:
    assert pl_to_reference(value("W3^312^1^GH^^^HAUS1^3"), reading()) == {
        "type": "Location",
        "identifier": {"system": f"{BASE}/location", "value": "GH/HAUS1/3/W3/312/1"},
        "display": "1, 312, W3, 3, HAUS1, GH",
    }


@pytest.mark.parametrize(
    ("written", "attachment"),
    [
        ("LAB^AP^PDF^Base64^JVBERi0=", {"contentType": "application/pdf", "data": "JVBERi0="}),
        ("LAB^TEXT^PLAIN^A^hello", {"contentType": "text/plain", "data": "aGVsbG8="}),
        ("LAB^IM^JPEG^Hex^FFD8", {"contentType": "image/jpeg", "data": "/9g="}),
        ("LAB^XX^Who knows^Base64^AAAA", {"contentType": "application/octet-stream", "data": "AAAA"}),
        ("LAB^AP^PDF^Base64^not base64!", {"contentType": "text/plain", "data": "bm90IGJhc2U2NCE="}),
        ("LAB^AP^PDF^Base64^", None),
    ],
)
def test_a_document_is_kept_as_it_is(written: str, attachment: dict[str, Any] | None) -> None:
    assert ed_to_attachment(value(written)) == attachment


def test_a_pointer_is_a_url() -> None:
    assert rp_to_attachment(value("https://x.example/1^PACS^IM^JPEG")) == {
        "contentType": "image/jpeg",
        "url": "https://x.example/1",
    }
    assert rp_to_attachment(value("no url")) is None
