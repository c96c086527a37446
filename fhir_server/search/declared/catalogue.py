"""
The search parameters that somebody has declared beside R4's own, as one immutable value.

A `Catalogue` is a snapshot: it is swapped as a whole, never changed. Which one is in force is said
by a context variable with one setter, `in_force_from`, which the pipeline calls as a request begins;
without it R4's own parameters are all there are. So what reads parameters is still a plain function of
its arguments and of the request it belongs to, and two servers in one process do not meet.

The two epochs tell how old a snapshot is (store/epoch.py): `epoch` moves with anything that is
declared, completed or removed, `indexed` with what entries must hold.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from fhir_server.r4.definitions import SearchComponent, definitions
from fhir_server.r4.definitions.facts import SearchType

NOT_INDEXED: Final = frozenset(("AuditEvent",))
"""Types whose entries are the ledger's, which cannot be written again."""


class Declared(msgspec.Struct, frozen=True):
    """What counts of a SearchParameter that is in force; `id` is the resource's, `bases` as it says them."""

    id: str
    url: str
    code: str
    type: SearchType
    bases: tuple[str, ...]
    expression: str
    targets: tuple[str, ...] = ()
    components: tuple[SearchComponent, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The concrete resource types that have it."""
        return concrete(self.bases)


@lru_cache(maxsize=1_024)
def concrete(bases: tuple[str, ...]) -> frozenset[str]:
    """The types that are or derive from one of `bases`, without those that are not indexed."""
    facts = definitions()
    found = {
        name
        for name in facts.resource_types
        if not {name, "Resource", facts.types[name].base}.isdisjoint(bases)
    }
    return frozenset(found - NOT_INDEXED)


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """
    All that is declared: what entries are made of.

    Of these, the `complete` ones (by id) are answered; the others are being built.
    """

    epoch: int = 0
    indexed: int = 0
    declared: tuple[Declared, ...] = ()
    complete: frozenset[str] = frozenset()
    by_type: dict[str, tuple[Declared, ...]] = field(init=False)

    def __post_init__(self) -> None:
        by_type: dict[str, tuple[Declared, ...]] = {}
        for one in self.declared:
            for name in one.types:
                by_type[name] = (*by_type.get(name, ()), one)
        object.__setattr__(self, "by_type", by_type)

    @property
    def building(self) -> tuple[Declared, ...]:
        """Those that are not answered yet."""
        return tuple(one for one in self.declared if one.id not in self.complete)


class Source(Protocol):
    """Whoever knows which catalogue is in force now."""

    @property
    def catalogue(self) -> Catalogue: ...


@dataclass(slots=True)
class Fixed:
    """A source that is told."""

    catalogue: Catalogue


_SOURCE: Final[ContextVar[Source]] = ContextVar("search_parameters")
_R4_ALONE: Final[Source] = Fixed(Catalogue())


def in_force() -> Catalogue:
    """The catalogue of this request."""
    return _SOURCE.get(_R4_ALONE).catalogue


def in_force_from(source: Source) -> Token[Source]:
    """From here on `source` says what is in force, in this context; give the token to `no_longer`."""
    return _SOURCE.set(source)


def no_longer(token: Token[Source]) -> None:
    """As it was before."""
    _SOURCE.reset(token)
