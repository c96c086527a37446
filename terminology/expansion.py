"""
The codes of a value set: its stored expansion if that is complete, else what its compose says.

* An expansion that says it is a part (a total above its entries, an offset, a filter, an extension that
  calls it too costly or unclosed) is not taken.
* An include is the intersection of its system's codes, its filters and each of its value sets; includes
  add up; what is excluded is taken away.
* All codes of a system are the selectable ones of its CodeSystem; without one here they are whatever
  codes that system has.
* What only groups others (abstract, notSelectable) is not in a value set unless it is listed by name.

Value sets name others: `needs` says which, so that they can be fetched first.

https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/valueset.html#expansion
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fhir_server.r4.errors import TooCostly, Unsupported
from fhir_server.r4.resource import Resource
from terminology.code_system import CodeSystem
from terminology.codes import NO_CODES, Codes, any_of, listed
from terminology.filters import filtered

_PARTIAL: Final = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/valueset-{name}" for name in ("toocostly", "unclosed")
)
_NARROWING: Final = frozenset(("activeOnly", "filter", "limitedExpansion"))


class Known(Protocol):
    """What was fetched. `version` None is whichever is current."""

    def value_set(self, canonical: str) -> Codes | Resource:
        """The value set, or its codes. Raises Unsupported when it is not here."""

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        """The code system, where all of it is here."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be known for one value set: canonicals, and code systems with their versions."""

    value_sets: frozenset[str]
    code_systems: frozenset[tuple[str, str | None]]


def needs(value_set: Resource) -> Needs:
    """What its codes depend on; nothing where it carries them itself."""
    if _is_expanded(value_set):
        return Needs(frozenset(), frozenset())
    compose = value_set.get("compose", {})
    active = _is_active_only(compose)
    value_sets: set[str] = set()
    code_systems: set[tuple[str, str | None]] = set()
    for include in _includes(compose):
        value_sets.update(_imports(include))
        if "system" in include and "concept" not in include:
            code_systems.add((include["system"], include.get("version")))
        if "system" in include and active:
            code_systems.add((include["system"], None))
    return Needs(frozenset(value_sets), frozenset(code_systems))


def expansion(value_set: Resource, known: Known, *, codes_max: int) -> Codes:
    """
    Its codes.

    Raises Unsupported, with the reason, where they cannot be told exactly, TooCostly beyond `codes_max`.
    """
    codes = _Expanding(known, codes_max, {}).of(value_set, ())
    for selected in codes.of.values():
        if selected.others and selected.listed:
            raise Unsupported("it excludes codes of a code system that is not here as a whole")
    return codes


@dataclass(frozen=True, slots=True)
class _Expanding:
    """`expanded` has what was imported before: value sets may share others."""

    known: Known
    codes_max: int
    expanded: dict[str, Codes]

    def of(self, value_set: Resource, importing: tuple[str, ...]) -> Codes:
        """`importing` are the canonicals that led here."""
        if _is_expanded(value_set):
            return self._bounded(_listed_in(value_set["expansion"]))
        compose = value_set.get("compose")
        if not isinstance(compose, Mapping) or not compose.get("include"):
            raise Unsupported("the value set has neither a complete expansion nor a compose")
        included = self._all(compose["include"], importing, selectable=True)
        if _is_active_only(compose):
            included = self._without_inactive(included)
        return included - self._all(compose.get("exclude", ()), importing, selectable=False)

    def _all(self, includes: Iterable[Resource], importing: tuple[str, ...], *, selectable: bool) -> Codes:
        together = NO_CODES
        for include in includes:
            together |= self._bounded(self._include(include, importing, selectable=selectable))
        return self._bounded(together)

    def _include(self, include: Resource, importing: tuple[str, ...], *, selectable: bool) -> Codes:
        parts = [self._imported(canonical, importing) for canonical in _imports(include)]
        if "system" in include:
            parts.append(self._of_system(include, selectable=selectable))
        if not parts:
            raise Unsupported("an include has neither a system nor a value set")
        together, *others = parts
        for other in others:
            together &= other
        return together

    def _imported(self, canonical: str, importing: tuple[str, ...]) -> Codes:
        if canonical in importing:
            raise Unsupported("a value set includes itself")
        if canonical.startswith("#"):
            raise Unsupported("a value set includes one that it contains")
        if canonical not in self.expanded:
            found = self.known.value_set(canonical)
            self.expanded[canonical] = (
                found if isinstance(found, Codes) else self.of(found, (*importing, canonical))
            )
        return self.expanded[canonical]

    def _of_system(self, include: Resource, *, selectable: bool) -> Codes:
        """Its codes; the `selectable` ones, unless they are listed."""
        url, version = include["system"], include.get("version")
        filters = include.get("filter", ())
        if "concept" in include:
            return listed(url, (concept["code"] for concept in include["concept"] if "code" in concept))
        system = self.known.code_system(url, version)
        if system is None:
            if filters or version is not None:
                raise _not_whole(url)
            return any_of(url)
        codes = system.codes
        for filter in filters:
            codes &= filtered(system, filter)
        return listed(url, codes - system.abstract if selectable else codes)

    def _without_inactive(self, codes: Codes) -> Codes:
        for url in codes.of:
            system = self.known.code_system(url, None)
            if system is None:
                raise _not_whole(url)
            codes -= listed(url, system.inactive)
        return codes

    def _bounded(self, codes: Codes) -> Codes:
        if len(codes) > self.codes_max:
            raise TooCostly(f"a value set has more than {self.codes_max} codes")
        return codes


def _not_whole(url: str) -> Unsupported:
    return Unsupported(f"the code system `{url[:200]}` is not here as a whole")


def _is_active_only(compose: Mapping[str, Any]) -> bool:
    return compose.get("inactive") is False


def _imports(include: Resource) -> list[str]:
    return [canonical for canonical in include.get("valueSet", ()) if isinstance(canonical, str)]


def _includes(compose: Mapping[str, Any]) -> Iterator[Resource]:
    yield from compose.get("include", ())
    yield from compose.get("exclude", ())


def _is_expanded(value_set: Resource) -> bool:
    """Does it carry all of its codes?"""
    found = value_set.get("expansion")
    if not isinstance(found, Mapping) or found.get("offset", 0) != 0:
        return False
    if any(extension.get("url") in _PARTIAL for extension in found.get("extension", ())):
        return False
    told = {parameter.get("name"): _told(parameter) for parameter in found.get("parameter", ())}
    if any(told.get(name, False) is not False for name in _NARROWING) or told.get("offset", 0) != 0:
        return False
    count = sum(1 for _ in _entries(found.get("contains", ())))
    total = found.get("total")
    if total is None:
        return count > 0 and "count" not in told
    return isinstance(total, int) and total <= count


def _told(parameter: Mapping[str, Any]) -> Any:
    """The parameter's value, whatever its type."""
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _listed_in(expansion: Mapping[str, Any]) -> Codes:
    by_system: dict[str, set[str]] = {}
    for entry in _entries(expansion.get("contains", ())):
        if "code" in entry and not entry.get("abstract", False):
            if "system" not in entry:
                raise Unsupported("an expansion has a code without its system")
            by_system.setdefault(entry["system"], set()).add(entry["code"])
    together = NO_CODES
    for system, codes in by_system.items():
        together |= listed(system, codes)
    return together


def _entries(contains: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for entry in contains:
        yield entry
        yield from _entries(entry.get("contains", ()))
