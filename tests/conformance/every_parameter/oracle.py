"""
What the library fhirpathpy selects by the expression of a search parameter: an implementation not ours.

It is asked in words that it knows: `Resource.` as the type itself, `x as T` as `x.ofType(T)`. It has no
`resolve()`; where an expression wants the type that a reference leads to, the reference's text says it.

http://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final

import fhirpathpy
from fhirpathpy.models import models

from fhir_server.r4.resource import to_text

Compiled = Callable[[Mapping[str, Any], Mapping[str, Any] | None], list[Any]]

_RESOLVED: Final = re.compile(r"\.where\(resolve\(\) is (\w+)\)")


def selected(type: str, expression: str, resource: Any) -> list[Any]:
    """The values that the expression selects, as plain JSON; of an extension its value."""
    plain = plainly(resource)
    return [found for one in expression.split(" | ") for found in _alternative(type, one.strip(), plain)]


def plainly(value: Any) -> Any:
    """Numbers as decimals, which compare by their value."""
    return json.loads(to_text(value), parse_float=Decimal)


def _alternative(type: str, expression: str, plain: Mapping[str, Any]) -> list[Any]:
    target = _RESOLVED.search(expression)
    found = _compiled(_in_its_words(_RESOLVED.sub("", expression), type))(plain, None)
    if target:
        found = [one for one in found if one.get("reference", "").startswith(f"{target[1]}/")]
    return [_value_of(one) if "extension(" in expression.lower() else one for one in found]


def _value_of(extension: Any) -> Any:
    if isinstance(extension, dict) and "url" in extension:
        return next((value for name, value in extension.items() if name.startswith("value")), None)
    return extension


def _in_its_words(expression: str, type: str) -> str:
    known = re.sub(r"\b(?:Domain)?Resource\.", f"{type}.", expression)
    known = known.replace("hasExtension(", "extension(").replace("isSubject')", "isSubject').exists()")
    return re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)", re.sub(r"\.as\((\w+)\)", r".ofType(\1)", known))


@cache
def _compiled(expression: str) -> Compiled:
    # Its `ofType` knows which type is which only after an `is` or `as` has run in the process.
    fhirpathpy.evaluate({"resourceType": "Patient"}, "Patient is Patient", None, models["r4"])
    return fhirpathpy.compile(expression, models["r4"])
