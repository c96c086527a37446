"""
A repeating element in JSON: one array, or for primitives two, whose places belong together.

https://hl7.org/fhir/R4/json.html#primitive: null holds a place where only one of them has
something; an array of nothing but nulls is left out.
"""

from __future__ import annotations

from typing import Any

from fhir_server.r4.fhirpath.model import Alternative, is_primitive
from fhir_server.r4.patch.faults import Misfit
from fhir_server.r4.patch.places import beside_name


def written(member: Alternative) -> tuple[str, ...]:
    """The JSON members of an element: a primitive has two."""
    return (member.member, beside_name(member)) if is_primitive(member.type) else (member.member,)


class Repeated:
    """
    The element `member` of the JSON object `around`, which is written to with each change.

    The arrays are copied: those that stand there are the original's.
    """

    def __init__(self, around: dict[str, Any], member: Alternative) -> None:
        self._around = around
        self._arrays = {name: _array(around.get(name)) for name in written(member)}
        length = len(self)
        for array in self._arrays.values():
            array.extend([None] * (length - len(array)))

    def __len__(self) -> int:
        return max(map(len, self._arrays.values()))

    def insert(self, index: int, value: Any, beside: Any) -> None:
        for array, content in zip(self._arrays.values(), (value, beside), strict=False):
            array.insert(index, content)
        self._write()

    def replace(self, index: int, value: Any, beside: Any) -> None:
        for array, content in zip(self._arrays.values(), (value, beside), strict=False):
            array[index] = content
        self._write()

    def remove(self, index: int) -> None:
        for array in self._arrays.values():
            del array[index]
        self._write()

    def move(self, source: int, destination: int) -> None:
        for array in self._arrays.values():
            array.insert(destination, array.pop(source))
        self._write()

    def _write(self) -> None:
        for name, array in self._arrays.items():
            if any(item is not None for item in array):
                self._around[name] = array
            else:
                self._around.pop(name, None)


def _array(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise Misfit("leads to an element that repeats and is not an array")
    return list(value or ())
