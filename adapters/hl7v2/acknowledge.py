"""
Acknowledgements: what a sender is told, in the form of its own message.

AA, AE and AR are the application's word, CA, CE and CR say only whether the message is safe. An
ACK is written with the delimiters, version and character set of the message it answers, from
receiver to sender, with a number of its own. An error says where it is (ERR-2, in versions
before 2.5 ERR-1) and which kind (table 0357), and never repeats a value.

HL7 v2.8, 2.9.2, 2.14.8 (MSA) and 2.14.5 (ERR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.hl7v2.encoding import Encoding
from adapters.hl7v2.er7 import Message
from adapters.hl7v2.escapes import escape
from adapters.hl7v2.header import Header

ERROR_CODES: Final = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
"""Table 0357"""

WITHOUT_ERR_2: Final = frozenset(("2.3", "2.3.1", "2.4"))
WITH_MSA_3: Final = WITHOUT_ERR_2 | {"2.5", "2.5.1", "2.6"}
"""MSA-3, text, was withdrawn in 2.7."""

ERRORS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One ERR segment.

    `location` is a segment, its place among those of its name, and a field, as far as they are
    known: `PID^1^7`. `text` names elements, never values.
    """

    code: str
    location: str
    text: str


def acknowledgement(
    code: str, message: Message, header: Header, control_id: str, now: datetime, faults: Sequence[Fault] = ()
) -> bytes:
    """The ACK that answers `message` with `code` (table 0008)."""
    encoding = message.encoding
    version = header.version or "2.5.1"
    lines = [
        _msh(message, header, control_id, now),
        _msa(code, message["MSH"][10].text, faults if version in WITH_MSA_3 else (), encoding),
        *(_err(fault, version, encoding) for fault in faults[:ERRORS_MAX]),
    ]
    return _written(lines, encoding)


def bare_acknowledgement(code: str, control_id: str, now: datetime, fault: Fault) -> bytes:
    """The ACK to bytes in which no message can be found."""
    encoding = Encoding()
    lines = [
        f"MSH|{encoding.characters}|||||{_time(now)}||ACK|{control_id}|P|2.5.1",
        _msa(code, "", [fault], encoding),
        _err(fault, "2.5.1", encoding),
    ]
    return _written(lines, encoding)


def answer_code(answer: bytes) -> str:
    """MSA-1 of an acknowledgement, empty when it is none."""
    for line in answer.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(b"MSA") and len(line) > 4:
            return line.split(line[3:4])[1].decode("ascii", "replace")
    return ""


def _msh(message: Message, header: Header, control_id: str, now: datetime) -> str:
    """Fields that only change places are copied as they stand: they are in the same encoding."""
    msh = message["MSH"]
    encoding = message.encoding
    structure = encoding.component.join(
        part for part in ("ACK", header.event, "ACK" if header.event else "") if part
    )
    fields = [
        "MSH",
        encoding.characters,
        *(msh[number].text for number in (5, 6, 3, 4)),
        _time(now),
        "",
        structure,
        control_id,
        msh[11].text or "P",
        msh[12].text or "2.5.1",
    ]
    if msh[18].text:
        fields += [""] * 5 + [msh[18].text]
    return encoding.field.join(fields)


def _msa(code: str, control_id: str, faults: Sequence[Fault], encoding: Encoding) -> str:
    fields = ["MSA", code, control_id]
    if faults:
        fields.append(escape(faults[0].text[:80], encoding))
    return encoding.field.join(fields)


def _err(fault: Fault, version: str, encoding: Encoding) -> str:
    meaning = ERROR_CODES.get(fault.code, ERROR_CODES["207"])
    location = fault.location.split("^") if fault.location else []
    if version in WITHOUT_ERR_2:
        # ERR-1: segment, place, field, and the error as a coded element of subcomponents.
        place = (*location[:3], "", "", "")[:3]
        kind = encoding.subcomponent.join((fault.code, escape(meaning, encoding), "HL70357"))
        return encoding.field.join(("ERR", encoding.component.join((*place, kind))))
    fields = [
        "ERR",
        "",
        encoding.component.join(location),
        encoding.component.join((fault.code, escape(meaning, encoding), "HL70357")),
        "E",
        *("", "", ""),
        escape(fault.text, encoding),
    ]
    return encoding.field.join(fields)


def _time(now: datetime) -> str:
    return f"{now:%Y%m%d%H%M%S%z}"


def _written(lines: Sequence[str], encoding: Encoding) -> bytes:
    """Ends with CR as each segment does. What the character set has not is written `?`."""
    return ("\r".join(lines) + "\r").encode(encoding.codec, errors="replace")
