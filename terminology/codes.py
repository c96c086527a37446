"""
Sets of codes, by system: some codes of it, or all but some.

The codes of a system that is not here are not known, yet `any code of it` is a set: its complement is
listed instead. Union, intersection and difference stay exact either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Selected:
    """Of one system: `listed`, or where `others` is true all codes that are not."""

    listed: frozenset[str] = frozenset()
    others: bool = False

    def __contains__(self, code: str) -> bool:
        return (code in self.listed) != self.others

    def __bool__(self) -> bool:
        return bool(self.listed) or self.others

    def __invert__(self) -> Selected:
        return Selected(self.listed, not self.others)

    def __and__(self, other: Selected) -> Selected:
        match self.others, other.others:
            case False, False:
                return Selected(self.listed & other.listed)
            case False, True:
                return Selected(self.listed - other.listed)
            case True, False:
                return Selected(other.listed - self.listed)
            case _:
                return Selected(self.listed | other.listed, others=True)

    def __or__(self, other: Selected) -> Selected:
        return ~(~self & ~other)


NONE: Final = Selected()
ANY: Final = Selected(others=True)


@dataclass(frozen=True, slots=True)
class Codes:
    """What is selected of each system; a system without anything is left out."""

    of: Mapping[str, Selected]

    def __or__(self, other: Codes) -> Codes:
        return _codes(
            (system, self.of.get(system, NONE) | other.of.get(system, NONE))
            for system in self.of.keys() | other.of.keys()
        )

    def __and__(self, other: Codes) -> Codes:
        return _codes((system, self.of[system] & other.of[system]) for system in self.of.keys() & other.of)

    def __sub__(self, other: Codes) -> Codes:
        return _codes(
            (system, selected & ~other.of.get(system, NONE)) for system, selected in self.of.items()
        )

    def __len__(self) -> int:
        """How many codes are listed."""
        return sum(len(selected.listed) for selected in self.of.values())


def listed(system: str, codes: Iterable[str]) -> Codes:
    """These codes of the system."""
    return _codes([(system, Selected(frozenset(codes)))])


def any_of(system: str) -> Codes:
    """Whatever code the system has."""
    return Codes({system: ANY})


NO_CODES: Final = Codes({})


def _codes(selected: Iterable[tuple[str, Selected]]) -> Codes:
    return Codes({system: some for system, some in selected if some})
