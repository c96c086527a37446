"""Which of R4's own expressions are compiled: all but those that are named here, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.r4.definitions import definitions
from fhir_server.r4.fhirpath import UnsupportedExpression, compiled
from fhir_server.r4.fhirpath.outcomes import outcomes
from fhir_server.r4.fhirpath.syntax import parse

SEARCH_PARAMETERS_WITHOUT: Final[Mapping[str, str]] = {
    # R4 gives no expression: what they search is not an element.
    "Resource-content": "no expression",
    "Resource-query": "no expression",
    "DomainResource-text": "no expression",
    # R4 gives no expression, though their descriptions name an element.
    "patient-extensions-Patient-age": "no expression",
    "patient-extensions-Patient-birthOrderBoolean": "no expression",
    # R4 gives an expression that is not FHIRPath: fhir_server/search/declared/parameters.py has another.
    "questionnaireresponse-extensions-QuestionnaireResponse-item-subject": (
        "The function `hasExtension` is not known"
    ),
}


def test_each_search_parameter_is_compiled_or_named_here() -> None:
    without = {}
    for parameters in definitions().search_parameters.values():
        for parameter in parameters.values():
            reason = "no expression" if parameter.expression is None else _refusal(parameter.expression)
            if reason:
                without[parameter.url.rpartition("/")[2]] = reason
    assert without == SEARCH_PARAMETERS_WITHOUT


def test_each_component_of_a_composite_is_compiled() -> None:
    refused = {
        component.expression: _refusal(component.expression)
        for parameters in definitions().search_parameters.values()
        for parameter in parameters.values()
        for component in parameter.components
        if _refusal(component.expression)
    }
    assert refused == {}


def test_each_search_parameter_can_select_something() -> None:
    empty = [
        f"{type}:{parameter.code}"
        for type, parameters in definitions().search_parameters.items()
        for parameter in parameters.values()
        if parameter.expression and not outcomes(parse(parameter.expression), type)
    ]
    assert empty == []


def test_each_invariant_is_compiled() -> None:
    without = {
        key: reason
        for key, meanings in definitions().invariants.items()
        for meaning in meanings
        if (reason := _refusal(meaning.expression))
    }
    assert without == {}


def _refusal(expression: str) -> str | None:
    try:
        compiled(expression)
    except UnsupportedExpression as error:
        return str(error)
    return None
