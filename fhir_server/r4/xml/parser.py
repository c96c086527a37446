"""
Expat, with everything off that FHIR does not need: the only place that makes a parser.

No document type, hence no entities but XML's own five, nothing external, nothing that
multiplies. UTF-8 only, XML 1.0 only. A document type is refused before expat sees the text;
the handler is the second line of defence. Comments and processing instructions are not part
of a resource and are passed over.

Nothing recurses: expat calls back for each tag, and who listens keeps its own stack.

https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/security.html#narrative
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn
from xml.parsers import expat

from fhir_server.r4.errors import Invalid
from fhir_server.r4.xml.shapes import XHTML

WHITESPACE: Final = " \t\r\n"
"""XML's own; `str.isspace` would take a no-break space for formatting."""

_BOM: Final = b"\xef\xbb\xbf"
_NOT_WHITESPACE: Final = re.compile(rb"[^ \t\r\n]|\Z")
_NAME_END: Final = re.compile(rb"[\s/>]")
_QUOTE_OR_END: Final = re.compile(rb"[\"'>]")
_ATTRIBUTE: Final = re.compile(rb"\s([^\s=]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_PREFIX: Final = re.compile(rb"[<\s/]([^\s<>/=\"':]+):")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Parser:
    """One document: expat, and the namespaces that are declared where it stands."""

    __slots__ = ("_declared", "expat", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._declared: dict[str | None, list[str]] = {}
        # The encoding given here holds whatever the text declares; that one is checked below.
        self.expat = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.expat.buffer_text = True
        self.expat.XmlDeclHandler = _check_declaration
        self.expat.StartDoctypeDeclHandler = _refuse_doctype
        self.expat.StartNamespaceDeclHandler = self._declare
        self.expat.EndNamespaceDeclHandler = self._forget

    def parse(self) -> None:
        """Calls the handlers; raises Invalid when the text is not XML, or not of the kind we read."""
        if b"\0" in self.text:
            # UTF-16 cannot be written without, and expat would find out that it is UTF-16.
            raise Invalid("The body must be in UTF-8")
        if _has_doctype(self.text):
            _refuse_doctype()
        try:
            self.expat.Parse(self.text, True)  # noqa: FBT003 - expat's own signature
        except expat.ExpatError as error:
            raise Invalid(
                f"The body is not XML: {expat.ErrorString(error.code)} "
                f"at line {error.lineno} column {error.offset + 1}"
            ) from error
        finally:
            # Its handlers lead back to who listens: without this, the collector would have to come.
            del self.expat

    def namespaces(self) -> dict[str | None, str]:
        """What is declared where the parser stands, by prefix; None is the default namespace."""
        return {prefix: addresses[-1] for prefix, addresses in self._declared.items()}

    def markup(self, start: int, end: int) -> str:
        """
        The element whose start tag is at `start` and whose end tag is at `end`, as it was written.

        Asked where it ends: namespaces of elements around it that it needs are declared in it.
        """
        text = self.text
        tag_end = _tag_end(text, start)
        is_empty = text.endswith(b"/>", start, tag_end)
        stop = tag_end if is_empty else text.index(b">", end) + 1
        written = text[start:stop]
        missing = self._missing(text[start:tag_end], written)
        name = _NAME_END.search(written)
        assert name is not None, "a tag ends"
        return (written[: name.start()] + missing + written[name.start() :]).decode()

    def _missing(self, tag: bytes, written: bytes) -> bytes:
        own = {name for name in _ATTRIBUTE.findall(tag) if name.startswith(b"xmlns")}
        if len(self._declared) == 1 and b"xmlns" in own:
            return b""
        used = {prefix.decode() for prefix in _PREFIX.findall(written)}
        found = b""
        for prefix, addresses in self._declared.items():
            attribute = "xmlns" if prefix is None else f"xmlns:{prefix}"
            is_used = addresses[-1] == XHTML if prefix is None else prefix in used
            if is_used and attribute.encode() not in own:
                found += f' {attribute}="{escaped(addresses[-1])}"'.encode()
        return found

    def _declare(self, prefix: str | None, address: str | None) -> None:
        self._declared.setdefault(prefix, []).append(address or "")

    def _forget(self, prefix: str | None) -> None:
        addresses = self._declared[prefix]
        addresses.pop()
        if not addresses:
            del self._declared[prefix]


def is_narrative(text: str) -> bool:
    """Is it one XHTML `div` that can stand in a document as it is? What is in it is not judged."""
    if "\0" in text:
        return False
    roots: list[str] = []

    def root(name: str, _attributes: Mapping[str, str]) -> None:
        roots.append(name)
        parser.StartElementHandler = None

    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.StartElementHandler = root
    parser.XmlDeclHandler = parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.encode(), True)  # noqa: FBT003 - expat's own signature
    except (expat.ExpatError, UnicodeEncodeError, Invalid):
        return False
    return roots == [f"{XHTML} div"]


def _has_doctype(text: bytes) -> bool:
    """Is there one where alone XML allows it: after white space, comments and instructions?"""
    at = len(_BOM) if text.startswith(_BOM) else 0
    while at >= 0:
        found = _NOT_WHITESPACE.search(text, at)
        at = found.start() if found else len(text)
        if text.startswith(b"<?", at):
            end = b"?>"
        elif text.startswith(b"<!--", at):
            end = b"-->"
        else:
            return text.startswith(b"<!DOCTYPE", at)
        at = text.find(end, at + 2)
        at += len(end) if at >= 0 else 0
    return False


def _tag_end(text: bytes, start: int) -> int:
    """Behind the tag that starts here; a `>` may stand in an attribute."""
    at = start
    while (found := _QUOTE_OR_END.search(text, at)) is not None:
        if found[0] == b">":
            return found.end()
        at = text.index(found[0], found.end()) + 1
    raise AssertionError("expat saw the end of this tag")


def is_number(text: str) -> bool:
    """R4's grammar of a decimal is JSON's of a number."""
    return _NUMBER.fullmatch(text) is not None


class NotXml(ValueError):
    """A character that XML does not have."""


def escaped(text: str) -> str:
    """`text` for an attribute in double quotes; raises NotXml where XML has no such character."""
    return _SPECIAL.sub(_escape, text) if _SPECIAL.search(text) else text


# White space is written as references: a parser would make spaces of it (XML 1.0, 3.3.3).
_ESCAPES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#x9;",
    "\n": "&#xA;",
    "\r": "&#xD;",
}
_SPECIAL: Final = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')


def _escape(found: re.Match[str]) -> str:
    try:
        return _ESCAPES[found[0]]
    except KeyError:
        raise NotXml from None


def _check_declaration(version: str, encoding: str | None, _standalone: int) -> None:
    if version != "1.0":
        raise Invalid("The body must be XML 1.0")
    if encoding is not None and encoding.lower() != "utf-8":
        raise Invalid("The body must be in UTF-8, and declare no other encoding")


def _refuse_doctype(*_declaration: object) -> NoReturn:
    raise Invalid("The body must have no document type declaration (DOCTYPE), and so no entities of its own")
