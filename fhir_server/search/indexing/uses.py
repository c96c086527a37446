"""
What a search parameter makes of the elements that it selects: tokens, ranges, a place.

One use serves all parameters of a kind that select the same, since their tokens differ but in the name.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fhir_server.r4.fhirpath import Collection, Environment, Evaluate
from fhir_server.search.predicates.entry import Point, Range, escape
from fhir_server.search.values import composite, reference, special
from fhir_server.search.values.by_type import AS_RANGES, AS_TOKENS, Extents, Suffixes
from fhir_server.search.values.site import Site

TOKEN_CHARACTERS_MAX: Final = 2_000
"""Of one token: a longer value is stored, but not found by this parameter."""

_BESIDE: Final = (":text|", ":of-type|", ":whole|", ":word|", ":canonical|")
"""What stands beside a value says nothing of whether there is one."""

_PATIENT: Final = "|Patient/"


class Found(NamedTuple):
    """What there is of one resource so far."""

    tokens: list[str]
    ranges: list[Range]
    patients: list[str]
    points: list[Point]
    fragments: list[tuple[str, str]] | None
    """References to contained resources: the parameter's name and the id. None where nothing is contained."""


class AsTokens(NamedTuple):
    """What one kind of parameter makes of a selection, for all parameters of the kind that share it."""

    suffixes: Suffixes
    names: tuple[str, ...]
    in_compartment: bool

    def collect(self, nodes: Collection, _around: Environment, site: Site, found: Found) -> None:
        suffixes = [suffix for suffix in self.suffixes(nodes, site) if len(suffix) <= TOKEN_CHARACTERS_MAX]
        if all(suffix.startswith(_BESIDE) for suffix in suffixes):
            suffixes.append("|")
        for name in self.names:
            found.tokens.extend([name + suffix for suffix in suffixes])
        if found.fragments is not None and self.suffixes is reference.suffixes:
            ids = reference.fragments(nodes)
            found.fragments.extend([(name, id) for name in self.names for id in ids])
        if self.in_compartment:
            found.patients.extend(
                suffix[len(_PATIENT) :]
                for suffix in suffixes
                if suffix.startswith(_PATIENT) and "/" not in suffix[len(_PATIENT) :]
            )


class AsRanges(NamedTuple):
    """The same of a kind whose values have an extent; where one has none, the bare token."""

    extents: Extents
    names: tuple[str, ...]

    def collect(self, nodes: Collection, _around: Environment, site: Site, found: Found) -> None:
        extents = self.extents(nodes, site)
        for name in self.names:
            found.ranges.extend([Range(name, *extent) for extent in extents])
            if not extents:
                found.tokens.append(name + "|")


class AsPoint(NamedTuple):
    """Where it is; and the bare token, so that `:missing` need not know of points."""

    names: tuple[str, ...]

    def collect(self, nodes: Collection, _around: Environment, _site: Site, found: Found) -> None:
        found.points.extend(special.points(nodes))
        found.tokens.extend([f"{name}|" for name in self.names])


class AsComposite(NamedTuple):
    """All parts of each element; where one has nothing to search by, the bare token."""

    name: str
    parts: tuple[tuple[Evaluate, ...], ...]
    type: str

    def collect(self, nodes: Collection, around: Environment, site: Site, found: Found) -> None:
        for node in nodes:
            coded, *valued = (
                [item for evaluate in part for item in evaluate([node], around)] for part in self.parts
            )
            if not coded or not all(valued):
                continue
            forms = composite.codes(coded, site)
            if self.type in AS_RANGES:
                ranges = self._ranges(forms, valued, site)
                found.ranges.extend(ranges)
                found.tokens.extend([] if ranges else [f"{self.name}|"])
            else:
                found.tokens.extend(self._tokens(forms, valued[0], site) or [f"{self.name}|"])

    def _tokens(self, forms: list[str], valued: Collection, site: Site) -> list[str]:
        suffixes = [suffix for suffix in AS_TOKENS[self.type](valued, site) if suffix.startswith("|")]
        joined = [f"|{escape(form)}{suffix}" for form in composite.asked_for(forms) for suffix in suffixes]
        return [self.name + suffix for suffix in joined if len(suffix) <= TOKEN_CHARACTERS_MAX]

    def _ranges(self, forms: list[str], valued: Sequence[Collection], site: Site) -> list[Range]:
        return [
            Range(f"{name}|{code}", low, high, composite.units_in(systems, *units or ((),)))
            for code, systems in composite.systems_by_code(forms).items()
            for name, (low, high, *units) in self._extents(valued, site)
            if len(code) <= TOKEN_CHARACTERS_MAX
        ]

    def _extents(self, valued: Sequence[Collection], site: Site) -> list[tuple[str, tuple[Any, ...]]]:
        """Each with the name that it goes by."""
        if len(valued) > 1:
            return composite.spans(self.name, *valued)
        return [(self.name, extent) for extent in AS_RANGES[self.type](valued[0], site)]


Use = AsTokens | AsRanges | AsPoint | AsComposite
