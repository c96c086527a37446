"""
The text of a Bundle, read entry by entry, so that 60 MB of JSON never stand in memory as objects.

It is read once from end to end, by the rules of `from_text` and with the same refusals; of each entry
only a sketch is kept, and where it stands. An entry that is asked for is read again. A text that is
no plain Bundle is read as a whole: that says what is wrong with it.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fhir_server.r4.errors import FhirError
from fhir_server.r4.resource import (
    DEPTH_MAX,
    Resource,
    from_text,
    has_suspect_escapes,
    is_deeper,
    require_characters,
    value_at,
)

Sketch = Callable[[int, Any], Any]
"""What is kept of an entry, given its index and all of it. A FhirError that it raises refuses the text."""


class BundleText:
    """
    A Bundle: `envelope` is the resource, with the sketches of its entries in place of them.

    Of a text of at most `kept_bytes_max`, or one that was read before, the entries are kept as they are.
    """

    def __init__(self, content: Resource | bytes, sketch: Sketch, *, kept_bytes_max: int) -> None:
        self._text = ""
        self._spans: list[tuple[int, int]] = []
        self._kept: list[Any] | None = None
        if not isinstance(content, bytes):
            self.envelope = self._read_whole(content, sketch)
        elif len(content) <= kept_bytes_max or not self._read_by_entry(content, sketch):
            self.envelope = self._read_whole(from_text(content), sketch)

    def entry(self, index: int) -> Any:
        """The entry at `index`, whole."""
        if self._kept is not None:
            return self._kept[index]
        return value_at(self._text, self._spans[index][0])[0]

    def _read_whole(self, bundle: Resource, sketch: Sketch) -> dict[str, Any]:
        listed = bundle.get("entry")
        if not isinstance(listed, list):
            self._kept = []
            return dict(bundle)
        self._kept = listed
        return {**bundle, "entry": [sketch(index, entry) for index, entry in enumerate(listed)]}

    def _read_by_entry(self, text: bytes, sketch: Sketch) -> bool:
        """False when it is no plain Bundle, or there is something wrong with it."""
        try:
            reader = _Reader(text, sketch)
            self.envelope = reader.object()
        except _SketchRefusedError as refused:
            raise refused.refusal from refused
        except (FhirError, ValueError, IndexError, RecursionError):
            return False
        self._text, self._spans = reader.text, reader.spans
        return True


class _SketchRefusedError(Exception):
    """Carries a refusal of the sketch past those of the text."""

    def __init__(self, refusal: FhirError) -> None:
        super().__init__()
        self.refusal = refusal


class _OddError(ValueError):
    """The text is not what a plain Bundle looks like."""


class _Reader:
    """One pass over the text. Raises whatever, when it is not as it should be."""

    def __init__(self, text: bytes, sketch: Sketch) -> None:
        self.text = text.decode("utf-8")
        self.spans: list[tuple[int, int]] = []
        self._sketch = sketch
        self._is_suspect = has_suspect_escapes(text)

    def object(self) -> dict[str, Any]:
        """The Bundle, which is all of the text."""
        members: dict[str, Any] = {}
        at = self._after("{", self._skip(0))
        while True:
            name, at = value_at(self.text, self._skip(at))
            if not isinstance(name, str) or name in members:
                raise _OddError
            at = self._skip(self._after(":", self._skip(at)))
            if name == "entry":
                members[name], at = self._entries(at)
            else:
                members[name], at = value_at(self.text, at)
                self._judge(members[name], DEPTH_MAX - 1)
            self._judge(name, 0)
            at = self._skip(at)
            if self.text[at] == "}":
                break
            at = self._after(",", at)
        if self._skip(at + 1) != len(self.text):
            raise _OddError
        return members

    def _entries(self, at: int) -> tuple[list[Any], int]:
        sketches: list[Any] = []
        at = self._after("[", at)
        while True:
            start = self._skip(at)
            entry, at = value_at(self.text, start)
            self._judge(entry, DEPTH_MAX - 2)
            self.spans.append((start, at))
            try:
                sketches.append(self._sketch(len(sketches), entry))
            except FhirError as refusal:
                raise _SketchRefusedError(refusal) from refusal
            at = self._skip(at)
            if self.text[at] == "]":
                return sketches, at + 1
            at = self._after(",", at)

    def _judge(self, value: Any, levels: int) -> None:
        if is_deeper(value, levels):
            raise _OddError
        if self._is_suspect:
            require_characters(value)

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        assert found is not None, "no space at all is a match"
        return found.end()

    def _after(self, character: str, at: int) -> int:
        if self.text[at] != character:
            raise _OddError
        return at + 1


_SPACE: Final = re.compile(r"[ \t\n\r]*")
