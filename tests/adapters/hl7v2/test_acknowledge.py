"""An acknowledgement is written for the one who asked."""

from __future__ import annotations

import pytest
from hl7apy.parser import parse_message

from adapters.hl7v2.acknowledge import Fault, acknowledgement, answer_code, bare_acknowledgement
from adapters.hl7v2.header import VERSIONS, Asked, header_of
from tests.adapters.hl7v2.builders import NOW, a_message, parsed

MISSING = Fault("101", "PID^1^3", "The patient has no identifier | at all")


def ack(raw: bytes, code: str = "AA", *faults: Fault) -> list[str]:
    message = parsed(raw)
    answer = acknowledgement(code, message, header_of(message), "ACK1", NOW, faults)
    return answer.decode("utf-8").split("\r")


def test_it_goes_back_to_the_sender_with_a_number_of_its_own() -> None:
    assert ack(a_message(control_id="MSG-1")) == [
        "MSH|^~\\&|HUB|HERE|ADT1|GOODHEALTH|20261121080000+0000||ACK^A01^ACK|ACK1|P|2.5.1",
        "MSA|AA|MSG-1",
        "",
    ]


def test_it_keeps_the_delimiters_and_the_character_set_of_the_message() -> None:
    raw = "MSH*:~!;*Ä*B*C*D*2026**ADT:A04*7*T*2.6******8859/1\rPID*1".encode("latin-1")
    message = parsed(raw)
    answer = acknowledgement("AE", message, header_of(message), "N", NOW, [Fault("207", "", "a*b")])
    assert answer.decode("latin-1").split("\r") == [
        "MSH*:~!;*C*D*Ä*B*20261121080000+0000**ACK:A04:ACK*N*T*2.6******8859/1",
        "MSA*AE*7*a!F!b",
        "ERR***207:Application internal error:HL70357*E****a!F!b",
        "",
    ]


def test_a_control_id_comes_back_as_it_stands() -> None:
    assert ack(a_message(control_id="A\\T\\B"))[1] == "MSA|AA|A\\T\\B"


def test_an_error_says_where_and_of_which_kind() -> None:
    """HL7 v2.8, 2.14.5"""
    assert ack(a_message(), "AE", MISSING)[1:3] == [
        "MSA|AE|1|The patient has no identifier \\F\\ at all",
        "ERR||PID^1^3|101^Required field missing^HL70357|E||||The patient has no identifier \\F\\ at all",
    ]


def test_before_2_5_the_error_stands_in_err_1() -> None:
    assert ack(a_message(version="2.4"), "AE", MISSING)[2] == "ERR|PID^1^3^101&Required field missing&HL70357"
    nowhere = Fault("207", "", "x")
    assert ack(a_message(version="2.3"), "AE", nowhere)[2] == "ERR|^^^207&Application internal error&HL70357"


def test_since_2_7_the_text_stands_in_err_alone() -> None:
    assert ack(a_message(version="2.8"), "AE", MISSING)[1] == "MSA|AE|1"


def test_each_fault_is_told_up_to_a_limit() -> None:
    lines = ack(a_message(), "AE", *[Fault("102", f"OBX^{n}^5", "x") for n in range(50)])
    assert len([line for line in lines if line.startswith("ERR")]) == 10


def test_bytes_without_a_message_get_an_answer_too() -> None:
    answer = bare_acknowledgement("AR", "N", NOW, Fault("207", "MSH^1", "no MSH"))
    assert answer_code(answer) == "AR"
    assert parsed(answer)["ERR"][3][1] == "207"


def test_the_code_of_an_answer_can_be_read() -> None:
    assert answer_code("\r".join(ack(a_message(), "AE", MISSING)).encode()) == "AE"
    assert answer_code(b"MSH|^~\\&|") == ""


@pytest.mark.parametrize("version", sorted(VERSIONS - {"2.7.1"}))
@pytest.mark.parametrize("code", ["AA", "AE", "CA"])
def test_another_reader_of_hl7_understands_it(version: str, code: str) -> None:
    raw = a_message(version=version)
    faults = () if code != "AE" else (MISSING,)
    answer = "\r".join(ack(raw, code, *faults))
    read = parse_message(answer, find_groups=False)
    assert read.msa.msa_1.value == code
    assert read.msh.msh_9.value == "ACK^A01^ACK"
    assert len(read.children) == answer.count("\r")


TABLE_0155 = {
    # MSH-15, MSH-16: acceptance on success, on error; application on success, on error
    ("", ""): (False, False, True, True),
    ("AL", ""): (True, True, False, False),
    ("NE", ""): (False, False, False, False),
    ("", "AL"): (False, False, True, True),
    ("", "NE"): (False, False, False, False),
    ("AL", "AL"): (True, True, True, True),
    ("AL", "NE"): (True, True, False, False),
    ("AL", "ER"): (True, True, False, True),
    ("AL", "SU"): (True, True, True, False),
    ("NE", "AL"): (False, False, True, True),
    ("NE", "NE"): (False, False, False, False),
    ("NE", "ER"): (False, False, False, True),
    ("NE", "SU"): (False, False, True, False),
    ("ER", "AL"): (False, True, True, True),
    ("ER", "ER"): (False, True, False, True),
    ("SU", "NE"): (True, False, False, False),
    ("SU", "SU"): (True, False, True, False),
}


@pytest.mark.parametrize(("conditions", "wanted"), TABLE_0155.items())
def test_which_answers_are_wanted(conditions: tuple[str, str], wanted: tuple[bool, bool, bool, bool]) -> None:
    """HL7 v2.8, 2.9.2 and table 0155"""
    accept, application = conditions
    asked: Asked = header_of(parsed(a_message(accept=accept, application=application))).asked
    assert (
        asked.wants_accept(success=True),
        asked.wants_accept(success=False),
        asked.wants_application(success=True),
        asked.wants_application(success=False),
    ) == wanted
