"""
What is in a compartment, as a predicate: what a search such as `Patient/1/Observation` adds.

This is R4's own definition, word for word: a resource is in the compartment when one of the
parameters of the CompartmentDefinition points to its focus, or when it is the focus. What of it a
caller may see is another question, asked beside it (policy/context.py).

All of it is one set of tokens, each of which belongs to this compartment alone, so that an index
finds the page in the order of creation, however much there is.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.r4.compartments import compartment_parameters
from fhir_server.r4.resource import Key
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import AnyToken


def in_compartment(compartment: Key, types: Iterable[str]) -> AnyToken:
    """What of these types is in the compartment of `compartment`; the types can be in it."""
    return AnyToken(frozenset(token for type in types for token in _tokens(compartment, type)))


def focus(key: Key) -> str:
    """The token of the resource itself, if it has a compartment."""
    return f"{key.type}|_id|{escape(key.id)}"


def _tokens(compartment: Key, type: str) -> Iterator[str]:
    if type == compartment.type:
        yield focus(compartment)
    parameters = parameters_of(type)
    for code in compartment_parameters(compartment.type, type):
        for name in parameters[code].found_as:
            yield f"{name}|{escape(str(compartment))}"
