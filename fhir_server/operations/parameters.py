"""
What an operation is asked with: a Parameters resource, a bare resource, or the query.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.r4.errors import Invalid, Issue, Unprocessable
from fhir_server.r4.interaction import Parameters as Query
from fhir_server.r4.resource import Resource
from fhir_server.r4.shaping import GENERAL_PARAMETERS
from fhir_server.r4.validation import validate

_STUB: Final = {"resourceType": "Parameters"}
_SHOWN_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """The values of an operation's parameters, each at most once; a resource is a mapping like any value."""

    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """Raises Invalid when the parameter is there and is no text."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"The parameter `{name}` is of another type")
        return value

    def structure(self, name: str) -> Resource | None:
        """A resource or a datatype. Raises Invalid when the parameter is there and is neither."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise Invalid(f"The parameter `{name}` is of another type")
        return value


def asked(body: Resource | None, query: Query, known: frozenset[str]) -> Asked:
    """
    What the Parameters in `body` and the query say.

    Raises Invalid for a parameter that is not known or that is there twice, Unprocessable when
    the Parameters themselves, what their resources hold aside, break rules of R4.
    """
    values: dict[str, Any] = {}
    given = [] if body is None else list(_of_body(body))
    given += [(name, value) for name, value in query if name not in GENERAL_PARAMETERS]
    for name, value in given:
        if name not in known:
            raise Invalid(f"The operation has no parameter `{name[:_SHOWN_CHARACTERS_MAX]}`")
        if name in values:
            raise Invalid(f"The parameter `{name}` is given more than once")
        values[name] = value
    return Asked(values)


def has_resource(body: Resource, name: str) -> bool:
    """Is this a Parameters with a resource as the value of `name`?"""
    listed = body.get("parameter")
    return isinstance(listed, list) and any(
        isinstance(one, dict) and one.get("name") == name and "resource" in one for one in listed
    )


def returned(name: str, value: Any) -> Resource:
    """The Parameters that answer with one value: `("valueMeta", {...})`."""
    return {"resourceType": "Parameters", "parameter": [{"name": "return", name: value}]}


def _of_body(body: Resource) -> Iterator[tuple[str, Any]]:
    _require_envelope(body)
    for parameter in body.get("parameter", ()):
        values = [value for name, value in parameter.items() if name.startswith(("value", "resource"))]
        if not values:
            raise Invalid("A parameter has no value", "Parameters.parameter")
        yield parameter["name"], values[0]


def _require_envelope(body: Resource) -> None:
    """The Parameters must be right around their resources, which the operation judges."""
    listed = body.get("parameter")
    envelope = dict(body)
    if isinstance(listed, list):
        envelope["parameter"] = [_without_resource(one) for one in listed]
    issues: list[Issue] = [
        issue for issue in validate(envelope, expected_type="Parameters") if issue.severity == "error"
    ]
    if issues:
        raise Unprocessable("The Parameters break rules of FHIR R4", issues=issues)


def _without_resource(parameter: Any) -> Any:
    if not isinstance(parameter, dict) or not isinstance(parameter.get("resource"), dict):
        return parameter
    return {**parameter, "resource": _STUB}
