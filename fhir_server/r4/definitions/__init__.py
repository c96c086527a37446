"""
R4's own facts (4.0.1), compiled: no network, no prose, one file that loads in a blink.

`definitions()` is the only way in. The file `r4.msgpack.gz` is written by `build.py` from
HL7's npm packages and committed; a test holds its counts against those of the source.

https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import functools
import gzip
from importlib import resources
from typing import Final

import msgspec

from fhir_server.r4.definitions.facts import (
    Binding,
    Definitions,
    ElementFacts,
    ElementType,
    Invariant,
    Operation,
    OperationParameter,
    SearchComponent,
    SearchParameter,
    TypeFacts,
)

__all__ = [
    "FHIR_VERSION",
    "Binding",
    "Definitions",
    "ElementFacts",
    "ElementType",
    "Invariant",
    "Operation",
    "OperationParameter",
    "SearchComponent",
    "SearchParameter",
    "TypeFacts",
    "definitions",
]

FHIR_VERSION: Final = "4.0.1"

_FILE: Final = "r4.msgpack.gz"


@functools.cache
def definitions() -> Definitions:
    """The facts, read once in a process."""
    packed = resources.files(__name__).joinpath(_FILE).read_bytes()
    return msgspec.msgpack.decode(gzip.decompress(packed), type=Definitions)
