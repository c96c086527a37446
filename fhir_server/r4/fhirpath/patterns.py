"""
The regular expressions that R4's own invariants use: the only ones that are ever compiled.

A regular expression can take a lifetime to answer. These few are known, and answer at once.

https://hl7.org/fhir/R4/fhirpath.html, http://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from fhir_server.r4.definitions import definitions
from fhir_server.r4.fhirpath.syntax import Call, Literal, Syntax, UnsupportedExpression, parse


def own_pattern(text: str) -> re.Pattern[str]:
    """The regular expression, `.` for any character. Raises UnsupportedExpression when it is not R4's."""
    found = _own_patterns().get(text)
    if found is None:
        raise UnsupportedExpression("Only the regular expressions of R4's own invariants are compiled")
    return found


@functools.cache
def _own_patterns() -> Mapping[str, re.Pattern[str]]:
    return {
        text: re.compile(text, re.DOTALL)
        for meanings in definitions().invariants.values()
        for invariant in meanings
        if "atches(" in invariant.expression
        for text in _patterns_in(parse(invariant.expression))
    }


def _patterns_in(expression: Any) -> Iterator[str]:
    if isinstance(expression, tuple):
        for part in expression:
            yield from _patterns_in(part)
    elif isinstance(expression, Syntax):
        if isinstance(expression, Call) and expression.name in ("matches", "replaceMatches"):
            first = expression.arguments[0]
            if isinstance(first, Literal) and isinstance(first.value, str):
                yield first.value
        for part in fields(expression):
            yield from _patterns_in(getattr(expression, part.name))
