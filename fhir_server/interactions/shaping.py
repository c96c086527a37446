"""
Versions as the client asked to see them: after everything is decided, before they leave.

What is stored, its ETag and its time stay as they are.

https://hl7.org/fhir/R4/search.html#summary
"""

from __future__ import annotations

from msgspec.structs import replace

from fhir_server.interactions.answers import Answer, Found
from fhir_server.r4.shaping import Shape, shaped
from fhir_server.search.predicates.version import Version


def shaped_version(version: Version, shape: Shape) -> Version:
    """What `shape` shows of `version`."""
    if shape.is_whole or version.body is None:
        return version
    return replace(version, body=shaped(version.body, version.key.type, shape))


def shaped_answer(answer: Answer, shape: Shape) -> Answer:
    """What `shape` shows of the version that was found."""
    if isinstance(answer, Found) and not shape.is_whole:
        return Found(shaped_version(answer.version, shape))
    return answer
