"""
UCUM's own table: prefixes, base units and the definitions of all other atoms, unchanged.

It is the file that UCUM publishes, `ucum-essence.xml`, and comes with the package ucumvert. The
package is not imported: that would load pint, 30 MB, whose factors are floats.

https://ucum.org/ucum-essence.xml
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

_ESSENCE: Final = "vendor/ucum-essence.xml"


@dataclass(frozen=True, slots=True)
class Atom:
    """
    A unit that is written as one word: so many of `unit`, None for a base unit.

    `is_arbitrary`: commensurable with nothing but itself. `function` is the name of what a special
    unit is reckoned by (`Cel`, `lg`), None for a unit on a ratio scale.
    """

    is_metric: bool
    is_arbitrary: bool
    function: str | None
    value: Fraction
    unit: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """Prefixes by what they multiply with, atoms by their definition; case-sensitive codes."""

    prefixes: Mapping[str, Fraction]
    atoms: Mapping[str, Atom]


def read_table() -> Table:
    """The table; takes some milliseconds."""
    found = find_spec("ucumvert")
    assert found is not None, "pyproject.toml asks for it"
    assert found.submodule_search_locations is not None, "it is a package"
    path = Path(found.submodule_search_locations[0]) / _ESSENCE
    root = ET.parse(path).getroot()  # noqa: S314 - installed with the server, pinned by hash
    atoms = {element.attrib["Code"]: _BASE for element in root.iterfind("{*}base-unit")}
    atoms |= {element.attrib["Code"]: _atom(element) for element in root.iterfind("{*}unit")}
    return Table(
        {
            element.attrib["Code"]: Fraction(_child(element, "value").attrib["value"])
            for element in root.iterfind("{*}prefix")
        },
        atoms,
    )


def _atom(element: ET.Element) -> Atom:
    value = _child(element, "value")
    function = value.find("{*}function")
    defined = value if function is None else function
    return Atom(
        is_metric=element.get("isMetric") == "yes",
        is_arbitrary=element.get("isArbitrary") == "yes",
        function=None if function is None else function.attrib["name"],
        value=Fraction(defined.attrib["value"]),
        unit=defined.attrib["Unit"],
    )


def _child(element: ET.Element, name: str) -> ET.Element:
    found = element.find(f"{{*}}{name}")
    assert found is not None, "the table is UCUM's"
    return found


_BASE: Final = Atom(is_metric=True, is_arbitrary=False, function=None, value=Fraction(1), unit=None)
