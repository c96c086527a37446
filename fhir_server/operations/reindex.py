"""
$reindex and $reindex-status: index resources anew, and how far that is.

`POST [type]/$reindex` asks for a pass over a type, `POST $reindex` over all of them; what is being done
goes on until it ends, and then begins again for who asked meanwhile. `GET $reindex-status` tells of
the passes over each type, `GET SearchParameter/[id]/$reindex-status` of one search parameter:

* `active` it is answered; `building` it will be; `failed` some resource would have more index entries
  than it may, so that it cannot be; `removing` its entries are being removed; `none` it has none
* `done` of `total` resources of its types have been looked at; told only to who may read all of them

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from fhir_server.r4.resource import Resource


class Pass(Protocol):
    """The passes over a type: https://hl7.org/fhir/R4/search.html says nothing of them, storage.md does."""

    @property
    def type(self) -> str: ...

    @property
    def is_wanted(self) -> bool: ...

    @property
    def done(self) -> int: ...

    @property
    def total(self) -> int: ...

    @property
    def changed(self) -> int: ...

    @property
    def refused(self) -> int: ...

    @property
    def ended(self) -> int: ...


def status_of_all(passes: Iterable[Pass]) -> Resource:
    """Each type that was ever asked for."""
    listed = sorted(passes, key=lambda one: one.type)
    busy = any(one.is_wanted for one in listed)
    return _parameters([_code("status", "under-way" if busy else "ended"), *_of_types(listed)])


def status_of(status: str) -> Resource:
    """One search parameter, and not how many resources there are."""
    return _parameters([_code("status", status)])


def progress_of(status: str, numbers: Mapping[str, int], passes: Mapping[str, Pass]) -> Resource:
    """One search parameter, which waits for the passes of these numbers."""
    listed = [passes[name] for name in sorted(numbers) if name in passes]
    return _parameters(
        [
            _code("status", status),
            _integer("done", sum(done_of(one, numbers[one.type]) for one in listed)),
            _integer("total", sum(one.total for one in listed)),
            *_of_types(listed),
        ]
    )


def done_of(one: Pass, number: int) -> int:
    """How many resources of the type are done, for who waits for the pass of that number."""
    return one.total if one.ended >= number else one.done


def asked(types: Iterable[str]) -> Resource:
    """The answer to who asked: what will be done."""
    return _parameters([_code("status", "asked"), *(_code("type", name) for name in sorted(types))])


def _of_types(passes: Iterable[Pass]) -> Iterator[dict[str, Any]]:
    for one in passes:
        parts = [
            _code("type", one.type),
            _code("status", "under-way" if one.is_wanted else "ended"),
            _integer("done", one.done),
            _integer("total", one.total),
            _integer("changed", one.changed),
            _integer("refused", one.refused),
        ]
        yield {"name": "pass", "part": parts}


def _parameters(listed: list[dict[str, Any]]) -> Resource:
    return {"resourceType": "Parameters", "parameter": listed}


def _code(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "valueCode": value}


def _integer(name: str, value: int) -> dict[str, Any]:
    return {"name": name, "valueInteger": value}
