"""
The concepts of one code system, and who is whose parent.

Parents come from nesting and from the properties `parent`, `child` and `subsumedBy`. They mean
subsumption where hierarchyMeaning is `is-a`, and where it is absent: R4's own systems leave it out and
nest what is subsumed (`amended` over `corrected`). Any other meaning is refused.

https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from fhir_server.r4.errors import Unsupported
from fhir_server.r4.resource import Resource

Values = Mapping[str, tuple[str, ...]]
"""By property, as text; a Coding as its code and as `system|code`, a decimal not at all."""

_PARENTS: Final = frozenset(("parent", "subsumedBy"))
_RETIRED: Final = frozenset(("inactive", "retired"))


# Without slots: what is derived once has to be kept somewhere.
@dataclass(frozen=True)
class CodeSystem:
    """
    All of a code system's concepts.

    `parents` has each code, with those directly over it. `abstract` are those that only group others,
    `inactive` those that are no longer to be used. `properties` are the declared ones, by code, with
    their types.
    """

    url: str
    version: str | None
    parents: Mapping[str, frozenset[str]]
    abstract: frozenset[str] = frozenset()
    inactive: frozenset[str] = frozenset()
    properties: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    meaning: str = "is-a"

    @cached_property
    def codes(self) -> frozenset[str]:
        return frozenset(self.parents)

    @cached_property
    def children(self) -> Mapping[str, frozenset[str]]:
        """Those directly under each code that has some."""
        found: dict[str, set[str]] = {}
        for code, parents in self.parents.items():
            for parent in parents:
                found.setdefault(parent, set()).add(code)
        return {parent: frozenset(children) for parent, children in found.items()}

    def below(self, code: str) -> frozenset[str]:
        """The code and its descendants. Raises Unsupported where the hierarchy says something else."""
        self.require_subsumption()
        return _reached(code, self.children)

    def above(self, code: str) -> frozenset[str]:
        """The code and its ancestors. Raises Unsupported where the hierarchy says something else."""
        self.require_subsumption()
        return _reached(code, self.parents)

    def require_subsumption(self) -> None:
        """Raises Unsupported unless what is under a code is subsumed by it."""
        if self.meaning != "is-a":
            raise Unsupported(f"the hierarchy of the code system is `{self.meaning}`, not `is-a`")


def code_system_of(resource: Resource) -> CodeSystem | None:
    """The concepts of a CodeSystem that has all of them; None of one that has not."""
    if resource.get("content") != "complete":
        return None
    parents: dict[str, set[str]] = {}
    values: dict[str, Values] = {}
    for concept, over in _concepts(resource.get("concept", ()), None):
        code = concept.get("code")
        if code is None:
            continue
        parents.setdefault(code, set()).update(() if over is None else (over,))
        values[code] = _values(concept.get("property", ()))
    for code, stated in values.items():
        for name in _PARENTS & stated.keys():
            parents[code].update(stated[name])
        for child in stated.get("child", ()):
            parents.get(child, set()).add(code)
    return CodeSystem(
        url=resource.get("url", ""),
        version=resource.get("version"),
        parents={code: frozenset(over) & parents.keys() for code, over in parents.items()},
        abstract=frozenset(
            code
            for code, stated in values.items()
            if "true" in (*stated.get("notSelectable", ()), *stated.get("abstract", ()))
        ),
        inactive=frozenset(code for code, stated in values.items() if _is_inactive(stated)),
        properties={
            each["code"]: each.get("type", "") for each in resource.get("property", ()) if "code" in each
        },
        values=values,
        meaning=resource.get("hierarchyMeaning", "is-a"),
    )


def _concepts(
    concepts: Iterable[Mapping[str, Any]], over: str | None
) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    for concept in concepts:
        yield concept, over
        yield from _concepts(concept.get("concept", ()), concept.get("code", over))


def _values(properties: Iterable[Mapping[str, Any]]) -> Values:
    found: dict[str, tuple[str, ...]] = {}
    for stated in properties:
        for name, value in stated.items():
            if name.startswith("value") and "code" in stated:
                found[stated["code"]] = (*found.get(stated["code"], ()), *_texts(value))
    return found


def _texts(value: Any) -> tuple[str, ...]:
    match value:
        case bool():
            return ("true" if value else "false",)
        case str() | int():
            return (str(value),)
        case {"code": code, "system": system}:
            return code, f"{system}|{code}"
        case {"code": code}:
            return (code,)
        case _:
            return ()


def _is_inactive(stated: Values) -> bool:
    return "true" in stated.get("inactive", ()) or not _RETIRED.isdisjoint(stated.get("status", ()))


def _reached(start: str, links: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Whatever `links` lead to, with the start: each once, so circles end."""
    found = {start}
    waiting = [start]
    while waiting:
        new = set(links.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found)
