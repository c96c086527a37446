"""
The tokenizer: the text of a message (ER7) as segments, fields, repetitions and components.

It never refuses what can be told apart, knows no grammar, and loses nothing: Z-segments and
segments out of order are there, and `str(parse(text)) == text`. Segments end with CR, LF or
both, mixed; a line that does not begin like a segment belongs to the field before it, because
its sender forgot to escape a line break.

Values come out of `[...]` numbered from 1 as in the standard, unescaped, `""` when the message
says nothing there. HL7's null, the two characters `""`, says something: delete. It is told apart
by `Field.null`; inside a component it reads as nothing, since its whole field is replaced anyhow.

HL7 v2.8, 2.5 (Message construction rules) and 2.5.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from adapters.hl7v2.encoding import Encoding, encoding_of
from adapters.hl7v2.escapes import unescape

NULL: Final = '""'
BYTE_ORDER_MARK: Final = "\ufeff"

_LINE: Final = re.compile(r"([^\r\n]*)([\r\n]*)")
_PREFIX: Final = re.compile(rf"[{BYTE_ORDER_MARK}\s]*")


class Unreadable(Exception):
    """This is not one HL7 v2 message."""


class Repetition:
    """One repetition of a field; `[i]` is component i, `[i, j]` its subcomponent j."""

    __slots__ = ("_components", "_encoding", "field", "text")

    def __init__(self, field: str, text: str, encoding: Encoding, delimiter: str) -> None:
        self.field = field
        self.text = text
        self._encoding = encoding
        self._components = text.split(delimiter) if delimiter else [text]

    def __getitem__(self, place: int | tuple[int, int]) -> str:
        component, subcomponent = place if isinstance(place, tuple) else (place, 1)
        text = self._component(component)
        delimiter = self._encoding.subcomponent
        if delimiter and delimiter in text:
            parts = text.split(delimiter)
            text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return "" if text == NULL else unescape(text, self._encoding)

    def inner(self, component: int) -> Repetition:
        """A component read as a data type of its own: its subcomponents are the components."""
        return Repetition(self.field, self._component(component), self._encoding, self._encoding.subcomponent)

    @property
    def components(self) -> list[str]:
        """As written, escaped."""
        return list(self._components)

    @property
    def whole(self) -> str:
        """All of it as text, delimiters left standing: for a value that should have had none."""
        return "" if self.text == NULL else unescape(self.text, self._encoding)

    @property
    def valued(self) -> bool:
        """Something is said: more than delimiters and nulls."""
        meaningless = self._encoding.component + self._encoding.subcomponent + '" \t\r\n'
        return bool(self.text.strip(meaningless))

    def _component(self, number: int) -> str:
        return self._components[number - 1] if number <= len(self._components) else ""


class Field:
    """
    One field. Iterate for its valued repetitions; `[i]` and `[i, j]` ask the first of these.

    `name` is how the standard calls it: `PID-3`.
    """

    __slots__ = ("_encoding", "name", "text")

    def __init__(self, name: str, text: str, encoding: Encoding) -> None:
        self.name = name
        self.text = text
        self._encoding = encoding

    def __iter__(self) -> Iterator[Repetition]:
        return (repetition for repetition in self.repetitions if repetition.valued)

    def __getitem__(self, place: int | tuple[int, int]) -> str:
        first = self.first
        return first[place] if first is not None else ""

    @property
    def first(self) -> Repetition | None:
        return next(iter(self), None)

    @property
    def repetitions(self) -> list[Repetition]:
        """All of them, empty ones too."""
        encoding = self._encoding
        texts = self.text.split(encoding.repetition) if encoding.repetition else [self.text]
        return [Repetition(self.name, text, encoding, encoding.component) for text in texts]

    @property
    def valued(self) -> bool:
        """Something is said that is not null."""
        return bool(self.text) and self.first is not None

    @property
    def null(self) -> bool:
        """The sender says: delete what you have."""
        return self.text == NULL

    @property
    def whole(self) -> str:
        """The field as text, unescaped, for one that cannot repeat and has no components."""
        return "" if self.null else unescape(self.text, self._encoding)


class Segment:
    """
    One segment; `[n]` is field n. `place` counts the segments of this name from 1.

    `asked` has the numbers of the fields that were asked for with `[n]`, so that in the end it
    can be told what nobody asked for.
    """

    __slots__ = ("_encoding", "_fields", "asked", "end", "name", "place", "text")

    def __init__(self, text: str, end: str, place: int, encoding: Encoding) -> None:
        self.text = text
        self.end = end
        self.place = place
        self.name = text[:3]
        self.asked: set[int] = set()
        self._encoding = encoding
        fields = text.split(encoding.field)
        # MSH-1 is the delimiter itself, so MSH-n is the (n-1)th piece.
        self._fields = [fields[0], encoding.field, *fields[1:]] if self.name == "MSH" else fields

    def __getitem__(self, number: int) -> Field:
        self.asked.add(number)
        text = self._fields[number] if number < len(self._fields) else ""
        return Field(f"{self.name}-{number}", text, self._encoding)

    @property
    def fields(self) -> list[Field]:
        """All of them, from 1."""
        return [
            Field(f"{self.name}-{number}", text, self._encoding)
            for number, text in enumerate(self._fields[1:], start=1)
        ]


class Message:
    """The segments of a message, in order. `str` gives back the text exactly."""

    __slots__ = ("encoding", "prefix", "segments")

    def __init__(self, prefix: str, segments: list[Segment], encoding: Encoding) -> None:
        self.prefix = prefix
        self.segments = segments
        self.encoding = encoding

    def __getitem__(self, name: str) -> Segment:
        """The first segment of this name. Raises KeyError."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __str__(self) -> str:
        return self.prefix + "".join(segment.text + segment.end for segment in self.segments)

    def get(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    def all(self, name: str) -> list[Segment]:
        return [segment for segment in self.segments if segment.name == name]


def parse(text: str, codec: str = "utf-8") -> Message:
    """Raises Unreadable when `text` does not begin with an MSH segment that says how it is written."""
    prefix = _PREFIX.match(text)
    assert prefix is not None, "the pattern matches nothing, too"
    rest = text[prefix.end() :]
    encoding = encoding_of(rest.split("\r")[0].split("\n")[0], codec) if rest.startswith("MSH") else None
    if encoding is None:
        raise Unreadable("The message does not begin with an MSH segment")
    return Message(prefix[0], list(_segments(rest, encoding)), encoding)


def _segments(text: str, encoding: Encoding) -> Iterator[Segment]:
    begins = re.compile(rf"[A-Z][A-Z0-9]{{2}}(?:{re.escape(encoding.field)}|$)")
    places: dict[str, int] = {}

    def segment(line: str, end: str) -> Segment:
        place = places[line[:3]] = places.get(line[:3], 0) + 1
        return Segment(line, end, place, encoding)

    line, end = "", ""
    for found in _LINE.finditer(text):
        if line and found[1] and begins.match(found[1]):
            yield segment(line, end)
            line, end = found[1], found[2]
        elif found[1]:
            line, end = line + end + found[1], found[2]
    yield segment(line, end)
