"""
special: `near` of Location, R4's one parameter of this type.

`latitude|longitude|distance|unit`: within the distance, a radius along the Earth's surface. Degrees
are of WGS84, units are UCUM's of length. Without a unit the distance is in km; without a distance, what
is near is ours to say.

https://hl7.org/fhir/R4/location.html#search, https://hl7.org/fhir/R4/search.html#special
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.fhirpath import Collection
from fhir_server.r4.ucum import unit as ucum_unit
from fhir_server.search.declared.parameters import Parameter
from fhir_server.search.predicates.entry import Point
from fhir_server.search.predicates.predicate import Near, Predicate, any_of
from fhir_server.search.values.escaping import split, unescaped
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.number import decimal_of
from fhir_server.search.values.site import Site

DISTANCE_DEFAULT_METRES: Final = 50_000
DISTANCE_MAX_METRES: Final = 20_000_000
"""Half of a great circle is 20,015 km: nothing is farther away."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")


def points(nodes: Collection) -> list[Point]:
    """The positions that are somewhere on the Earth."""
    found = [
        _point(decimal_of(_of(value, "latitude")), decimal_of(_of(value, "longitude")))
        for _, value, _ in nodes
    ]
    return [point for point in found if point is not None]


def criterion(parameter: Parameter, modifier: str | None, values: Sequence[str], _site: Site) -> Predicate:
    """The position is within the distance of one of `values`."""
    if modifier is not None:
        raise refuse_modifier(parameter.code, modifier, "missing")
    return any_of(*(_near(parameter.code, value) for value in values))


def _near(code: str, value: str) -> Near:
    parts = [unescaped(part) for part in split(value, "|")]
    if not 2 <= len(parts) <= 4:
        raise Invalid(f"A value of `{code}` is `latitude|longitude`, `...|distance` or `...|distance|unit`")
    latitude, longitude, distance, unit = (*parts, "", "")[:4]
    point = _point(_number(code, "latitude", latitude), _number(code, "longitude", longitude))
    if point is None:
        raise Invalid(
            f"In a value of `{code}` the latitude is from -90 to 90, the longitude from -180 to 180"
        )
    return Near(point, _metres(code, distance, unit or "km"))


def _metres(code: str, distance: str, unit: str) -> float:
    length, metre = ucum_unit(unit), ucum_unit("m")
    assert metre is not None, "it is a base unit"
    if length is None or length.name != metre.name:
        raise Invalid(
            f"The unit of the distance of `{code}` is a UCUM code: one of length, as `km` or `[nmi_i]`"
        )
    if not distance:
        return DISTANCE_DEFAULT_METRES
    metres = length.converted(_number(code, "distance", distance)) / metre.converted(Decimal(1))
    if not 0 < metres <= DISTANCE_MAX_METRES:
        raise Invalid(f"The distance of `{code}` is more than 0 and at most {DISTANCE_MAX_METRES // 1000} km")
    return float(metres)


def _number(code: str, name: str, text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise Invalid(f"The {name} in a value of `{code}` is a decimal number, such as `-83.694810`")
    return Decimal(text)


def _point(latitude: Decimal | None, longitude: Decimal | None) -> Point | None:
    # Compared as they are: `abs` would round a long literal first.
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return Point(float(latitude), float(longitude))


def _of(position: Any, name: str) -> Any:
    return position.get(name) if isinstance(position, dict) else None
