"""
FHIRPath over plain JSON, for what R4's own definitions say with it.

`compiled(text)` gives a function of `$this` and its environment; `evaluate` is the two together.
Results keep the FHIR type of each item.

http://hl7.org/fhirpath/N1/
"""

from fhir_server.r4.fhirpath.compiler import compiled, compiled_syntax, evaluate
from fhir_server.r4.fhirpath.nodes import (
    Collection,
    Environment,
    Evaluate,
    EvaluationError,
    Node,
    environment,
    resource_node,
    truth,
)
from fhir_server.r4.fhirpath.syntax import UnsupportedExpression, parse

__all__ = [
    "Collection",
    "Environment",
    "Evaluate",
    "EvaluationError",
    "Node",
    "UnsupportedExpression",
    "compiled",
    "compiled_syntax",
    "environment",
    "evaluate",
    "parse",
    "resource_node",
    "truth",
]
