"""
The criteria of a granular scope: a search, compiled to what it is true of.

`category=laboratory` is judged by the index entry of one resource, as everything is that restricts a
caller. What would have to be asked of other resources (chains, `_has`, value sets), what depends on the time,
and what shapes an answer is not understood, and the scope is dropped. So are search parameters that somebody
has declared here: a right does not hang on them.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError
from fhir_server.r4.interaction import Parameters, Search
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.query import parse
from fhir_server.search.asking.results import RESULT_PARAMETERS
from fhir_server.search.declared.parameters import r4_parameters_of
from fhir_server.search.predicates.predicate import (
    AnyWord,
    Containing,
    Elsewhere,
    Everything,
    Predicate,
    Updated,
    WordPrefix,
)
from fhir_server.search.predicates.rewriting import leaves_of
from fhir_server.search.values.site import Site

PARAMETERS_MAX: Final = 10
_LIMITS: Final = SearchLimits(parameters_max=PARAMETERS_MAX, values_max=100)
_NOT_OF_AN_ENTRY: Final = (AnyWord, Containing, Elsewhere, Updated, WordPrefix)


def understood(resource_type: str | None, query: str, site: Site) -> Predicate | None:
    """What `query`, as a scope has it, lets through of the type (None: of any); None if not understood."""
    parameters = _parameters(query)
    if parameters is None or not all(_is_known(resource_type, name) for name, _ in parameters):
        return None
    try:
        search = Search(resource_type, parameters)
        predicate = parse(search, limits=_LIMITS, base_url=site.base_url, zone=site.zone).predicate
    except FhirError:
        return None
    asks_more = any(isinstance(leaf, _NOT_OF_AN_ENTRY) for leaf in leaves_of(predicate))
    return None if asks_more or isinstance(predicate, Everything) else predicate


def _parameters(query: str) -> Parameters | None:
    """The names and values; None for what is no query."""
    found = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        try:
            found.append((unquote(name, errors="strict"), unquote(value, errors="strict")))
        except UnicodeDecodeError:
            return None
        if not (name and equals and value):
            return None
    return tuple(found)


def _is_known(resource_type: str | None, name: str) -> bool:
    code = name.partition(":")[0]
    if code in RESULT_PARAMETERS or code.startswith("_filter"):
        return False
    types = definitions().resource_types if resource_type is None else (resource_type,)
    return all(code in r4_parameters_of(type) for type in types)
