"""
A narrative is one XHTML `div` that cannot do anything.

R4 allows the basic formatting elements and attributes of HTML 4 (txt-1) and some content
(txt-2): no script, style sheet, form, frame, object or event attribute. So this is a list of
what is allowed, not of what is known to be dangerous. The text is XML: no DTD, hence no
entities but XML's own five, no processing instructions.

https://hl7.org/fhir/R4/narrative.html#rules
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

_XHTML: Final = "http://www.w3.org/1999/xhtml"
_XML: Final = "http://www.w3.org/XML/1998/namespace"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS: Final = _words("""
    a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd del dfn
    div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q samp small span strong sub
    sup table tbody td tfoot th thead tr tt ul var
""")

_ATTRIBUTES: Final = _words("accesskey class dir id lang style tabindex title")

_ATTRIBUTES_OF: Final = {
    element: _words(attributes)
    for elements, attributes in (
        ("a", "charset coords href hreflang name rel rev shape type"),
        ("area", "alt coords href nohref shape"),
        ("blockquote q", "cite"),
        ("br", "clear"),
        ("del ins", "cite datetime"),
        ("caption div h1 h2 h3 h4 h5 h6 p", "align"),
        ("col colgroup", "align char charoff span valign width"),
        ("hr", "align noshade size width"),
        ("img", "align alt border height hspace ismap longdesc src usemap vspace width"),
        ("li", "type value"),
        ("map", "name"),
        ("ol ul dl", "compact start type"),
        ("pre", "space width"),
        (
            "table",
            "align bgcolor border cellpadding cellspacing frame rules summary width",
        ),
        ("tbody tfoot thead tr", "align bgcolor char charoff valign"),
        (
            "td th",
            "abbr align axis bgcolor char charoff colspan headers height nowrap rowspan scope valign width",
        ),
    )
    for element in elements.split()
}

_ADDRESSES: Final = _words("cite href longdesc src usemap")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_SCHEMES: Final = _words("cid ftp http https mailto tel urn")
_IMAGE_DATA: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)
# Browsers skip control characters and spaces when they look for a scheme: `java&#9;script:`.
_IGNORED: Final = re.compile(r"[\x00-\x20\x7f-\xa0]+")
_STYLE_ADDRESS: Final = re.compile(r"url\s*\(\s*[\"']?([^)]*)", re.IGNORECASE)
_ACTIVE_STYLE: Final = re.compile(r"expression\s*\(|@import|behavior\s*:|-moz-binding|\\|/\*", re.IGNORECASE)


def narrative_fault(text: str) -> str | None:
    """What keeps `text` from being a narrative, to follow "`Patient.text.div` ..."."""
    reader = _Reader()
    try:
        reader.parse(text)
    except _Refused as refused:
        return str(refused)
    except (expat.ExpatError, UnicodeEncodeError):
        return "must be well-formed XML with one root element and no entities but XML's own"
    return None if reader.has_content else "must have some content (txt-2)"


class _Refused(Exception):
    """The fault, for the caller."""


class _Reader:
    """Follows the parser's events through one document."""

    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def parse(self, text: str) -> None:
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.ProcessingInstructionHandler = _refuse_instruction
        parser.XmlDeclHandler = _refuse_declaration
        parser.Parse(text.encode(), True)  # noqa: FBT003 - expat's own signature

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, element = name.rpartition(" ")
        if namespace != _XHTML:
            raise _Refused(f"must be in the namespace {_XHTML} throughout")
        if self.depth == 0 and element != "div":
            raise _Refused("must be one `div`")
        if element not in _ELEMENTS:
            raise _Refused("must hold only the basic formatting elements of HTML (txt-1)")
        self.depth += 1
        for attribute, value in attributes.items():
            _judge_attribute(element, attribute, value)
        if element == "img" and "src" in attributes:
            self.has_content = True

    def _end(self, _name: str) -> None:
        self.depth -= 1

    def _characters(self, text: str) -> None:
        if not self.has_content and not text.isspace():
            self.has_content = True


def _judge_attribute(element: str, attribute: str, value: str) -> None:
    if attribute in (f"{_XML} lang", f"{_XML} space"):
        return
    if attribute not in _ATTRIBUTES and attribute not in _ATTRIBUTES_OF.get(element, ()):
        raise _Refused("must hold only the basic formatting attributes of HTML, no events (txt-1)")
    if attribute in _ADDRESSES and not _is_passive_address(element, value):
        raise _Refused("must not link to anything active, such as `javascript:`")
    if attribute == "style" and not _is_passive_style(value):
        raise _Refused("must not have a style that loads or runs anything")


def _is_passive_style(style: str) -> bool:
    if _ACTIVE_STYLE.search(style):
        return False
    return all(_is_passive_address("img", address) for address in _STYLE_ADDRESS.findall(style))


def _is_passive_address(element: str, address: str) -> bool:
    plain = _IGNORED.sub("", address)
    scheme = _SCHEME.match(plain)
    if scheme is None or scheme[1].lower() in _SCHEMES:
        return True
    return element == "img" and _IMAGE_DATA.match(plain) is not None


def _refuse_doctype(*_declaration: object) -> None:
    raise _Refused("must not have a document type declaration")


def _refuse_instruction(*_instruction: object) -> None:
    raise _Refused("must not hold processing instructions")


def _refuse_declaration(*_declaration: object) -> None:
    raise _Refused("must be one `div`, without an XML declaration")
