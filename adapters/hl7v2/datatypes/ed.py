"""
ED and RP: documents and pictures inside a message, or the place where they are.

HL7 v2.8, 2.A.24 and 2.A.65; https://hl7.org/fhir/R4/datatypes.html#Attachment
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.er7 import Repetition

UNKNOWN: Final = "application/octet-stream"

CONTENT_TYPES: Final = {
    "PDF": "application/pdf",
    "RTF": "application/rtf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "HTML": "text/html",
    "XML": "text/xml",
    "PLAIN": "text/plain",
    "OCTET-STREAM": UNKNOWN,
    "DICOM": "application/dicom",
}
"""Table 0291"""

MEDIA: Final = {
    "AP": "application",
    "APPLICATION": "application",
    "AU": "audio",
    "AUDIO": "audio",
    "IM": "image",
    "IMAGE": "image",
    "TEXT": "text",
    "TX": "text",
    "FT": "text",
    "MULTIPART": "multipart",
    "VIDEO": "video",
}
"""Table 0191"""

_SUBTYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*", re.ASCII)


def ed_to_attachment(ed: Repetition) -> Json | None:
    """None when no data is sent. What does not decode as it says is kept as the text it is."""
    sent = ed[5]
    if not sent.strip():
        return None
    encoding = text(ed[4]).upper()
    data = _decoded(sent, encoding)
    content_type = _content_type(ed[2], ed[3]) if data is not None else "text/plain"
    carried = data if data is not None else sent.encode()
    return element(contentType=content_type or UNKNOWN, data=base64.b64encode(carried).decode())


def rp_to_attachment(rp: Repetition) -> Json | None:
    """None without a pointer, or when the pointer is no URL."""
    pointer = text(rp[1])
    if not pointer or re.search(r"\s", pointer):
        return None
    return element(contentType=_content_type(rp[3], rp[4]), url=pointer)


def _decoded(sent: str, encoding: str) -> bytes | None:
    compact = "".join(sent.split())
    try:
        if encoding == "BASE64":
            return base64.b64decode(compact, validate=True)
        if encoding == "HEX":
            return bytes.fromhex(compact)
    except (binascii.Error, ValueError):
        return None
    return sent.encode()


def _content_type(kind: str, subtype: str) -> str | None:
    known = CONTENT_TYPES.get(text(subtype).upper())
    medium, name = MEDIA.get(text(kind).upper()), text(subtype).lower()
    if known or "/" in name:
        return known or name
    return f"{medium}/{name}" if medium and _SUBTYPE.fullmatch(name) else None
