"""
Questions about other resources, answered by looking at each of them: the plain meaning of chains.

The reference for what pipeline/settling.py asks the store, and for who has the resources at hand. What
codes mean is not told by resources alone: whoever asks that says it.

https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from fhir_server.search.predicates.canonical import are_canonical, canonicals_in, names_of, plain
from fhir_server.search.predicates.containing import of_contained
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    Coded,
    Predicate,
    Question,
    ReferredTo,
    Refers,
    Unqualified,
)
from fhir_server.search.predicates.version import Version


@dataclass(frozen=True, slots=True)
class Among:
    """All living resources that there are, for this purpose; `meant` says what is asked of codes."""

    versions: tuple[Version, ...]
    meant: Mapping[Coded, Predicate] = field(default_factory=dict)

    def matching(self, predicate: Predicate) -> list[Version]:
        """Those for which `predicate` is true."""
        return [version for version in self.versions if matches(predicate, version, self.answer)]

    def answer(self, question: Question, version: Version) -> bool:
        """Is it true for `version`?"""
        match question:
            case Refers(names=names, types=types, of=of):
                return self._refers_inside(version, question) or any(
                    _refers(version, names, other) and matches(of, other, self.answer)
                    for other in self.versions
                    if other.key.type in types
                )
            case ReferredTo(type=type, names=names, of=of):
                return any(
                    _refers(other, names, version) and matches(of, other, self.answer)
                    for other in self.versions
                    if other.key.type == type
                )
            case Coded():
                return matches(self.meant[question], version)
            case Unqualified(tokens=tokens):
                return not tokens.isdisjoint(version.entry.tokens)

    def _refers_inside(self, version: Version, question: Refers) -> bool:
        """Does it refer to such a resource that it contains?"""
        return any(
            matches(
                of_contained(question.of), replace(version, key=inner.key, entry=inner.entry), self.answer
            )
            for inner in version.entry.contained
            if inner.key.type in question.types and not plain(question.names).isdisjoint(inner.referred_to_as)
        )


def _refers(source: Version, names: Iterable[str], target: Version) -> bool:
    if are_canonical(names):
        known_as = canonicals_in(target.entry, names_of((target.key.type,)))
    else:
        known_as = {str(target.key)}
    return any(f"{name}|{each}" in source.entry.tokens for name in names for each in known_as)
