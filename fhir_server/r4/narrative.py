"""
A narrative is one XHTML `div` that cannot do anything.

R4 allows the basic formatting elements and attributes of HTML 4 (txt-1) and some content
(txt-2): no script, style sheet, form, frame, object or event attribute. So this is a list of
what is allowed, not of what is known to be dangerous. The text is XML: no DTD, hence no
entities but XML's own five, no processing instructions.

Whoever shows a narrative hands it to a parser of HTML, which reads some of XML otherwise: what ends
a comment or a CDATA section for one and not for the other is refused. Images may be elsewhere, as
R4 has it, or raster images in place, as HL7's own narratives have them; a style loads nothing from
elsewhere, and does not leave its place on the page.

https://hl7.org/fhir/R4/narrative.html#rules,
https://cheatsheetseries.owasp.org/cheatsheets/XSS_Filter_Evasion_Cheat_Sheet.html
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final
from xml.parsers import expat

DEPTH_MAX: Final = 200
"""Elements in each other. Readers of XML give up at 256 or crash; HL7's examples have at most 17."""

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
_IMAGE_SCHEMES: Final = _words("cid http https")
# An SVG is a document, with scripts of its own.
_IMAGE_DATA: Final = re.compile(r"data:image/(?:bmp|gif|jpeg|png|webp)[;,]", re.IGNORECASE)
# Browsers skip control characters and spaces when they look for a scheme: `java&#9;script:`.
_IGNORED: Final = re.compile(r"[\x00-\x20\x7f-\xa0]+")
_STYLE_ADDRESS: Final = re.compile(r"url\s*\(\s*[\"']?([^)]*)", re.IGNORECASE)
_STYLE_FUNCTION: Final = re.compile(r"([^\s(:;,]*)\s*\(")
_STYLE_FUNCTIONS: Final = _words("calc hsl hsla rgb rgba url")
_ACTIVE_STYLE: Final = re.compile(
    r"@|\\|/\*|behavior\s*:|-moz-binding|(?<![\w-])position\s*:(?!\s*(?:static|relative)\b)", re.IGNORECASE
)
# Where HTML ends a comment at once, or once upon a time ran what it holds.
_COMMENT_OF_HTML: Final = (">", "->", "[")


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


def text_of(narrative: str) -> str:
    """What a narrative says, without its markup; each tag ends a word. Of a faulty one what can be read."""
    said: list[str] = []
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = lambda _name, _attributes: said.append(" ")
    parser.EndElementHandler = lambda _name: said.append(" ")
    parser.CharacterDataHandler = said.append
    with suppress(expat.ExpatError, UnicodeEncodeError):
        parser.Parse(narrative.encode(), True)  # noqa: FBT003 - expat's own signature
    return "".join(said)


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
        parser.CommentHandler = _judge_comment
        parser.StartCdataSectionHandler = _refuse_cdata
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
        if self.depth > DEPTH_MAX:
            raise _Refused(f"must not be nested deeper than {DEPTH_MAX} levels")
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
    if attribute in _ADDRESSES and not _is_passive_address(element, attribute, value):
        raise _Refused("must not link to anything active, such as `javascript:`")
    if attribute == "style" and not _is_passive_style(value):
        raise _Refused("must not have a style that loads or runs anything")


def _is_passive_style(style: str) -> bool:
    if _ACTIVE_STYLE.search(style):
        return False
    if any(name.lower() not in _STYLE_FUNCTIONS for name in _STYLE_FUNCTION.findall(style)):
        return False
    return all(_is_within(_IGNORED.sub("", address)) for address in _STYLE_ADDRESS.findall(style))


def _is_within(plain: str) -> bool:
    """Is it an image in place, or an address beside the resource and not elsewhere?"""
    if _IMAGE_DATA.match(plain):
        return True
    return _SCHEME.match(plain) is None and not plain.replace("\\", "/").startswith("//")


def _is_passive_address(element: str, attribute: str, address: str) -> bool:
    plain = _IGNORED.sub("", address)
    scheme = _SCHEME.match(plain)
    if element == "img" and attribute == "src":
        return scheme is None or scheme[1].lower() in _IMAGE_SCHEMES or bool(_IMAGE_DATA.match(plain))
    return scheme is None or scheme[1].lower() in _SCHEMES


def _refuse_doctype(*_declaration: object) -> None:
    raise _Refused("must not have a document type declaration")


def _refuse_instruction(*_instruction: object) -> None:
    raise _Refused("must not hold processing instructions")


def _refuse_declaration(*_declaration: object) -> None:
    raise _Refused("must be one `div`, without an XML declaration")


def _judge_comment(text: str) -> None:
    if text.startswith(_COMMENT_OF_HTML):
        raise _Refused("must not have a comment that HTML reads otherwise")


def _refuse_cdata() -> None:
    raise _Refused("must not hold CDATA sections: HTML has none")
